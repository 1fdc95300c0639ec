"""Analysis `emt_spectrum`: do the modes of a network have the angles of the rule's Phi?"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated

import numpy as np
import pandas as pd
import torch
from pydantic import Field

from emtkit import (
    Analysis,
    Control,
    Findings,
    NotApplicable,
    RecurrentModel,
    ScalarInfo,
    Stream,
    StreamKey,
    Subject,
    hookimpl,
)
from emtkit_std._controls import EXACT_CIRCUIT, REPEAT_COPY, UNTRAINED
from emtkit_std._parameters import Threshold
from emtkit_std._theory.emt import angles, binding
from emtkit_std._theory.emt import selection as selections
from emtkit_std._theory.emt.drawings import draw_spectrum
from emtkit_std._theory.emt.estimated import LAW, estimated_law, own_law
from emtkit_std._theory.linearise import POINT_SCALARS, Point, linearise
from emtkit_std._theory.observe import autonomous_law

OF_THE_POINT = ("angle_error", "modes_found", "status", "gap", "top_angle_error", "best_rule")


class EmtSpectrum(Analysis):
    """Angles of the network's persistent modes against those of the binding operator Phi.

    Eigenvalues of the Jacobian at the fixed point with modulus above `threshold` are paired with
    those of Phi (above `theory_threshold`) so that the summed wrapped angle is least:

        angle_error = mean |wrap(arg lambda_i - arg mu_sigma(i))|        (radians)

    Where the counts differ the comparison is `indeterminate` and `angle_error` is NaN, never a
    number. `null_angle_error` is the same for Haar-random orthogonal matrices of the core's size
    (mean): without it, errors of different rules cannot be compared.

    A task without a linear law has an estimated one: z' = Phi z, z the later answers that depend on
    the past, in silence (`law` says which of the two; 1 for each that is held until it is asked
    for). `best_rule` is then `own` or none, as no named rule is of its kind.

    Tables: `eigenvalues`, `theory`, `confusion` (top_angle_error against each rule of this size).

    References: Episodic Memory Theory, arXiv:2310.02430, section 4, Table 1.
    """

    name = "emt_spectrum"
    models = RecurrentModel
    scalars = {
        "angle_error": ScalarInfo(
            "mean distance between the angles of paired eigenvalues of network and rule",
            unit="radians",
            better="lower",
            undefined="where their numbers differ",
        ),
        "modes_found": ScalarInfo("number of eigenvalues above the threshold"),
        "modes_expected": ScalarInfo("number of eigenvalues that the rule has"),
        "status": ScalarInfo("comparable, or indeterminate where the numbers of modes differ"),
        "gap": ScalarInfo(
            "modulus of the last expected mode over that of the next",
            undefined="without a next mode",
        ),
        "null_angle_error": ScalarInfo(
            "mean angle error of random orthogonal matrices of this size", unit="radians"
        ),
        "top_angle_error": ScalarInfo(
            "angle error of the largest moduli, as many as are expected, whatever their size",
            unit="radians",
            better="lower",
            undefined="with fewer eigenvalues than expected",
        ),
        "best_rule": ScalarInfo("rule with the least top_angle_error, or none"),
        "law": LAW,
        **POINT_SCALARS,
    }
    drawings = {"spectrum": draw_spectrum}
    conditions = {"point_kind": OF_THE_POINT}
    controls = (
        Control(REPEAT_COPY, EXACT_CIRCUIT, "angle_error", most=1e-9),
        Control(REPEAT_COPY, UNTRAINED, "status", equals="indeterminate"),
    )

    def __init__(
        self,
        *,
        threshold: Threshold = 0.9,
        theory_threshold: Annotated[
            float, Field(gt=0, description="Modulus above which an eigenvalue of Phi is expected.")
        ] = 0.5,
        draws: Annotated[
            int, Field(ge=1, description="Number of random matrices behind `null_angle_error`.")
        ] = 50,
        point: Point = "auto",
    ) -> None:
        self.point = point
        self.threshold, self.theory_threshold, self.draws = threshold, theory_threshold, draws

    def measure(self, subject: Subject) -> Findings:
        """Linearise and compare."""
        stated = own_law(subject)
        theory, rules = _stated(subject) if stated else (self._estimated(subject), {})
        local = linearise(subject, self.point)
        measured = np.linalg.eigvals(local.jacobian)
        result = angles.compare_spectra(measured, theory, self.threshold, self.theory_threshold)
        size = result.expected
        stream = subject.stream.fork("null")
        shape = (self.draws, size, size)
        spectrum = theory.astype(np.complex128)
        null = _null(stream.key, stream.dtype, shape, spectrum.tobytes(), self.theory_threshold)
        spectra = {"own": theory, **rules}
        confusion = angles.confusion(measured, spectra, self.threshold)
        too_small = f"there are fewer than {size} or no further eigenvalues; take more hidden units"
        return Findings(
            {
                "angle_error": result.error,
                "modes_found": result.found,
                "modes_expected": result.expected,
                "status": result.status,
                "gap": result.gap if np.isfinite(result.gap) else float("nan"),
                "null_angle_error": null,
                "top_angle_error": result.top_error,
                "best_rule": _best(confusion) if result.found else "none",
                "law": "stated" if stated else "estimated",
                **local.scalars,
            },
            {
                "eigenvalues": _table(measured, self.threshold),
                "theory": _table(spectrum, self.theory_threshold),
                "confusion": pd.DataFrame(
                    {
                        "rule": rule,
                        "modes_expected": compared.expected,
                        "angle_error": compared.error,
                        "top_angle_error": compared.top_error,
                    }
                    for rule, compared in confusion.items()
                ),
            },
            reasons={
                "angle_error": f"{result.found} modes found where {size} are expected; train the "
                "network, or set another `threshold`",
                "gap": f"{too_small}, or the next one is zero",
                "top_angle_error": too_small,
                "null_angle_error": "theory has no mode above its threshold",
            },
        )

    def _estimated(self, subject: Subject) -> np.ndarray:
        theory = estimated_law(subject).spectrum
        if not (abs(theory) > self.theory_threshold).any():
            raise NotApplicable(
                f"by its targets '{subject.task.name}' keeps nothing going in silence, so no modes "
                "are expected; use `emt_basis` or `memory_map`"
            )
        return theory


def _stated(subject: Subject) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The spectra of the task's own rule, and of all other rules of its size by name."""
    law = autonomous_law(subject)
    named = _named_rules(law.history, law.dimension).items()
    others = {rule: values for rule, (values, phi) in named if not np.array_equal(phi, law.phi)}
    own = law.spectrum if law.spectrum is not None else np.linalg.eigvals(law.phi)
    return own, others


