"""Analysis `intervene`: change what a network computes by editing its extracted Phi."""

import copy
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import Field

from emtkit import (
    Analysis,
    Drawing,
    Findings,
    Mark,
    NotApplicable,
    Plot,
    Points,
    RecurrentModel,
    Rule,
    ScalarInfo,
    Subject,
    hookimpl,
)
from emtkit_std._parameters import Method, Sequences, Threshold
from emtkit_std._theory.emt import memories
from emtkit_std._theory.facts import LinearHistoryLaw
from emtkit_std._theory.linearise import POINT_SCALARS, Linearised, Point, linearise
from emtkit_std._theory.observe import autonomous_law, trajectories
from emtkit_std._theory.standard_error import of_mean

SAME_WEIGHTS = 1e-6
ERRORS = ("accuracy_before_error", "accuracy_after_error", "change_error", "null_change_error")


@dataclass(frozen=True)
class _Accuracy:
    """Of all sequences, and of each alone (B)."""

    whole: float
    alone: np.ndarray


def draw_change(findings: Findings) -> Drawing:
    """Accuracy after the edit and after random edits of its norm, beside the accuracy before."""
    marks: list[Mark] = [Rule(float(findings.scalars["accuracy_before"]))]
    ticks = {}
    edits = findings.tables["edits"].groupby("edit", sort=False)
    for place, (kind, part) in enumerate(edits):
        marks.append(Points([place] * len(part), part["accuracy"], colour=f"C{place}", size=6.0))
        ticks[float(place)] = str(kind)
    limits = (-0.5, len(ticks) - 0.5)
    return Drawing([Plot(marks, y_label="accuracy", x_limits=limits, x_ticks=ticks)])


