"""Drawings of the binding circuit: spectra, weights in the basis of memories, and contents."""

import numpy as np
from numpy.typing import NDArray

from emtkit import Findings
from emtkit_std._drawings import Axes, Figure, draw_plane, draw_reason, draw_signed
from emtkit_std._theory.facts import Array

ROUNDING = 1e-9
"""Blocks below this share of the largest entry vanish by construction: they are no data."""
STANDARD = 2.0
"""Contents are coloured up to so many times their own size: the first steps outshine the rest."""


def draw_spectrum(findings: Findings, figure: Figure) -> None:
    """Eigenvalues over the unit circle with theory's behind them, and counts per direction.

    The number beside a circle is how many of theory's eigenvalues lie there. An eigenvalue counts
    for the nearest of theory's directions: bins of equal width would split some of 35, join others.
    """
    found, theory = findings.tables["eigenvalues"], findings.tables["theory"]
    plane, counts = figure.subplots(1, 2)
    draw_plane(plane)
    plane.scatter(
        theory["real"], theory["imag"], s=70, facecolors="none", edgecolors="C1", label="theory"
    )
    for kept, colour, label in ((True, "C0", "network"), (False, "lightgrey", "below threshold")):
        part = found[found["kept"] == kept]
        plane.scatter(part["real"], part["imag"], s=10, color=colour, label=label)
    places = (theory["real"] + 1j * theory["imag"]).to_numpy().round(6)
    for place, times in zip(*np.unique(places, return_counts=True), strict=True):
        if times > 1:
            inward = 0.84 * place / max(abs(place), ROUNDING)
            plane.text(
                inward.real, inward.imag, f"×{times}", ha="center", va="center", size="small"
            )
    directions = _directions(theory["angle"].to_numpy())
    expected, counted = (
        _nearest(directions, table["angle"].to_numpy()) for table in (theory, found[found["kept"]])
    )
    counts.vlines(directions, 0, counted, color="C0", linewidth=0.8)
    counts.scatter(directions, counted, s=10, color="C0")
    counts.scatter(directions, expected, s=70, facecolors="none", edgecolors="C1")
    counts.set(xlabel="angle (radians)", ylabel="modes per direction of theory")
    counts.set_ylim(0, 1.1 * max([1, *expected, *counted]))
    figure.legend(loc="outside lower center", ncols=3)


def _directions(angles: Array) -> Array:
    """The different ones, in (-pi, pi]; those that rounding tears apart at pi are one."""
    wrapped = np.where(angles < 1e-6 - np.pi, angles + 2 * np.pi, angles)
    ordered = np.sort(wrapped)
    return ordered[np.diff(ordered, prepend=-np.inf) > 1e-6]


def _nearest(directions: Array, angles: Array) -> NDArray[np.int64]:
    """How many angles lie nearest to each direction, once around."""
    apart = np.abs(np.exp(1j * angles[:, None]) - np.exp(1j * directions))
    return np.bincount(apart.argmin(1) if apart.size else [], minlength=len(directions))


def draw_weights(findings: Findings, figure: Figure) -> None:
    """The recurrent weights before and after the change of basis, beside theory's Phi.

    Blocks that vanish by construction are left grey: the memories and what lies outside of them are
    both invariant where the memories fill the core.
    """
    if "jacobian" not in findings.arrays:
        return draw_reason(figure, findings.reasons["phi_error"])
    places = figure.subplot_mosaic([["changed", "changed", "exact"], ["changed", "changed", "raw"]])
    size, kept = len(findings.arrays["phi_theory"]), findings.arrays["kept"]
    changed = findings.arrays["weights_in_basis"].copy()
    limit = ROUNDING * abs(changed).max()
    for block in (changed[:size, size:], changed[size:, :size]):
        if (abs(block) < limit).all():
            block[:] = np.nan
    for name, values, title in (
        ("raw", findings.arrays["jacobian"], "recurrent weights"),
        ("changed", changed, "in the basis of memories"),
        ("exact", findings.arrays["phi_theory"], "theory"),
    ):
        places[name].set_facecolor("lightgrey")
        image = draw_signed(places[name], values, origin="upper", aspect="equal")
        figure.colorbar(image, ax=places[name], location="bottom", shrink=0.8)
        places[name].set_title(title)
    for axes in (places["changed"], places["exact"]):
        _name_variables(axes, kept, both=True)
    if len(changed) > size:
        ticks, labels = _variables(kept)
        outside = [*ticks, (size + len(changed) - 1) / 2], [*labels, r"$\Psi_\perp$"]
        places["changed"].set_xticks(*outside)
        places["changed"].set_yticks(*outside)
    places["changed"].axhline(size - 0.5, color="grey", linewidth=0.8)
    places["changed"].axvline(size - 0.5, color="grey", linewidth=0.8)


def draw_hidden(findings: Findings, figure: Figure) -> None:
    """One sequence over time: hidden units, the variables read from them, and the true ones.

    As in the paper's figure each row is shown in units of its own size over time; colours end at
    twice that.
    """
    if "hidden_states" not in findings.arrays:
        return draw_reason(figure, findings.reasons["phi_error"])
    before, after, truth = figure.subplots(3, 1, sharex=True)
    kept = findings.arrays["kept"] > 0
    for axes, name, label in (
        (before, "hidden_states", "units"),
        (after, "coordinates", "memories"),
        (truth, "contents", "truth"),
    ):
        values = findings.arrays[name]
        if name != "hidden_states":
            values = values[:, kept.ravel()]
            _name_variables(axes, kept, both=False)
        size = np.sqrt(np.mean(values**2, axis=0))
        scaled = values / np.where(size > 0, size, 1.0)
        image = draw_signed(axes, scaled.T, origin="upper")
        image.set_clim(-STANDARD, STANDARD)
        figure.colorbar(image, ax=axes, label="in its own size")
        axes.set_ylabel(label)
    truth.set_xlabel("step after the last input")


def _variables(kept: Array) -> tuple[list[float], list[str]]:
    """Where the coordinates of each variable lie among those kept (s, d), and its name."""
    ends = np.cumsum(kept.sum(1))
    starts = np.concatenate([[0], ends[:-1]])
    there = [k for k in range(len(kept)) if ends[k] > starts[k]]
    middles = [float(starts[k] + ends[k] - 1) / 2 for k in there]
    return middles, [rf"$\Psi_{{{k + 1}}}$" for k in there]


def _name_variables(axes: Axes, kept: Array, *, both: bool) -> None:
    ticks, labels = _variables(kept)
    axes.set_yticks(ticks, labels, fontsize="small")
    if both:
        axes.set_xticks(ticks, labels, fontsize="small")
