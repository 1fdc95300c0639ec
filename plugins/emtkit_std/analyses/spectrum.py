"""Eigenvalues of the recurrent matrix, or of the state map at its resting point."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from emtkit import (
    Analysis,
    Control,
    Drawing,
    Findings,
    NotApplicable,
    RecurrentModel,
    Subject,
    find_fixed_points,
    hookimpl,
    state_map_of,
)
from emtkit_std._theory.facts import Array, LinearRecurrence, PulseCircuit
from emtkit_std._theory.networks.recurrence import to_array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SETTLE = 200
_KINK = 1e-6


def draw_eigenvalues(findings: Findings, figure: Figure) -> None:
    """Eigenvalues in the complex plane with the unit circle."""
    rows = findings.tables["eigenvalues"]
    panel = figure.subplots()
    turn = np.linspace(0.0, 2.0 * np.pi, 200)
    panel.plot(np.cos(turn), np.sin(turn), color="tab:gray", linewidth=0.8)
    panel.scatter(rows["real"], rows["imag"], s=14)
    panel.set_aspect("equal")
    panel.set_xlabel("real")
    panel.set_ylabel("imaginary")


class Spectrum(Analysis):
    """Eigenvalues of how a network moves its state.

    Scalars: `radius` = max |lambda| and `angle`, |arg| in degrees (0 to 180) of that eigenvalue.
    Table `eigenvalues`, largest first. A fixed point on a kink of relu is refused, as it has no
    derivative.

    References: Sussillo and Barak (2013), doi:10.1162/NECO_a_00409 (linearisation at fixed points).
    """

    name = "spectrum"
    models = RecurrentModel
    drawings: ClassVar[Mapping[str, Drawing]] = {"eigenvalues": draw_eigenvalues}
    controls = (
        Control(
            {"use": "hds", "rule": "repeat", "history": 4, "dimension": 2, "horizon": 12},
            {"use": "emt_circuit", "hidden": 16},
            "radius",
            least=1 - 1e-9,
            most=1 + 1e-9,
        ),
        Control(
            {"use": "k_delay", "delay": 3, "scored": "last"},
            {"use": "shift_register"},
            "radius",
            most=1e-3,
        ),
    )

    def __init__(
        self,
        *,
        of: Annotated[
            Literal["recurrent", "jacobian"],
            Field(
                description="Whether the matrix is W_hh, or d step / d state at the fixed point "
                "that is reached from the initial state without input."
            ),
        ] = "recurrent",
    ) -> None:
        self.of = of

    def measure(self, subject: Subject) -> Findings:
        """Eigenvalues of the chosen matrix."""
        matrix = _recurrent(subject) if self.of == "recurrent" else _jacobian(subject)
        if not np.isfinite(matrix).all():
            raise NotApplicable("the matrix is not finite")
        eigenvalues = np.linalg.eigvals(matrix)
        eigenvalues = eigenvalues[np.lexsort((eigenvalues.imag, -np.abs(eigenvalues)))]
        radius = float(np.abs(eigenvalues[0]))
        angle = float(np.degrees(abs(np.angle(eigenvalues[0])))) if radius > 0 else float("nan")
        return Findings(
            scalars={"radius": radius, "angle": angle},
            tables={"eigenvalues": _rows(eigenvalues)},
            reasons={} if radius > 0 else {"angle": "every eigenvalue is 0"},
        )


def _recurrent(subject: Subject) -> Array:
    for kind in (PulseCircuit, LinearRecurrence):
        if kind in subject.model.offers:
            return subject.model.facts(kind).W_hh
    matrix = subject.model.state_dict().get("W_hh")
    if matrix is None or matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise NotApplicable(
            f"'{subject.model.name}' has no single recurrent matrix; use `of: jacobian`"
        )
    return to_array(matrix)


def _jacobian(subject: Subject) -> Array:
    model = copy.deepcopy(subject.model).double().cpu()
    if not isinstance(model, RecurrentModel):
        raise NotApplicable(f"'{subject.model.name}' has no state map")
    with torch.no_grad():
        state = model.initial(1).double()
        silence = torch.zeros(1, subject.task.channels.inputs, dtype=torch.float64)
        for _ in range(_SETTLE):
            state = model.step(state, silence)
        if not bool(torch.isfinite(state).all()):
            raise NotApplicable("without input the state grows beyond all bounds")
        found = find_fixed_points(state_map_of(model, silence[0]), state)
        if not len(found.points):
            raise NotApplicable("without input the state settles at no fixed point")
        kink = _kink(model, found.points[:1], silence)
    if kink.size:
        raise NotApplicable(
            f"the fixed point lies on a kink: units {kink.tolist()} have different slopes on their "
            "two sides"
        )
    return to_array(found.jacobians[0])


def _kink(model: RecurrentModel, point: Tensor, silence: Tensor) -> NDArray[np.intp]:
    """Units of the state along which the step has two slopes at `point` (1 H)."""
    hidden = point.shape[1]
    nudge = _KINK * torch.eye(hidden, dtype=point.dtype)
    still, quiet = model.step(point, silence), silence.expand(hidden, -1)
    ahead = (model.step(point + nudge, quiet) - still) / _KINK
    behind = (still - model.step(point - nudge, quiet)) / _KINK
    gap = (ahead - behind).abs().amax(1) / ahead.abs().amax(1).clamp_min(1.0)
    return np.flatnonzero(gap.numpy() > 1e-3)


def _rows(eigenvalues: NDArray[np.complex128]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "real": eigenvalues.real,
            "imag": eigenvalues.imag,
            "modulus": np.abs(eigenvalues),
            "angle": np.degrees(np.abs(np.angle(eigenvalues))),
        }
    )


@hookimpl
def emtkit_analyses() -> list[type[Analysis]]:
    """The analysis of this module."""
    return [Spectrum]