class Intervene(Analysis):
    """Put an edited Phi back into the recurrent weights, and measure the accuracy before and after.

    With the memories Psi, Psi* of `emt_basis` and Phi_hat = Psi* W_hh Psi,

        W_hh' = W_hh + Psi (Phi_new - Phi_hat) Psi*

    The null (mean of its draws) puts a random Gaussian matrix in the place of the edit, scaled to
    change W_hh by the same Frobenius norm. All accuracies are of the same fresh sequences.

    Scalars: `accuracy_before`, `accuracy_after`, `change`, `null_change`, each with its standard
    error (`_error`) over the sequences, the last over the random edits too; `edit_norm` (share of
    |W_hh|), `point_norm`, `point_residual`, `point_kind`. Table: `edits`. Not applicable
    where the Jacobian at the fixed point is not W_hh (it is at the origin, with unit slopes there),
    or where there is no recurrent matrix of that name.

    References: Episodic Memory Theory, arXiv:2310.02430, discussion of interventions.
    """

    name = "intervene"
    version = 3  # every accuracy has a standard error
    models = RecurrentModel
    requires = (LinearHistoryLaw,)
    scalars = {
        "accuracy_before": ScalarInfo("accuracy of the network as it is", better="higher"),
        "accuracy_after": ScalarInfo("accuracy with the edited Phi", better="higher"),
        "change": ScalarInfo("accuracy won by the edit", better="higher"),
        "null_change": ScalarInfo("accuracy won by random edits of equal size, mean"),
        "accuracy_before_error": ScalarInfo("standard error of `accuracy_before`"),
        "accuracy_after_error": ScalarInfo("the same of `accuracy_after`"),
        "change_error": ScalarInfo("the same of `change`, paired by sequence"),
        "null_change_error": ScalarInfo("the same of `null_change`, over the random edits too"),
        "edit_norm": ScalarInfo("size of the edit, as a share of |W_hh|"),
        **POINT_SCALARS,
    }
    drawings = {"change": draw_change}
    conditions = {"point_kind": ("accuracy_after", "change", "null_change", "edit_norm")}

    def __init__(
        self,
        *,
        edit: Annotated[
            Literal["exact", "drop"],
            Field(
                description="Phi_new: the rule's exact Phi (the papers' fixing), or Phi_hat with "
                "the rows and columns of `variable` zeroed."
            ),
        ] = "exact",
        variable: Annotated[
            int, Field(ge=1, description="Variable that `edit: drop` zeroes; 1 is the oldest.")
        ] = 1,
        method: Method = "dual",
        threshold: Threshold = 0.9,
        draws: Annotated[
            int, Field(ge=1, description="Number of random edits behind `null_change`.")
        ] = 4,
        sequences: Sequences = 64,
        horizon: Annotated[
            int | None,
            Field(ge=1, description="Number of scored steps; null takes the task's evaluation."),
        ] = None,
        point: Point = "auto",
    ) -> None:
        self.point = point
        self.edit, self.variable, self.method, self.threshold = edit, variable, method, threshold
        self.draws, self.sequences, self.horizon = draws, sequences, horizon

    def measure(self, subject: Subject) -> Findings:
        """Edit, run, compare."""
        law = autonomous_law(subject)
        if self.variable > law.history:
            raise NotApplicable(
                f"variable {self.variable} was to be dropped; the rule has {law.history}"
            )
        local = linearise(subject, self.point)
        weights = _recurrent_weights(local)
        core = memories.spectral_core(local.jacobian, self.threshold)
        if core.size == 0:
            raise NotApplicable(f"no mode above {self.threshold}: there is no Phi to edit")
        extract = memories.ALGORITHMS[self.method]
        found = extract(core, local.jacobian, local.readout, law.history, law.mask)
        edit = found.basis @ (self._wanted(law, found) - found.phi) @ found.dual
        before = self._accuracy(subject, local.model, weights)
        after = self._accuracy(subject, local.model, weights + edit)
        normals = subject.stream.fork("null").normal((self.draws, *found.phi.shape))
        null = [
            self._accuracy(subject, local.model, weights + _as_large_as(edit, found, normal))
            for normal in normals.double().numpy()
        ]
        drawn = np.array([random.whole for random in null])
        paired = np.mean([random.alone for random in null], axis=0) - before.alone
        edits = pd.DataFrame(
            {"edit": [self.edit, *["random"] * len(null)], "accuracy": [after.whole, *drawn]}
        )
        return Findings(
            {
                "accuracy_before": before.whole,
                "accuracy_after": after.whole,
                "change": after.whole - before.whole,
                "null_change": float(drawn.mean()) - before.whole,
                "accuracy_before_error": of_mean(before.alone),
                "accuracy_after_error": of_mean(after.alone),
                "change_error": of_mean(after.alone - before.alone),
                "null_change_error": float(np.hypot(of_mean(paired), of_mean(drawn))),
                "edit_norm": float(np.linalg.norm(edit) / np.linalg.norm(weights)),
                **local.scalars,
            },
            {"edits": edits},
            reasons=dict.fromkeys(ERRORS, "a single sequence or edit has no spread"),
        )

    def _wanted(self, law: LinearHistoryLaw, found: memories.Memories) -> np.ndarray:
        if self.edit == "exact":
            return law.phi[np.ix_(law.mask, law.mask)]
        block = np.zeros((law.history, law.dimension), dtype=bool)
        block[self.variable - 1] = True
        kept = ~block.ravel()[law.mask]
        return found.phi * np.outer(kept, kept)

    def _accuracy(self, subject: Subject, model: RecurrentModel, weights: np.ndarray) -> _Accuracy:
        edited = copy.deepcopy(model)
        edited.state_dict()["W_hh"].copy_(torch.from_numpy(weights))
        horizon = self.horizon or subject.task.evaluation_horizon
        walked = trajectories(subject, edited, self.sequences, horizon)
        batch, metrics = walked.batch, subject.task.metrics(walked.outputs, walked.batch)
        if "accuracy" not in metrics:
            raise NotApplicable(f"'{subject.task.name}' has no accuracy here (real values)")
        parts = (x.split(1) for x in (walked.outputs, batch.inputs, batch.targets))
        alone = [
            float(subject.task.metrics(y, replace(batch, inputs=u, targets=z))["accuracy"])
            for y, u, z in zip(*parts, strict=True)
        ]
        return _Accuracy(float(metrics["accuracy"]), np.array(alone))


def _recurrent_weights(local: Linearised) -> np.ndarray:
    weights = local.model.state_dict().get("W_hh")
    if weights is None or tuple(weights.shape) != local.jacobian.shape:
        raise NotApplicable(
            f"'{local.model.name}' has no square matrix W_hh into which Phi could be put back"
        )
    matrix = weights.numpy().copy()
    if np.abs(matrix - local.jacobian).max() > SAME_WEIGHTS:
        raise NotApplicable(
            "the network has its fixed point where its Jacobian is not W_hh, so an edit of "
            "Phi is not an edit of the weights"
        )
    return matrix


def _as_large_as(edit: np.ndarray, found: memories.Memories, normal: np.ndarray) -> np.ndarray:
    drawn = found.basis @ normal @ found.dual
    return drawn * (np.linalg.norm(edit) / np.linalg.norm(drawn))


@hookimpl
def emtkit_analyses() -> list[type[Analysis]]:
    """Offer `intervene`."""
    return [Intervene]
