"""Analysis `known_mechanism`: what is certain of a network, for other analyses to be judged on."""

import numpy as np

from emtkit import Analysis, Control, Findings, NotApplicable, Scalar, ScalarInfo, Subject, hookimpl
from emtkit_std._controls import EXACT_CIRCUIT, REPEAT_COPY
from emtkit_std._findings import undefined
from emtkit_std._theory.facts import LinearRecurrence
from emtkit_std._theory.mechanism import Mechanism
from emtkit_std._theory.observe import in_double, trajectories

SEQUENCES = 512
ANSWERED = 0.99
"""Share of the targets' variance that a linear network's answers must explain."""
OF_MOVING = ("wave", "slot", "rotation", "shared")


class KnownMechanism(Analysis):
    """What a network is known to do, by its construction or by a theorem: a benchmark's answers.

    A constructed network says it itself (the fact `Mechanism`). Of a trained one it is certain if
    it is linear, h_t = W_hh h_{t-1} + W_uh u_t + b, and its answers explain .99 of the variance of
    the targets: the code of an item of age a is then W_hh^a W_uh at every time, so that items lie
    by age (`wave`), and what is answered has been held. All other networks are not applicable.

    `moving` and the truths `wave`, `slot`, `rotation`, `shared` say where codes go, as `memory_map`
    names it. `used`: the outputs answer with what is held. `magnitude`: by magnitudes on one
    direction. `superposed`: items share directions. `corrects`: small errors of the state die out,
    and items do not.

    References: none (definitions of this toolkit); `Mechanism` says what the kinds are.
    """

    name = "known_mechanism"
    scalars = {
        "kind": ScalarInfo("kind of the mechanism"),
        "moving": ScalarInfo(
            "where codes go: wave, slot, rotation, shared or none",
            undefined="of attention, whose items do not move",
        ),
        **{
            name: ScalarInfo(meaning, undefined="of attention, whose items do not move")
            for name, meaning in {
                "wave": "whether an item lies where its age says",
                "slot": "whether an item stays where it was written",
                "rotation": "whether one operator turns the codes of all items",
                "shared": "whether items of all ages lie in one place",
            }.items()
        },
        "used": ScalarInfo("whether the outputs answer with what is held"),
        "magnitude": ScalarInfo("whether items are told apart by magnitude"),
        "superposed": ScalarInfo(
            "whether items share directions",
            undefined="without a memory, and of attention",
        ),
        "corrects": ScalarInfo(
            "whether errors of the state die out, and items do not",
            undefined="without a memory, and of attention",
        ),
    }
    controls = (
        Control(REPEAT_COPY, EXACT_CIRCUIT, "moving", equals="wave"),
        Control(REPEAT_COPY, {"use": "dead"}, "moving", equals="none"),
    )

    def measure(self, subject: Subject) -> Findings:
        """Scalars alone."""
        known = _mechanism(subject)
        kind, moving = known.kind, known.moving
        scalars: dict[str, Scalar] = {
            "kind": kind,
            "used": known.used,
            "magnitude": kind == "magnitude",
        }
        reasons: dict[str, str] = {}
        if moving is None:
            absent = undefined(("moving", *OF_MOVING), "the items of attention do not move")
            scalars, reasons = scalars | absent.scalars, reasons | absent.reasons
        else:
            scalars["moving"] = moving
            scalars |= {name: name == moving for name in OF_MOVING}
        if moving is None or kind == "none":
            absent = undefined(("superposed", "corrects"), f"the kind is {kind}")
            scalars, reasons = scalars | absent.scalars, reasons | absent.reasons
        else:
            scalars["superposed"] = known.superposed
            scalars["corrects"] = known.corrects
        return Findings(scalars, reasons=reasons)


def _mechanism(subject: Subject) -> Mechanism:
    offers = subject.model.offers
    if Mechanism in offers:
        return subject.fact(Mechanism)
    if LinearRecurrence not in offers:
        raise NotApplicable(
            f"of '{subject.model.name}' no mechanism is certain: it says none (Mechanism), and no "
            "theorem speaks of networks that are not linear"
        )
    subject.fact(LinearRecurrence)
    share = _explained(subject)
    if not share >= ANSWERED:  # targets that never vary explain nothing
        raise NotApplicable(
            f"the answers explain {share:.3f} of the variance of the targets; of a linear network "
            f"the mechanism is certain from {ANSWERED} on, so train it for longer"
        )
    return Mechanism("register")


def _explained(subject: Subject) -> float:
    """1 - (mean square error) / (variance) over the scored targets."""
    seen = trajectories(subject, in_double(subject.model), SEQUENCES)
    scored = seen.batch.scored_steps > 0
    targets, outputs = seen.batch.targets[:, scored].numpy(), seen.outputs[:, scored].numpy()
    variance = float(targets.var(0).mean())
    return 1 - float(np.square(outputs - targets).mean()) / variance if variance else float("nan")


@hookimpl
def emtkit_analyses() -> list[type[Analysis]]:
    """Offer `known_mechanism`."""
    return [KnownMechanism]
