"""Eigenvalues of the recurrent matrix, or of the state map at a fixed point of it."""

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from emtkit import (
    Analysis,
    Control,
    Drawing,
    Findings,
    NotApplicable,
    Points,
    RecurrentModel,
    Scalar,
    ScalarInfo,
    Subject,
    hookimpl,
)
from emtkit_std._controls import EXACT_CIRCUIT, LAST_DELAY, REGISTER, REPEAT_COPY
from emtkit_std._drawings import plane
from emtkit_std._theory.facts import Array, LinearRecurrence, PulseCircuit
from emtkit_std._theory.linearise import POINT_SCALARS, Point, linearise
from emtkit_std._theory.networks.recurrence import to_array


def draw_eigenvalues(findings: Findings) -> Drawing:
    """Eigenvalues in the complex plane with the unit circle."""
    rows = findings.tables["eigenvalues"]
    return Drawing([plane([Points(rows["real"], rows["imag"])])])


class Spectrum(Analysis):
    """Eigenvalues of how a network moves its state.

    radius = max |lambda|, angle = |arg lambda| of that eigenvalue. Table `eigenvalues`, largest
    first. A fixed point on a kink of relu is refused, as it has no derivative.

    References: Sussillo and Barak (2013), doi:10.1162/NECO_a_00409 (linearisation at fixed points).
    """

    name = "spectrum"
    version = 3  # `of: auto`: gated networks by their Jacobian
    models = RecurrentModel
    scalars = {
        "radius": ScalarInfo("largest modulus of the eigenvalues"),
        "angle": ScalarInfo(
            "|arg| of that eigenvalue, 0 to 180",
            unit="degrees",
            undefined="where every eigenvalue is 0",
        ),
        **POINT_SCALARS,
    }
    drawings = {"eigenvalues": draw_eigenvalues}
    conditions = {"point_kind": ("radius", "angle")}
    controls = (
        Control(REPEAT_COPY, EXACT_CIRCUIT, "radius", least=1 - 1e-9, most=1 + 1e-9),
        Control(LAST_DELAY, REGISTER, "radius", most=1e-3),
    )

    def __init__(
        self,
        *,
        of: Annotated[
            Literal["auto", "recurrent", "jacobian"],
            Field(
                description="Whether the matrix is W_hh (recurrent), or d step / d state at the "
                "fixed point that `point` chooses (jacobian); auto: W_hh where there is one."
            ),
        ] = "auto",
        point: Point = "auto",
    ) -> None:
        self.of, self.point = of, point

    def measure(self, subject: Subject) -> Findings:
        """Eigenvalues of the chosen matrix."""
        place: Mapping[str, Scalar] = {}
        matrix = None if self.of == "jacobian" else _recurrent(subject)
        if matrix is None:
            if self.of == "recurrent":
                raise NotApplicable(
                    f"'{subject.model.name}' has no single recurrent matrix; use `of: auto` or "
                    "`of: jacobian`"
                )
            local = linearise(subject, self.point)
            matrix, place = local.jacobian, local.scalars
        if not np.isfinite(matrix).all():
            raise NotApplicable(
                "the matrix is not finite; train with a smaller learning rate, or stop earlier"
            )
        eigenvalues = np.linalg.eigvals(matrix)
        eigenvalues = eigenvalues[np.lexsort((eigenvalues.imag, -np.abs(eigenvalues)))]
        radius = float(np.abs(eigenvalues[0]))
        angle = float(np.degrees(abs(np.angle(eigenvalues[0])))) if radius > 0 else float("nan")
        return Findings(
            scalars={"radius": radius, "angle": angle, **place},
            tables={"eigenvalues": _rows(eigenvalues)},
            reasons={"angle": "every eigenvalue is 0"},
        )


def _recurrent(subject: Subject) -> Array | None:
    """W_hh (H, H), where there is one."""
    for kind in (PulseCircuit, LinearRecurrence):
        if kind in subject.model.offers:
            return subject.model.facts(kind).W_hh
    matrix = subject.model.state_dict().get("W_hh")
    if matrix is None or matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        return None
    return to_array(matrix)


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
