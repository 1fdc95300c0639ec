"""Analysis `intervene`: change what a network computes by editing its extracted Phi."""

import copy
from collections.abc import Callable
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
from emtkit_std._theory.emt.edited import EditedMap
from emtkit_std._theory.emt.estimated import LAW, estimated_law, fit, own_law, silent_step
from emtkit_std._theory.linearise import (
    POINT_SCALARS,
    Linearisation,
    Linearised,
    Point,
    linearise,
    recurrent,
)
from emtkit_std._theory.observe import Trajectories, autonomous_law, trajectories
from emtkit_std._theory.standard_error import of_mean

SAME_WEIGHTS = 1e-6
ERRORS = ("accuracy_before_error", "accuracy_after_error", "change_error", "null_change_error")


@dataclass(frozen=True)
class _Accuracy:
    """Of all sequences, and of each alone (B)."""

    whole: float
    alone: np.ndarray
    by: str = "accuracy"


@dataclass(frozen=True, eq=False)
class _Edit:
    """`wanted` (m k): what memories `basis` (H m) get beside what they have, of k things read.

    `put` makes the network with basis @ matrix added to its map. The size of an edit is that of
    basis @ matrix @ `reads` (k ...), as a share of `whole`.
    """

    basis: np.ndarray
    wanted: np.ndarray
    reads: np.ndarray
    put: Callable[[np.ndarray], RecurrentModel]
    place: Linearisation
    whole: float

    @property
    def nothing(self) -> np.ndarray:
        """The edit (m k) that leaves all as it is."""
        return np.zeros_like(self.wanted)

    def as_large(self, normal: np.ndarray) -> np.ndarray:
        """A random edit (m k) of the same size."""
        drawn = self._size(normal)
        return normal * (self._size(self.wanted) / drawn) if drawn > 0 else self.nothing

    @property
    def norm(self) -> float:
        """The size of the edit."""
        return self._size(self.wanted) / self.whole if self.whole > 0 else 0.0

    def _size(self, matrix: np.ndarray) -> float:
        return float(np.linalg.norm(self.basis @ matrix @ self.reads))


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

    A task without a linear law has an estimated one (`law`), with memories fitted as in
    `emt_basis`. The edit is then one of the map, of any recurrent network, and a task that
    has no accuracy is scored by the R^2 of its answers (`scored_by`):

        F'(h, u) = F(h, u) + Psi [(Phi_new - Phi_hat) Psi* (h - mean) + c]

    with c (0 if a variable is dropped) such that the means of what is read move as the task's do.

    Scalars: `accuracy_before`, `accuracy_after`, `change`, `null_change`, each with its standard
    error (`_error`) over the sequences, the last over the random edits too; `edit_norm` (share of
    |W_hh|), `point_norm`, `point_residual`, `point_kind`. Table: `edits`. Where
    a task states its law, not applicable if the Jacobian at the fixed point is not W_hh (it is at
    the origin, with unit slopes there), or if there is no recurrent matrix of that name.

    References: Episodic Memory Theory, arXiv:2310.02430, discussion of interventions.
    """

    name = "intervene"
    version = 4  # tasks without a law of their own
    models = RecurrentModel
    scalars = {
        "accuracy_before": ScalarInfo("accuracy of the network as it is", better="higher"),
        "accuracy_after": ScalarInfo(
            "accuracy with the edited Phi",
            better="higher",
            undefined="where the answers after an edit overflow",
        ),
        "change": ScalarInfo(
            "accuracy won by the edit",
            better="higher",
            undefined="where the answers after an edit overflow",
        ),
        "null_change": ScalarInfo(
            "accuracy won by random edits of equal size, mean",
            undefined="where the answers after an edit overflow",
        ),
        "accuracy_before_error": ScalarInfo("standard error of `accuracy_before`"),
        "accuracy_after_error": ScalarInfo("the same of `accuracy_after`"),
        "change_error": ScalarInfo("the same of `change`, paired by sequence"),
        "null_change_error": ScalarInfo("the same of `null_change`, over the random edits too"),
        "edit_norm": ScalarInfo(
            "size of the edit, as a share of |W_hh|; of an estimated law, of how far states move"
        ),
        "scored_by": ScalarInfo("accuracy, or r2 of the answers where the task has no accuracy"),
        "law": LAW,
        **POINT_SCALARS,
    }
    drawings = {"change": draw_change}
    conditions = {
        "law": ("accuracy_after", "change", "null_change", "edit_norm"),
        "scored_by": ("accuracy_before", "accuracy_after", "change", "null_change"),
        "point_kind": ("accuracy_after", "change", "null_change", "edit_norm"),
    }

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
        edit = self._of_weights(subject) if own_law(subject) else self._of_map(subject)
        both = (edit.nothing, edit.wanted)
        before, after = (self._accuracy(subject, edit.put(matrix)) for matrix in both)
        normals = subject.stream.fork("null").normal((self.draws, *edit.wanted.shape))
        null = [
            self._accuracy(subject, edit.put(edit.as_large(normal)))
            for normal in normals.double().numpy()
        ]
        drawn = np.array([random.whole for random in null])
        with np.errstate(invalid="ignore", over="ignore"):  # an edit may make answers overflow
            paired = np.mean([random.alone for random in null], axis=0) - before.alone
            numbers = {
                "accuracy_before": before.whole,
                "accuracy_after": after.whole,
                "change": after.whole - before.whole,
                "null_change": float(drawn.mean()) - before.whole,
                "accuracy_before_error": of_mean(before.alone),
                "accuracy_after_error": of_mean(after.alone),
                "change_error": of_mean(after.alone - before.alone),
                "null_change_error": float(np.hypot(of_mean(paired), of_mean(drawn))),
            }
        finite = {name: x if np.isfinite(x) else float("nan") for name, x in numbers.items()}
        reasons = dict.fromkeys(ERRORS, "a single sequence or edit has no spread")
        if not np.isfinite([after.whole, *drawn]).all():
            reasons = dict.fromkeys(numbers, "the answers after an edit overflow")
        edits = pd.DataFrame(
            {"edit": [self.edit, *["random"] * len(null)], "accuracy": [after.whole, *drawn]}
        )
        return Findings(
            {
                **finite,
                "edit_norm": edit.norm,
                "scored_by": before.by,
                "law": "stated" if own_law(subject) else "estimated",
                **edit.place.scalars,
            },
            {"edits": edits},
            reasons=reasons | dict(edit.place.reasons),
        )

    def _of_weights(self, subject: Subject) -> _Edit:
        """Into W_hh, by Algorithm 1 and the law that the task states."""
        law = autonomous_law(subject)
        self._refuse_variable(law.history)
        local = linearise(subject, self.point)
        weights = _recurrent_weights(local)
        core = memories.spectral_core(local.jacobian, self.threshold)
        if core.size == 0:
            raise NotApplicable(
                f"no mode above {self.threshold}: there is no Phi to edit; lower `threshold`"
            )
        extract = memories.ALGORITHMS[self.method]
        found = extract(core, local.jacobian, local.readout, law.history, law.mask)
        block = np.zeros((law.history, law.dimension), dtype=bool)
        block[self.variable - 1] = True
        exact = law.phi[np.ix_(law.mask, law.mask)]
        wanted = self._wanted(exact, found.phi, block.ravel()[law.mask])

        def put(matrix: np.ndarray) -> RecurrentModel:
            edited = copy.deepcopy(local.model)
            changed = weights + found.basis @ matrix @ found.dual
            edited.state_dict()["W_hh"].copy_(torch.from_numpy(changed))
            return edited

        whole = float(np.linalg.norm(weights))
        return _Edit(found.basis, wanted, found.dual, put, Linearisation(local), whole)

    def _of_map(self, subject: Subject) -> _Edit:
        """Into any map, by memories fitted to the law that is estimated."""
        law, model = estimated_law(subject), recurrent(subject)
        self._refuse_variable(len(law.phi))
        seen = silent_step(model, law)
        found = fit(seen, law)
        if not found.dual.any():
            raise NotApplicable(
                f"no variable can be read from the states of '{model.name}', so there is no Phi to "
                "edit; train it first, or use `memory_map`, which also looks for curved codes"
            )
        wanted = self._wanted(law.phi, found.phi, np.arange(len(law.phi)) == self.variable - 1)
        middle = seen.states.mean(0)
        offset = law.drift - found.dual @ (seen.moved.mean(0) - middle)
        if self.edit == "drop":
            offset = np.zeros(len(law.phi))
        read = found.states @ found.dual.T

        def put(matrix: np.ndarray) -> RecurrentModel:
            return EditedMap(model, found.basis @ matrix, found.dual, middle)

        return _Edit(
            found.basis,
            np.column_stack([wanted, offset]),
            np.vstack([read.T, np.ones(len(read))]),
            put,
            Linearisation(None, "nothing is linearised here"),
            float(np.linalg.norm(found.moved)),
        )

    def _refuse_variable(self, count: int) -> None:
        if self.variable > count:
            raise NotApplicable(
                f"variable {self.variable} was to be dropped; the rule has {count}: lower "
                "`variable`"
            )

    def _wanted(self, exact: np.ndarray, found: np.ndarray, dropped: np.ndarray) -> np.ndarray:
        """Phi_new - Phi_hat."""
        if self.edit == "exact":
            return np.asarray(exact - found)
        return np.asarray(found * np.outer(~dropped, ~dropped) - found)

    def _accuracy(self, subject: Subject, edited: RecurrentModel) -> _Accuracy:
        horizon = self.horizon or subject.task.evaluation_horizon
        walked = trajectories(subject, edited, self.sequences, horizon)
        batch, metrics = walked.batch, subject.task.metrics(walked.outputs, walked.batch)
        if "accuracy" not in metrics:
            return _r2(subject, walked)
        masks = batch.mask if batch.per_sequence else batch.mask.expand(self.sequences, -1)
        parts = (x.split(1) for x in (walked.outputs, batch.inputs, batch.targets, masks))
        alone = []
        for y, u, z, own in zip(*parts, strict=True):
            mask = own if batch.per_sequence else own[0]
            one = replace(batch, inputs=u, targets=z, mask=mask)
            alone.append(float(subject.task.metrics(y, one)["accuracy"]))
        return _Accuracy(float(metrics["accuracy"]), np.array(alone))


def _r2(subject: Subject, walked: Trajectories) -> _Accuracy:
    """Of the answers at scored steps, about their mean; NotApplicable where a law is stated."""
    if own_law(subject):
        raise NotApplicable(
            f"'{subject.task.name}' has no accuracy here (real values); choose a rule of signs"
        )
    batch = walked.batch
    scored = batch.mask.expand(batch.inputs.shape[:2])[..., None]
    missed = (torch.square(walked.outputs - batch.targets) * scored).sum((1, 2)).numpy()
    middle = (batch.targets * scored).sum((0, 1)) / scored.sum((0, 1))
    whole = float((torch.square(batch.targets - middle) * scored).sum()) / len(missed)
    alone = 1 - missed / whole
    return _Accuracy(float(alone.mean()), alone, "r2")


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


@hookimpl
def emtkit_analyses() -> list[type[Analysis]]:
    """Offer `intervene`."""
    return [Intervene]
