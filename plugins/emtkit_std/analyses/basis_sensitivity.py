"""Analysis `basis_sensitivity`: how far noise and precision move the extracted memories."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from emtkit import (
    Analysis,
    Drawing,
    Findings,
    Line,
    Mark,
    NotApplicable,
    Plot,
    RecurrentModel,
    Scalar,
    ScalarInfo,
    Style,
    Subject,
    hookimpl,
)
from emtkit_std._findings import undefined
from emtkit_std._parameters import Sequences, Steps, Threshold
from emtkit_std._theory.emt import angles, memories
from emtkit_std._theory.emt.estimated import (
    LAW,
    EstimatedLaw,
    Fitted,
    Silent,
    estimated_law,
    fit,
    own_law,
    silent_step,
)
from emtkit_std._theory.emt.memories import Memories
from emtkit_std._theory.facts import Array, LinearHistoryLaw
from emtkit_std._theory.linearise import POINT_SCALARS, Linearised, Point, linearise, recurrent
from emtkit_std._theory.observe import autonomous_law, histories, trajectories
from emtkit_std._theory.standard_error import of_mean

METHODS = tuple(memories.ALGORITHMS)
FITTED = "fitted"
"""The method of tasks whose law is estimated."""
PRECISIONS: dict[str, Any] = {"double": np.float64, "single": np.float32}
NUMBERS = ("phi_error", "single_phi_error", "phi_gain", "noise_kept")
AGREEMENT = 0.99


def draw_response(findings: Findings) -> Drawing:
    """Phi error and sign agreement against the size of the noise, by method and precision."""
    table = findings.tables["response"]
    errors: list[Mark] = []
    signs: list[Mark] = []
    for (method, precision), part in table[table["noise"] > 0].groupby(["method", "precision"]):
        colour: str = "C1" if method == "primal" else "C0"
        style: Style = "solid" if precision == "double" else "dashed"
        label = f"{method}, {precision}"
        for marks, name in ((errors, "phi_error"), (signs, "sign_agreement")):
            marks.append(Line(part["noise"], part[name], label, colour, style))
    return Drawing(
        [
            Plot(errors, "", "relative noise", "Phi error", x_log=True, y_log=True),
            Plot(signs, "", "relative noise", "sign agreement", x_log=True),
        ]
    )


class BasisSensitivity(Analysis):
    """The response of Algorithm 1 to noise on W_hh and W_r, and to single precision.

    Gaussian matrices are added to Jacobian and readout, alike for both methods and precisions; the
    memories are extracted anew and read the network's own undisturbed states.

        drift = |Phi_hat - Phi_hat_0|_F / |Phi_hat_0|_F
        phi_gain = drift / noise

    `noise_kept` asks that all modes are found and the signs agree to 0.99. Table: `response`
    (method, precision, noise, angle_error, phi_error, drift, drift_error, sign_agreement, rank,
    modes_found), means over draws.

    A task without a linear law has an estimated one (`law`). Its memories, `fitted` as in
    `emt_basis`, come from states, and so the noise is that of states: the same in each unit,
    relative to the rms of all. What is of another method is undefined.

    References: the sensitivity left open by Episodic Memory Theory, arXiv:2310.02430.
    """

    name = "basis_sensitivity"
    version = 3  # tasks without a law of their own
    models = RecurrentModel
    scalars = {
        "phi_error_{method}": ScalarInfo(
            "relative distance of Phi_hat from Phi without noise",
            better="lower",
            undefined="without a core, or where the law asks for another method",
        ),
        "single_phi_error_{method}": ScalarInfo(
            "the same in single precision", better="lower", undefined="as without"
        ),
        "phi_gain_{method}": ScalarInfo(
            "movement of Phi_hat per unit of noise on the weights, at the level nearest 1e-4",
            better="lower",
            undefined="without a core, or where the law asks for another method",
        ),
        "phi_gain_{method}_error": ScalarInfo("standard error of the gain, over the draws"),
        "noise_kept_{method}": ScalarInfo(
            "largest noise at which all modes are found and the signs agree; 0 if none",
            better="higher",
            undefined="where the law asks for another method",
        ),
        "law": LAW,
        **POINT_SCALARS,
    }
    drawings = {"response": draw_response}
    conditions = {"point_kind": tuple(f"{name}_{m}" for name in NUMBERS for m in METHODS)}

    def __init__(
        self,
        *,
        noises: Annotated[
            tuple[Annotated[float, Field(gt=0)], ...],
            Field(
                description="Levels of noise: spectral norms of what is added, relative to that of "
                "the matrix."
            ),
        ] = (*(1e-8, 1e-7, 1e-6, 1e-5), *(1e-4, 1e-3, 1e-2, 1e-1)),
        draws: Annotated[
            int, Field(ge=1, description="Number of draws of the noise that are averaged.")
        ] = 3,
        threshold: Threshold = 0.9,
        sequences: Sequences = 32,
        horizon: Annotated[Steps, Field(ge=1)] = None,
        point: Point = "auto",
    ) -> None:
        self.noises, self.draws, self.threshold = tuple(sorted(noises)), draws, threshold
        self.sequences, self.horizon, self.point = sequences, horizon, point

    def measure(self, subject: Subject) -> Findings:
        """Disturb, extract, compare, at every level, method and precision."""
        if not own_law(subject):
            return self._fitted(subject)
        law = autonomous_law(subject)
        local = linearise(subject, self.point)
        if memories.spectral_core(local.jacobian, self.threshold).size == 0:
            raise NotApplicable(
                f"no mode above {self.threshold}: there is no basis to disturb; lower `threshold`"
            )
        walked = trajectories(subject, local.model, self.sequences, self.horizon)
        setting = _Setting(
            law,
            walked.autonomous.numpy() - local.point,
            histories(law, walked.batch)[..., law.mask],
            self.threshold,
        )
        rows = []
        for method in METHODS:
            exact = setting.extract(method, local.jacobian, local.readout)
            for precision in PRECISIONS:
                for noise, matrices in self._disturbed(subject, local):
                    seen = [setting.respond(method, precision, exact, *pair) for pair in matrices]
                    level = {"method": method, "precision": precision, "noise": noise}
                    drift = {"drift_error": of_mean(np.array([one["drift"] for one in seen]))}
                    rows.append({**level, **pd.DataFrame(seen).mean().to_dict(), **drift})
        table = pd.DataFrame(rows)
        scalars: dict[str, Scalar] = {}
        for method in METHODS:
            part = table[table["method"] == method]
            scalars |= _summary(part, method, law.core_rank)
        missing = "no core was found at this level, or there is a single draw"
        reasons = dict.fromkeys(scalars, missing)
        without = undefined(_names(FITTED), "the task states its law; see `phi_error_dual`")
        scalars |= {**without.scalars, "law": "stated", **local.scalars}
        return Findings(scalars, {"response": table}, reasons={**reasons, **without.reasons})

    def _fitted(self, subject: Subject) -> Findings:
        """The response of fitted memories to noise on the states."""
        law = estimated_law(subject)
        seen = silent_step(recurrent(subject), law)
        shape = (self.draws, 2, *seen.states.shape)
        drawn = subject.stream.fork("noise").normal(shape).double().numpy()
        size = np.sqrt(np.square(seen.states - seen.states.mean(0)).mean())
        exact = fit(seen, law)
        rows = []
        for precision, dtype in PRECISIONS.items():
            for noise in (0.0, *self.noises):
                each = [
                    Silent(seen.states + noise * size * a, seen.moved + noise * size * b)
                    for a, b in (drawn if noise else drawn[:1])
                ]
                answers = [self._of_fitted(one, law, exact, dtype) for one in each]
                level = {"method": FITTED, "precision": precision, "noise": noise}
                drift = {"drift_error": of_mean(np.array([one["drift"] for one in answers]))}
                rows.append({**level, **pd.DataFrame(answers).mean().to_dict(), **drift})
        table = pd.DataFrame(rows)
        why = (
            "this method needs a law that the task states; offer the fact LinearHistoryLaw, or see "
            f"`phi_error_{FITTED}`"
        )
        place = undefined(("point_norm", "point_residual"), "nothing is linearised here")
        without = undefined([name for method in METHODS for name in _names(method)], why)
        scalars = _summary(table, FITTED, len(law.spectrum))
        reasons = dict.fromkeys(scalars, "nothing is held that could drift, or there is one draw")
        return Findings(
            {
                **scalars,
                **without.scalars,
                **place.scalars,
                "point_kind": "none",
                "law": "estimated",
            },
            {"response": table},
            reasons={**reasons, **without.reasons, **place.reasons},
        )

    def _of_fitted(
        self, seen: Silent, law: EstimatedLaw, exact: Fitted, dtype: type
    ) -> dict[str, float]:
        """The numbers of one draw; of single precision the states are."""
        rounded = (each.astype(dtype).astype(np.float64) for each in (seen.states, seen.moved))
        found = fit(Silent(*rounded), law)
        spectrum = angles.compare_spectra(
            np.linalg.eigvals(found.phi), law.spectrum, self.threshold
        )
        scale = float(np.linalg.norm(exact.phi)) or float("nan")
        return {
            "angle_error": spectrum.error,
            "modes_found": float(spectrum.found),
            "phi_error": found.error(law.phi),
            "drift": float(np.linalg.norm(found.phi - exact.phi)) / scale,
            "sign_agreement": float(found.right.mean()),
            "rank": float(np.linalg.matrix_rank(found.basis)),
        }

    def _disturbed(
        self, subject: Subject, local: Linearised
    ) -> list[tuple[float, list[tuple[Array, Array]]]]:
        """For each level, pairs of Jacobian and readout; the same directions at every level."""
        stream = subject.stream.fork("noise")
        shape = (self.draws, *local.jacobian.shape), (self.draws, *local.readout.shape)
        normals = (stream.normal(each).double().numpy() for each in shape)
        recurrent, read = (
            drawn / np.linalg.norm(drawn, 2, axis=(1, 2))[:, None, None] for drawn in normals
        )
        size = np.linalg.norm(local.jacobian, 2), np.linalg.norm(local.readout, 2)
        levels = [(0.0, [(local.jacobian, local.readout)])]
        for noise in self.noises:
            pairs = [
                (local.jacobian + noise * size[0] * a, local.readout + noise * size[1] * b)
                for a, b in zip(recurrent, read, strict=True)
            ]
            levels.append((noise, pairs))
        return levels


@dataclass(frozen=True, eq=False)
class _Setting:
    """What all levels share: the law, the undisturbed states (B K H), the true contents (B K m)."""

    law: LinearHistoryLaw
    states: Array
    contents: Array
    threshold: float

    def extract(self, method: str, jacobian: Array, readout: Array) -> Memories | None:
        """The memories, or None without a core."""
        core = memories.spectral_core(jacobian, self.threshold)
        if core.size == 0:
            return None
        extract = memories.ALGORITHMS[method]
        return extract(core, jacobian, readout, self.law.history, self.law.mask)

    def respond(
        self, method: str, precision: str, exact: Memories | None, jacobian: Array, readout: Array
    ) -> dict[str, float]:
        """The numbers of one draw."""
        law, dtype = self.law, PRECISIONS[precision]
        jacobian, readout = jacobian.astype(dtype), readout.astype(dtype)
        theory = np.linalg.eigvals(law.phi) if law.spectrum is None else law.spectrum
        spectrum = angles.compare_spectra(np.linalg.eigvals(jacobian), theory, self.threshold)
        found = self.extract(method, jacobian, readout)
        response = {"angle_error": spectrum.error, "modes_found": float(spectrum.found)}
        if found is None or exact is None:
            undefined = dict.fromkeys(("phi_error", "drift", "sign_agreement"), float("nan"))
            return {**response, **undefined, "rank": 0.0}
        seen = memories.project(self.states.astype(dtype), found)
        scale = float(np.linalg.norm(exact.phi)) or float("nan")
        return {
            **response,
            "phi_error": memories.phi_error(found, law.phi, law.mask),
            "drift": float(np.linalg.norm(found.phi - exact.phi) / scale),
            "sign_agreement": float(memories.signs_agree(seen, self.contents).mean()),
            "rank": float(found.rank),
        }


def _names(method: str) -> tuple[str, ...]:
    return (*(f"{name}_{method}" for name in NUMBERS), f"phi_gain_{method}_error")


def _summary(part: pd.DataFrame, method: str, modes: int) -> dict[str, float]:
    double, single = part[part["precision"] == "double"], part[part["precision"] == "single"]
    noisy = double[double["noise"] > 0]
    near = noisy.iloc[int(np.abs(np.log10(noisy["noise"]) + 4).argmin())]
    kept = noisy[(noisy["modes_found"] == modes) & (noisy["sign_agreement"] >= AGREEMENT)]
    return {
        f"phi_error_{method}": float(double["phi_error"].iloc[0]),
        f"single_phi_error_{method}": float(single["phi_error"].iloc[0]),
        f"phi_gain_{method}": float(near["drift"] / near["noise"]),
        f"phi_gain_{method}_error": float(near["drift_error"] / near["noise"]),
        f"noise_kept_{method}": float(kept["noise"].max()) if len(kept) else 0.0,
    }


@hookimpl
def emtkit_analyses() -> list[type[Analysis]]:
    """Offer `basis_sensitivity`."""
    return [BasisSensitivity]
