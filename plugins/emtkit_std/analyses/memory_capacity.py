"""How much of the past a linear recurrence holds."""

from emtkit import Analysis, Control, EmtkitError, Findings, RecurrentModel, Subject, hookimpl
from emtkit_std._controls import LAST_DELAY, REGISTER
from emtkit_std._drawings import Figure
from emtkit_std._findings import long_table, undefined
from emtkit_std._theory.facts import LinearRecurrence
from emtkit_std._theory.superposition.capacity import fisher_memory, linear_capacity

_AGES = 400
_SHOWN = 64


def draw_memory(findings: Findings, figure: Figure) -> None:
    """Memory against age, summed over inputs."""
    rows = findings.tables["memory"].groupby("age")[["linear", "fisher"]].sum()
    panel = figure.subplots()
    for name in ("linear", "fisher"):
        panel.plot(rows.index, rows[name], marker=".", label=name)
    panel.set(xlabel="age", ylabel="memory")
    panel.legend()


class MemoryCapacity(Analysis):
    """Linear memory capacity and Fisher memory of a linear recurrence.

    linear: sum_s w_s' P^-1 w_s with P = sum_s w_s w_s', the number of directions reached (H when
    controllable). fisher: sum_s w_s' C^-1 w_s with C = sum_j W_hh^j W_hh^j', inputs scaled to
    length 1; it is 1 for normal W_hh and one input, at most H in general. Both hold for the linear
    network everywhere: nothing is linearised. Table `memory` (age, feature_in).

    References: White, Lee and Sompolinsky (2004), doi:10.1103/PhysRevLett.92.148102; Ganguli, Huh
    and Sompolinsky (2008), doi:10.1073/pnas.0804451105; Ballarin, Grigoryeva and Ortega,
    arXiv:2305.01457.
    """

    name = "memory_capacity"
    models = RecurrentModel
    requires = (LinearRecurrence,)
    drawings = {"memory": draw_memory}
    controls = (Control(LAST_DELAY, REGISTER, "linear", least=4 - 1e-9, most=4 + 1e-9),)

    def measure(self, subject: Subject) -> Findings:
        """Both memories; undefined where the recurrence does not forget."""
        law = subject.fact(LinearRecurrence)
        try:
            fisher = fisher_memory(law.W_hh, law.W_uh, _AGES)
        except EmtkitError as error:
            without = undefined(("linear", "fisher"), str(error))
            return Findings(without.scalars, reasons=without.reasons)
        linear = linear_capacity(law.W_hh, law.W_uh, _AGES)
        shown = {"linear": linear.by_age[:_SHOWN], "fisher": fisher.by_age[:_SHOWN]}
        return Findings(
            {"linear": linear.total, "fisher": fisher.total},
            {"memory": long_table(("age", "feature_in"), shown)},
        )


@hookimpl
def emtkit_analyses() -> list[type[Analysis]]:
    """The analysis of this module."""
    return [MemoryCapacity]
