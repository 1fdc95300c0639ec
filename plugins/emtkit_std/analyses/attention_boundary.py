"""What rule attention writes as a boundary condition, what it attends to, how long it will hold."""

from functools import partial
from typing import Annotated

import numpy as np
from pydantic import Field

from emtkit import Analysis, Findings, NotApplicable, Scalar, ScalarInfo, Subject, hookimpl
from emtkit_std._findings import Measured, long_table, undefined
from emtkit_std._parameters import Sequences, Steps
from emtkit_std._theory.emt.estimated import LAW
from emtkit_std._theory.facts import Array
from emtkit_std._theory.observe import law_of, linear_law_of, memory_span, run
from emtkit_std._theory.standard_error import of_function, of_mean
from emtkit_std._theory.waves import attention
from emtkit_std._theory.waves.answers import answered_boundary
from emtkit_std._theory.waves.drawings import draw_attention, draw_boundary

ERRORS = ("leak_error", "boundary_error_error")
OF_COLUMNS = ("kronecker_rank", "linearity", "boundary_error", "leak", "safe_horizon", *ERRORS)


class AttentionBoundary(Analysis):
    """Attention as the boundary of a travelling wave: F = sum_a E[alpha^a] (x) W_V^a, and its leak.

    For every model whose trace holds attention: `entropy` (nats, mean over heads, sequences and
    autonomous steps) and table `profile` (head, lag, weight). Where attention writes columns:
    `kronecker_rank` of F, `linearity` (R^2 of the written columns under the best linear F of the
    states met: 1 if content does not steer attention), `boundary_error` ||F - f||_F / ||f||_F
    against the task's rule, `leak` (largest share over heads that misses the favourite column) and
    `safe_horizon` = .3 s / leak, the steps for which a constructed rule holds. W_K and W_Q are seen
    through their product alone. `entropy_error`, `leak_error` and `boundary_error_error` are
    standard errors over the sequences.

    A task without a law has its boundary estimated (`law`): at scored steps F and f are the best
    linear maps from what must be remembered to the outputs and to the targets, each less its mean;
    `task_linearity` is the R^2 of the targets under f, without which F says little. Recurrent
    networks write no boundary beside their map: `emt_basis` and `twm_waves` ask it of them.

    References: Karuvally, Sejnowski and Siegelmann, ICML 2024, Eq. 8.
    """

    name = "attention_boundary"
    version = 3  # tasks without a law
    scalars = {
        "entropy": ScalarInfo(
            "entropy of attention, mean over heads, sequences and autonomous steps", unit="nats"
        ),
        "kronecker_rank": ScalarInfo(
            "number of Kronecker terms in the effective boundary F; heads bound it",
            undefined="where attention writes no columns",
        ),
        "linearity": ScalarInfo(
            "R² of the written columns, or of the answers, under the best linear boundary",
            undefined="where neither varies",
        ),
        "boundary_error": ScalarInfo(
            "relative distance of F from the task's rule",
            better="lower",
            undefined="where attention writes no columns for the task's law of history",
        ),
        "leak": ScalarInfo(
            "largest share of attention over heads that misses the favourite column",
            better="lower",
            undefined="where attention writes no columns",
        ),
        "task_linearity": ScalarInfo(
            "R² of the targets under the best linear boundary",
            undefined="where the task states its law",
        ),
        "law": LAW,
        "entropy_error": ScalarInfo("standard error of `entropy`, over the sequences"),
        "leak_error": ScalarInfo("the same of `leak`"),
        "boundary_error_error": ScalarInfo("the same of `boundary_error`"),
        "safe_horizon": ScalarInfo(
            "steps for which a constructed rule of this leak holds",
            unit="steps",
            better="higher",
            undefined="where nothing leaks",
        ),
    }
    drawings = {"attention": draw_attention, "boundary": draw_boundary}

    def __init__(
        self,
        *,
        sequences: Annotated[Sequences, Field(ge=8)] = 128,
        steps: Annotated[Steps, Field(ge=3)] = None,
        tolerance: Annotated[
            float,
            Field(
                gt=0,
                lt=1,
                description="Share of the largest singular value of F above which one counts "
                "towards `kronecker_rank`.",
            ),
        ] = 0.05,
    ) -> None:
        self.sequences, self.steps, self.tolerance = sequences, steps, tolerance

    def measure(self, subject: Subject) -> Findings:
        """Scalars, table `profile`, arrays `boundary` (d, s d) and `law` where there are any."""
        seen = run(subject, self.sequences, self.steps, memory_span(subject, None))
        if "attention" not in seen.extras:
            raise NotApplicable(
                f"the trace of {subject.model.name} holds no attention; use `twm_waves` or "
                "`emt_basis`, which look at the map of a recurrent network, or an architecture "
                "with attention"
            )
        maps = seen.extras["attention"][:, seen.first :]
        sampled = maps.mean(1)
        weights = sampled.mean(0)
        without = undefined(OF_COLUMNS, f"attention of {subject.model.name} writes no columns")
        scalars: dict[str, Scalar] = {
            "entropy": float(attention.entropy(maps).mean()),
            "entropy_error": of_mean(attention.entropy(maps).mean((1, 2))),
            **without.scalars,
        }
        reasons, arrays = dict(without.reasons), dict[str, Array]()
        if attention.BoundaryHeads in subject.model.offers:
            own = subject.model.facts(attention.BoundaryHeads)
            F = arrays["boundary"] = attention.effective_boundary(weights, own.heads.W_V)
            columns = seen.states[:, seen.first :].reshape(-1, own.history, len(F))
            written = attention.boundary(own.heads, columns, maps.reshape(-1, *weights.shape))
            leak = attention.measured_leak(weights)
            safe = attention.safe_horizon(leak, own.history)
            scalars |= {
                "kronecker_rank": attention.kronecker_rank(F, own.history, self.tolerance),
                "linearity": attention.linearity(columns, written),
                "leak": leak,
                "leak_error": float(of_function(sampled, attention.measured_leak)),
                "safe_horizon": safe if np.isfinite(safe) else float("nan"),
            }
            reasons |= {"safe_horizon": "nothing leaks", "linearity": "the new column is zero"}
            lawless = f"{subject.task.name} has no linear law of history here"
            reasons |= dict.fromkeys(("boundary_error", "boundary_error_error"), lawless)
            law = linear_law_of(subject)
            if law is not None:
                arrays["law"] = law.operator
                off = partial(_off, W_V=own.heads.W_V, operator=law.operator)
                scalars["boundary_error"] = off(weights)
                scalars["boundary_error_error"] = float(of_function(sampled, off))
            weights = weights[:, ::-1]  # the newest column is the last
        if law_of(subject) is None:
            of_answers = _of_answers(subject)
            scalars |= of_answers.scalars
            reasons |= of_answers.reasons
        else:
            scalars |= {"law": "stated", "task_linearity": float("nan")}
            reasons["task_linearity"] = "the task states its law; see `linearity`"
        profile = long_table(("head", "lag"), {"weight": weights})
        return Findings(scalars, {"profile": profile}, arrays, reasons)


def _of_answers(subject: Subject) -> Measured:
    """The boundary of a task without a law."""
    names = ("boundary_error", "boundary_error_error", "linearity", "task_linearity")
    try:
        found = answered_boundary(subject)
    except NotApplicable as reason:
        without = undefined(names, str(reason))
        return Measured({**without.scalars, "law": "estimated"}, without.reasons)
    values = (found.error, found.error_error, found.linearity, found.task)
    scalars = {**dict(zip(names, values, strict=True)), "law": "estimated"}
    return Measured(scalars, {"linearity": "the outputs do not vary"})


def _off(weights: Array, W_V: Array, operator: Array) -> float:
    """||F - f||_F / ||f||_F of attention fixed at weights (heads, s)."""
    F = attention.effective_boundary(weights, W_V)
    return float(np.linalg.norm(F - operator) / np.linalg.norm(operator))


@hookimpl
def emtkit_analyses() -> list[type[Analysis]]:
    """Attention as a boundary condition."""
    return [AttentionBoundary]
