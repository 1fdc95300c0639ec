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
from emtkit_std._parameters import Sequences, Steps, Threshold
from emtkit_std._theory.emt import angles, memories
from emtkit_std._theory.emt.memories import Memories
from emtkit_std._theory.facts import Array, LinearHistoryLaw
from emtkit_std._theory.linearise import POINT_SCALARS, Linearised, Point, linearise
from emtkit_std._theory.observe import autonomous_law, histories, trajectories
from emtkit_std._theory.standard_error import of_mean

METHODS = tuple(memories.ALGORITHMS)
PRECISIONS: dict[str, Any] = {"double": np.float64, "single": np.float32}
NUMBERS = ("phi_error", "single_phi_error", "phi_gain", "noise_kept")
AGREEMENT = 0.99


def draw_response(findings: Findings) -> Drawing:
    """Phi error and sign agreement against the size of the noise, by method and precision."""
    table = findings.tables["response"]
    errors: list[Mark] = []
    signs: list[Mark] = []
    for (method, precision), part in table[table["noise"] > 0].groupby(["method", "precision"]):
        colour: str = "C0" if method == "dual" else "C1"
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

    References: the sensitivity left open by Episodic Memory Theory, arXiv:2310.02430.
    """

    name = "basis_sensitivity"
    version = 2  # standard errors of the gains
    models = RecurrentModel
    requires = (LinearHistoryLaw,)
    scalars = {
        "phi_error_{method}": ScalarInfo(
            "relative distance of Phi_hat from Phi without noise",
            better="lower",
            undefined="without a core",
        ),
        "single_phi_error_{method}": ScalarInfo(
            "the same in single precision", better="lower", undefined="without a core"
        ),
        "phi_gain_{method}": ScalarInfo(
            "movement of Phi_hat per unit of noise on the weights, at the level nearest 1e-4",
            better="lower",
            undefined="without a core",
        ),
        "phi_gain_{method}_error": ScalarInfo("standard error of the gain, over the draws"),
        "noise_kept_{method}": ScalarInfo(
            "largest noise at which all modes are found and the signs agree; 0 if none",
            better="higher",
        ),
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
        law = autonomous_law(subject)
        local = linearise(subject, self.point)
        if memories.spectral_core(local.jacobian, self.threshold).size == 0:
            raise NotApplicable(f"no mode above {self.threshold}: there is no basis to disturb")
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
            scalars |= _summary(table[table["method"] == method], method, law)
        missing = "no core was found at this level, or there is a single draw"
        reasons = dict.fromkeys(scalars, missing)
        return Findings({**scalars, **local.scalars}, {"response": table}, reasons=reasons)

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


def _summary(part: pd.DataFrame, method: str, law: LinearHistoryLaw) -> dict[str, float]:
    double, single = part[part["precision"] == "double"], part[part["precision"] == "single"]
    noisy = double[double["noise"] > 0]
    near = noisy.iloc[int(np.abs(np.log10(noisy["noise"]) + 4).argmin())]
    kept = noisy[(noisy["modes_found"] == law.core_rank) & (noisy["sign_agreement"] >= AGREEMENT)]
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
