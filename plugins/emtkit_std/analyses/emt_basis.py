"""Analysis `emt_basis`: the variable memories of a network, and what it holds in them."""

from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from emtkit import Analysis, Control, Findings, RecurrentModel, ScalarInfo, Subject, hookimpl
from emtkit_std._controls import EXACT_CIRCUIT, REPEAT_COPY, UNTRAINED
from emtkit_std._findings import Measured, undefined
from emtkit_std._parameters import Method, Sequences, Steps, Threshold
from emtkit_std._theory.emt import memories
from emtkit_std._theory.emt.drawings import draw_hidden, draw_weights
from emtkit_std._theory.emt.estimated import LAW, estimated_law, fit, own_law, silent_step
from emtkit_std._theory.emt.memories import Memories
from emtkit_std._theory.facts import Array, LinearHistoryLaw
from emtkit_std._theory.linearise import (
    POINT_SCALARS,
    Linearised,
    Point,
    linearise,
    recurrent,
    silent_map,
)
from emtkit_std._theory.observe import autonomous_law, histories, trajectories
from emtkit_std._theory.standard_error import Ratio, of_mean
from emtkit_std._theory.svd import decompose

ERRORS = ("sign_agreement_error", "sign_agreement_at_s_error")
OUTSIDE = ("acts_outside", "acts_outside_error", "null_acts_outside", "null_acts_outside_error")
DRAWS = 8
"""Random subspaces behind `null_acts_outside`."""
UNDEFINED = (
    *("phi_error", "phi_contrast", "sign_agreement", "sign_agreement_at_s", "condition"),
    *("residual", *ERRORS, *OUTSIDE),
)
"""What a network without a core has not got."""
_INVARIANT = (
    "memories of an estimated law are fitted to states, and are no subspace that could act on "
    "another; offer the fact LinearHistoryLaw in the task"
)