@lru_cache(maxsize=64)
def _null(
    key: StreamKey, dtype: torch.dtype, shape: tuple[int, int, int], theory: bytes, threshold: float
) -> float:
    """The null of one rule on one stream: costly, and the same for all its networks."""
    normals = Stream(key.seed, key.purpose, key.iteration, dtype=dtype).normal(shape)
    spectrum = np.frombuffer(theory, np.complex128)
    return angles.null_angle_error(spectrum, normals.double().numpy(), threshold)


def _best(compared: Mapping[str, angles.AngleComparison]) -> str:
    """The rule of least top_error; of equal ones, up to rounding, the network's own."""
    errors = np.array([result.top_error for result in compared.values()]).round(9)
    return "none" if np.isnan(errors).all() else list(compared)[np.nanargmin(errors)]


@lru_cache(maxsize=16)
def _named_rules(s: int, d: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Spectrum and Phi of every named rule of this size."""
    named = {
        rule: selections.published(rule)
        for rule, (history, dimension, _) in selections.PUBLISHED.items()
        if (history, dimension) == (s, d)
    }
    if "T1" not in named:
        named["repeat"] = selections.repeat(s, d)
        if d <= s:
            named["diagonal"] = selections.diagonal(s, d)
    return {
        rule: (selection.spectrum, binding.phi_of(selection.operator, s))
        for rule, selection in named.items()
    }


def _table(values: np.ndarray, threshold: float) -> pd.DataFrame:
    ordered = values[np.argsort(-abs(values), kind="stable")]
    modulus = abs(ordered)
    return pd.DataFrame(
        {
            "real": ordered.real,
            "imag": ordered.imag,
            "modulus": modulus,
            "angle": np.angle(ordered),
            "kept": modulus > threshold,
        }
    )


@hookimpl
def emtkit_analyses() -> list[type[Analysis]]:
    """Offer `emt_spectrum`."""
    return [EmtSpectrum]
