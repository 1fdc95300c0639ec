"""Analysis `emt_basis`: the variable memories of a network, and what it holds in them."""

from typing import Annotated

import numpy as np
from pydantic import Field

from emtkit import Analysis, Control, Findings, RecurrentModel, ScalarInfo, Subject, hookimpl
from emtkit_std._controls import EXACT_CIRCUIT, REPEAT_COPY, UNTRAINED
from emtkit_std._drawings import Figure, draw_reason, draw_signed
from emtkit_std._findings import undefined
from emtkit_std._parameters import Method, Sequences, Steps, Threshold
from emtkit_std._theory.emt import memories
from emtkit_std._theory.emt.memories import Memories
from emtkit_std._theory.facts import Array, HistoryLaw
from emtkit_std._theory.linearise import POINT_SCALARS, Linearised, Point, linearise
from emtkit_std._theory.observe import autonomous_law, histories, trajectories
from emtkit_std._theory.standard_error import of_mean

ERRORS = ("sign_agreement_error", "sign_agreement_at_s_error")
UNDEFINED = ("phi_error", "sign_agreement", "sign_agreement_at_s", "condition", "residual", *ERRORS)
"""What a network without a core has not got."""


def draw_weights(findings: Findings, figure: Figure) -> None:
    """The recurrent weights before and after the change of basis, beside theory's Phi."""
    if "jacobian" not in findings.arrays:
        return draw_reason(figure, findings.reasons["phi_error"])
    places = figure.subplot_mosaic([["changed", "changed", "exact"], ["changed", "changed", "raw"]])
    raw, changed, exact = places["raw"], places["changed"], places["exact"]
    for axes, name, title in (
        (raw, "jacobian", "recurrent weights"),
        (changed, "weights_in_basis", "in the basis of memories"),
        (exact, "phi_theory", "theory"),
    ):
        draw_signed(axes, findings.arrays[name], origin="upper", aspect="equal")
        axes.set_title(title)
    edge = len(findings.arrays["phi_theory"]) - 0.5
    changed.axhline(edge, color="grey", linewidth=0.8)
    changed.axvline(edge, color="grey", linewidth=0.8)


def draw_hidden(findings: Findings, figure: Figure) -> None:
    """One sequence over time: hidden units, the variables read from them, and the true ones.

    As in the paper's figure, each variable is shown in units of its own size over time.
    """
    if "hidden_states" not in findings.arrays:
        return draw_reason(figure, findings.reasons["phi_error"])
    before, after, truth = figure.subplots(3, 1, sharex=True)
    coordinates = findings.arrays["coordinates"]
    size = np.sqrt(np.mean(coordinates**2, axis=0))
    for axes, values, label in (
        (before, findings.arrays["hidden_states"], "units"),
        (after, coordinates / np.where(size > 0, size, 1.0), "memories"),
        (truth, findings.arrays["contents"], "truth"),
    ):
        draw_signed(axes, values.T, origin="upper")
        axes.set_ylabel(label)
    truth.set_xlabel("step after the last input")


class EmtBasis(Analysis):
    """Variable memories by Algorithm 1, and the recurrent weights and hidden states in them.

    From the Jacobian J and readout W_r at the fixed point, the core (eigenvalues of modulus above
    `threshold`) with its Riesz projector Pi = Z L and A = L J Z:

        dual (default):  Psi*_k = (W_r Z) A^-(s-k) L,   Psi = Z pinv(Psi* Z)
        primal:          Psi_k = Pi J^(s-k) W_r^+,      Psi* = pinv(Psi)

    for the coordinates that the rule's mask keeps; Phi_hat = Psi* J Psi. The dual is exact for
    every linear rule in every basis; the primal, which the papers print, where the newest
    variable is orthogonal to the others.

    The variables of a state are Psi* (h(t) - h*), from the fixed point h*. Arrays: `basis` (H, m),
    `dual` (m, H), `phi`, `phi_theory` (m, m), `outside` (H, q: main directions of what the memories
    leave of the states, centred), `weights_in_basis` (m + q, m + q), `jacobian`, and of one
    sequence `hidden_states` (T, H), `coordinates`, `contents` (T, s d; NaN where the mask drops a
    coordinate).

    References: Episodic Memory Theory, arXiv:2310.02430, Eqs. 8-11, Algorithm 1, Figs. 3-4.
    """

    name = "emt_basis"
    version = 2  # standard errors
    models = RecurrentModel
    requires = (HistoryLaw,)
    scalars = {
        "phi_error": ScalarInfo(
            "relative Frobenius distance of Phi_hat from Phi",
            better="lower",
            undefined="without a core",
        ),
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
        **POINT_SCALARS,
    }
    drawings = {"weights": draw_weights, "hidden": draw_hidden}
    conditions = {"point_kind": (*UNDEFINED, "rank", "core_size")}
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
        law = autonomous_law(subject)
        local = linearise(subject, self.point)
        core = memories.spectral_core(local.jacobian, self.threshold)
        sizes = {"mask_size": int(law.mask.sum()), "core_size": core.size, **local.scalars}
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
        return Findings(
            {
                "phi_error": memories.phi_error(found, law.phi, law.mask),
                "sign_agreement": float(right.mean()),
                "sign_agreement_error": of_mean(right.mean((1, 2))),
                "sign_agreement_at_s": float(right[:, 0].mean()),
                "sign_agreement_at_s_error": of_mean(right[:, 0].mean(1)),
                "condition": found.condition if np.isfinite(found.condition) else float("nan"),
                "rank": found.rank,
                "residual": found.residual,
                **sizes,
            },
            arrays=self._arrays(law, local, found, states, contents),
            reasons={
                "condition": "the basis is singular: its smallest singular value is zero",
                **dict.fromkeys(ERRORS, "a single sequence has no spread"),
            },
        )

    def _arrays(
        self, law: HistoryLaw, local: Linearised, found: Memories, states: Array, contents: Array
    ) -> dict[str, Array]:
        outside = memories.outside_basis(states, found, self.outside)
        rows = np.concatenate([found.dual, outside.T])
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
            "hidden_states": states[0],
            "coordinates": coordinates,
            "contents": np.where(law.mask, contents[0], np.nan),
        }


@hookimpl
def emtkit_analyses() -> list[type[Analysis]]:
    """Offer `emt_basis`."""
    return [EmtBasis]
