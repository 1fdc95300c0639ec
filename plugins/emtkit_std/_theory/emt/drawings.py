"""Drawings of the binding circuit: spectra, weights in the basis of memories, and contents."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emtkit import Bars, Drawing, Findings, Label, Mark, Matrix, NotApplicable, Plot, Points, Rule
from emtkit_std._drawings import plane
from emtkit_std._theory.facts import Array

ROUNDING = 1e-9
"""Blocks below this share of the largest entry vanish by construction: they are no data."""
STANDARD = 2.0
"""Contents are coloured up to so many times their own size: the first steps outshine the rest."""


def draw_spectrum(findings: Findings) -> Drawing:
    """Eigenvalues over the unit circle with theory's behind them, and counts per direction.

    The number beside a circle is how many of theory's eigenvalues lie there. An eigenvalue counts
    for the nearest of theory's directions: bins of equal width would split some of 35, join others.
    """
    found, theory = findings.tables["eigenvalues"], findings.tables["theory"]
    marks: list[Mark] = [
        Points(theory["real"], theory["imag"], "theory", "C1", size=8.4, hollow=True)
    ]
    for kept, colour, label in ((True, "C0", "network"), (False, "lightgrey", "below threshold")):
        part = found[found["kept"] == kept]
        marks.append(Points(part["real"], part["imag"], label, colour, size=3.2))
    places = (theory["real"] + 1j * theory["imag"]).to_numpy().round(6)
    for place, times in zip(*np.unique(places, return_counts=True), strict=True):
        if times > 1:
            inward = 0.84 * place / max(abs(place), ROUNDING)
            marks.append(Label(inward.real, inward.imag, f"×{times}"))
    directions = _directions(theory["angle"].to_numpy())
    expected, counted = (
        _nearest(directions, table["angle"].to_numpy()) for table in (theory, found[found["kept"]])
    )
    counts = Plot(
        [
            Bars(directions, counted, width=0.03),
            Points(directions, counted, size=3.2),
            Points(directions, expected, colour="C1", size=8.4, hollow=True),
        ],
        x_label="angle (radians)",
        y_label="modes per direction of theory",
        y_limits=(0.0, 1.1 * max([1, *expected, *counted])),
    )
    return Drawing([plane(marks), counts])


def _directions(angles: Array) -> Array:
    """The different ones, in (-pi, pi]; those that rounding tears apart at pi are one."""
    wrapped = np.where(angles < 1e-6 - np.pi, angles + 2 * np.pi, angles)
    ordered = np.sort(wrapped)
    return ordered[np.diff(ordered, prepend=-np.inf) > 1e-6]


def _nearest(directions: Array, angles: Array) -> NDArray[np.int64]:
    """How many angles lie nearest to each direction, once around."""
    apart = np.abs(np.exp(1j * angles[:, None]) - np.exp(1j * directions))
    return np.bincount(apart.argmin(1) if apart.size else [], minlength=len(directions))


def draw_weights(findings: Findings) -> Drawing:
    """The recurrent weights before and after the change of basis, beside theory's Phi.

    Blocks that vanish by construction are left grey: the memories and what lies outside of them are
    both invariant where the memories fill the core.

    Raises:
        NotApplicable: there is no basis.
    """
    if "jacobian" not in findings.arrays:
        raise NotApplicable(findings.reasons["acts_outside"])
    size, kept = len(findings.arrays["phi_theory"]), findings.arrays["kept"]
    changed = findings.arrays["weights_in_basis"].copy()
    limit = ROUNDING * abs(changed).max()
    for block in (changed[:size, size:], changed[size:, :size]):
        if (abs(block) < limit).all():
            block[:] = np.nan
    ticks = _variables(kept)
    outside = {(size + len(changed) - 1) / 2: "Ψ⊥"} if len(changed) > size else {}
    ends = [Rule(size - 0.5), Rule(size - 0.5, upright=True)]
    raw, exact = findings.arrays["jacobian"], findings.arrays["phi_theory"]
    return Drawing(
        [
            _weights(raw, "recurrent weights", None),
            _weights(changed, "in the basis of memories", {**ticks, **outside}, ends),
            _weights(exact, "theory", ticks),
        ],
        columns=2,
    )


def _weights(
    values: Array, title: str, ticks: dict[float, str] | None, marks: Sequence[Mark] = ()
) -> Plot:
    matrix = Matrix(values, signed=True, top_first=True, key="weight")
    return Plot([matrix, *marks], title, x_ticks=ticks, y_ticks=ticks, equal=True)


def draw_hidden(findings: Findings) -> Drawing:
    """One sequence over time: hidden units, the variables read from them, and the true ones.

    As in the paper's figure each row is shown in units of its own size over time; colours end at
    twice that.

    Raises:
        NotApplicable: there is no basis.
    """
    if "hidden_states" not in findings.arrays:
        raise NotApplicable(findings.reasons["acts_outside"])
    kept = findings.arrays["kept"] > 0
    plots = []
    for name, label in (
        ("hidden_states", "units"),
        ("coordinates", "memories"),
        ("contents", "truth"),
    ):
        values = findings.arrays[name]
        if name != "hidden_states":
            values = values[:, kept.ravel()]
        size = np.sqrt(np.mean(values**2, axis=0))
        matrix = Matrix(
            (values / np.where(size > 0, size, 1.0)).T,
            low=-STANDARD,
            high=STANDARD,
            signed=True,
            top_first=True,
            key="in its own size",
        )
        ticks = None if name == "hidden_states" else _variables(kept)
        plots.append(
            Plot([matrix], x_label="step after the last input", y_label=label, y_ticks=ticks)
        )
    return Drawing(plots, columns=1, share_x=True)


def _variables(kept: Array) -> dict[float, str]:
    """The name of each variable where its coordinates lie among those kept (s, d)."""
    ends = np.cumsum(kept.sum(1))
    starts = np.concatenate([[0], ends[:-1]])
    there = [k for k in range(len(kept)) if ends[k] > starts[k]]
    names = {k: "Ψ" + str(k + 1).translate(_BELOW) for k in there}
    return {float(starts[k] + ends[k] - 1) / 2: names[k] for k in there}


_BELOW = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