class EmtBasis(Analysis):
    """Variable memories by Algorithm 1, and the recurrent weights and hidden states in them.

    From the Jacobian J and readout W_r at the fixed point, the core (eigenvalues of modulus above
    `threshold`) with its Riesz projector Pi = Z L and A = L J Z:

        dual (default):  Psi*_k = (W_r Z) A^-(s-k) L,   Psi = Z pinv(Psi* Z)
        primal:          Psi_k = Pi J^(s-k) W_r^+,      Psi* = pinv(Psi)

    for the coordinates that the rule's mask keeps; Phi_hat = Psi* J Psi. The dual is exact for
    every linear rule in every basis; the primal, which the papers print, where the newest
    variable is orthogonal to the others.

    Moduli are free in theory. `phi_contrast` leaves out what is: of each of the d rows of Phi_hat
    that compute, the share that lies along the circuit's, max(cos, 0)^2, mean over rows; for random
    rows it is 1 / 2m (`null_phi_contrast`).

    Do memories act on other subspaces? In the linear picture they cannot where they fill the core,
    which is invariant: both mixed blocks of `weights_in_basis` then vanish by construction. At the
    size in use they can, by the nonlinearity: with P = Psi Psi* and z = F(h* + P (h - h*)) - h*,

        acts_outside = sum |(I - P) z|^2 / sum |z|^2,

    beside the mean of random orthogonal projectors of the same rank (`null_acts_outside`).

    A task without a linear law has an estimated one, z' = Phi z in silence, z its later answers
    that depend on the past (`law`). Its memories are fitted to the states after the same inputs,
    nothing is linearised, and what is not held is read as its mean:

        z ~ Psi* (h - mean)
        Phi_hat = regression of Psi* (F(h) - mean) on z, on other sequences

    `phi_error` is then 1 where nothing is kept, `phi_contrast` over all rows, `sign_agreement`
    (from the mean) over that step and the next, and `core_size` counts eigenvalues of Phi_hat.

    The variables of a state are Psi* (h(t) - h*), from the fixed point h*. Arrays: `basis` (H, m),
    `dual` (m, H), `phi`, `phi_theory` (m, m), `outside` O (H, q: main directions of what the
    memories leave of the states, centred), `weights_in_basis` (m + q, m + q), J in the basis
    [Psi, O] with its dual [Psi*; O'(I - P)], `jacobian`, `kept` (s, d: 1 where the mask keeps a
    coordinate), and of one sequence `hidden_states` (T, H), `coordinates`, `contents` (T, s d; NaN
    where the mask drops a coordinate).

    References: Episodic Memory Theory, arXiv:2310.02430, Eqs. 8-11, Algorithm 1, Figs. 3-6.
    """

    name = "emt_basis"
    version = 4  # tasks without a law of their own
    models = RecurrentModel
    scalars = {
        "phi_error": ScalarInfo(
            "relative Frobenius distance of Phi_hat from Phi",
            better="lower",
            undefined="without a core",
        ),
        "phi_contrast": ScalarInfo(
            "share of the extracted rule that lies along the rule, whatever its size",
            better="higher",
            undefined="without a core",
        ),
        "null_phi_contrast": ScalarInfo("the same of random rows, mean"),
        "acts_outside": ScalarInfo(
            "share of what the memories alone bring about that lies outside of them",
            undefined="without a core, or where it fills the state",
        ),
        "acts_outside_error": ScalarInfo("standard error of `acts_outside`, over sequences"),
        "null_acts_outside": ScalarInfo(
            "the same of random subspaces of that size, mean",
            undefined="without a core, or where it fills the state",
        ),
        "null_acts_outside_error": ScalarInfo("standard error of it, over the subspaces"),
        "sign_agreement": ScalarInfo(
            "share of signs of the variables that agree with the true history, all t >= s",
            better="higher",
            undefined="without a core",
        ),
        "sign_agreement_at_s": ScalarInfo(
            "the same at t = s alone", better="higher", undefined="without a core"
        ),
        "sign_agreement_error": ScalarInfo("standard error of `sign_agreement`, over sequences"),
        "sign_agreement_at_s_error": ScalarInfo("the same of `sign_agreement_at_s`"),
        "condition": ScalarInfo(
            "condition number of the basis Psi", undefined="where the basis is singular"
        ),
        "rank": ScalarInfo("rank of the basis"),
        "residual": ScalarInfo("max |Psi* Psi - I|", better="lower", undefined="without a core"),
        "mask_size": ScalarInfo("number of coordinates that the rule keeps"),
        "core_size": ScalarInfo("number of eigenvalues above the threshold"),
        "law": LAW,
        **POINT_SCALARS,
    }
    drawings = {"weights": draw_weights, "hidden": draw_hidden}
    conditions = {
        "point_kind": (*UNDEFINED, "rank", "core_size"),
        "law": ("phi_error", "phi_contrast", "sign_agreement", "residual", "core_size"),
    }
    controls = (
        Control(REPEAT_COPY, EXACT_CIRCUIT, "phi_error", most=1e-9),
        Control(REPEAT_COPY, UNTRAINED, "core_size", most=0),
    )

    def __init__(
        self,
        *,
        method: Method = "dual",
        threshold: Threshold = 0.9,
        outside: Annotated[
            int,
            Field(ge=0, description="Most directions q of what the memories leave of the states."),
        ] = 10,
        sequences: Sequences = 64,
        horizon: Annotated[Steps, Field(ge=1)] = None,
        point: Point = "auto",
    ) -> None:
        self.method, self.threshold, self.outside = method, threshold, outside
        self.sequences, self.horizon, self.point = sequences, horizon, point

    def measure(self, subject: Subject) -> Findings:
        """Extract the memories and read the states of fresh sequences through them."""
        if not own_law(subject):
            return self._fitted(subject)
        law = autonomous_law(subject)
        local = linearise(subject, self.point)
        core = memories.spectral_core(local.jacobian, self.threshold)
        kept = int(law.mask.sum())
        sizes = {"mask_size": kept, "core_size": core.size, "law": "stated", **local.scalars}
        sizes["null_phi_contrast"] = memories.random_contrast(kept)
        if core.size == 0:
            missing = f"no eigenvalue of the network has a modulus above {self.threshold}"
            without = undefined(UNDEFINED, f"{missing}, so it has no core")
            return Findings({**without.scalars, "rank": 0, **sizes}, reasons=without.reasons)
        extract = memories.ALGORITHMS[self.method]
        found = extract(core, local.jacobian, local.readout, law.history, law.mask)
        walked = trajectories(subject, local.model, self.sequences, self.horizon)
        states = walked.autonomous.numpy() - local.point
        contents = histories(law, walked.batch)
        seen = memories.project(states, found)
        right = memories.signs_agree(seen, contents[..., law.mask])
        acts = self._acts_outside(subject, local, found, states)
        return Findings(
            {
                "phi_error": memories.phi_error(found, law.phi, law.mask),
                "phi_contrast": memories.rule_contrast(found, law),
                "sign_agreement": float(right.mean()),
                "sign_agreement_error": of_mean(right.mean((1, 2))),
                "sign_agreement_at_s": float(right[:, 0].mean()),
                "sign_agreement_at_s_error": of_mean(right[:, 0].mean(1)),
                "condition": found.condition if np.isfinite(found.condition) else float("nan"),
                "rank": found.rank,
                "residual": found.residual,
                **acts.scalars,
                **sizes,
            },
            arrays=self._arrays(law, local, found, states, contents),
            reasons={
                "condition": "the basis is singular: its smallest singular value is zero",
                **dict.fromkeys((*ERRORS, "acts_outside_error"), "a single sequence has no spread"),
                **acts.reasons,
            },
        )

    def _fitted(self, subject: Subject) -> Findings:
        """The memories of an estimated law."""
        law = estimated_law(subject)
        found = fit(silent_step(recurrent(subject), law), law)
        lengths = np.linalg.norm(found.phi, axis=1) * np.linalg.norm(law.phi, axis=1)
        along = (found.phi * law.phi).sum(1) / np.where(lengths > 0, lengths, 1.0)
        values = decompose(found.basis).values
        right, size = found.right, len(law.phi)
        outside = undefined(OUTSIDE, _INVARIANT)
        nowhere = undefined(("point_norm", "point_residual"), "nothing is linearised here")
        return Findings(
            {
                "phi_error": found.error(law.phi),
                "phi_contrast": float((np.maximum(along, 0.0) ** 2).mean()),
                "null_phi_contrast": memories.random_contrast(size),
                "sign_agreement": float(right.mean()),
                "sign_agreement_error": of_mean(right.mean((0, 2))),
                "sign_agreement_at_s": float(right[0].mean()),
                "sign_agreement_at_s_error": of_mean(right[0].mean(1)),
                "condition": float(values[0] / values[-1]) if values[-1] > 0 else float("nan"),
                "rank": int((values > memories.RCOND * values[0]).sum()),
                "residual": float(np.abs(found.dual @ found.basis - np.eye(size)).max()),
                "mask_size": size,
                "core_size": int((np.abs(np.linalg.eigvals(found.phi)) > self.threshold).sum()),
                "law": "estimated",
                "point_kind": "none",
                **outside.scalars,
                **nowhere.scalars,
            },
            arrays={"basis": found.basis, "dual": found.dual, "phi": found.phi},
            reasons={
                "condition": "the basis is singular: its smallest singular value is zero",
                "phi_error": "the rule forgets everything in one step",
                **outside.reasons,
                **nowhere.reasons,
            },
        )

    def _acts_outside(
        self, subject: Subject, local: Linearised, found: Memories, states: Array
    ) -> Measured:
        """What the memories alone bring about outside of them, and what random subspaces do."""
        width = states.shape[-1]
        if found.rank == width:
            return undefined(OUTSIDE, f"the memories fill all {width} dimensions of the state")
        state_map, point = silent_map(subject, local.model), torch.from_numpy(local.point)

        def left(projector: Array) -> Ratio:
            with torch.no_grad():
                inside = torch.from_numpy(states @ projector.T).flatten(0, 1)
                moved = (state_map(point + inside) - point).numpy().reshape(states.shape)
            parts = np.square(moved - moved @ projector.T).sum((1, 2))
            return Ratio(parts, np.square(moved).sum((1, 2)))

        own = left(found.basis @ found.dual)
        normals = subject.stream.fork("subspaces").normal((DRAWS, width, found.rank)).double()
        bases = np.linalg.qr(normals.numpy())[0]
        drawn = np.array([left(basis @ basis.T).value for basis in bases])
        values = (own.value, own.error, float(drawn.mean()), of_mean(drawn))
        return Measured(
            dict(zip(OUTSIDE, values, strict=True)),
            dict.fromkeys(OUTSIDE, "the memories alone bring about nothing"),
        )

    def _arrays(
        self,
        law: LinearHistoryLaw,
        local: Linearised,
        found: Memories,
        states: Array,
        contents: Array,
    ) -> dict[str, Array]:
        outside = memories.outside_basis(states, found, self.outside)
        rows = np.concatenate([found.dual, memories.outside_dual(outside, found)])
        columns = np.concatenate([found.basis, outside], axis=1)
        coordinates = np.full(contents.shape[1:], np.nan)
        coordinates[:, law.mask] = memories.project(states[0], found)
        return {
            "basis": found.basis,
            "dual": found.dual,
            "phi": found.phi,
            "phi_theory": law.phi[np.ix_(law.mask, law.mask)],
            "outside": outside,
            "weights_in_basis": rows @ local.jacobian @ columns,
            "jacobian": local.jacobian,
            "kept": law.mask.reshape(law.history, law.dimension).astype(np.float64),
            "hidden_states": states[0],
            "coordinates": coordinates,
            "contents": np.where(law.mask, contents[0], np.nan),
        }


@hookimpl
def emtkit_analyses() -> list[type[Analysis]]:
    """Offer `emt_basis`."""
    return [EmtBasis]
