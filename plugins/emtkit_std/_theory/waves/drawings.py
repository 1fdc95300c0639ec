"""Figures of waves, gradients, attention and decoding, from stored findings alone."""

import numpy as np

from emtkit import Findings
from emtkit_std._drawings import Figure, draw_shares, draw_signed

MOST_PANELS = 8
MOST_ACROSS = 3
MOST_STEPS = 32
FAINTEST = -40.0


def draw_wavefield(findings: Findings, figure: Figure) -> None:
    """Columns against time for one sequence, a panel per dimension: stripes go down one a step."""
    field = findings.arrays["field"][:MOST_STEPS]
    shown = min(field.shape[2], MOST_PANELS)
    panels = figure.subplots(1, shown, sharey=True, squeeze=False)[0]
    for dimension, axes in enumerate(panels):
        draw_signed(axes, field[:, :, dimension].T)
        axes.set(xlabel="step", title=f"dimension {dimension + 1}")
    columns = range(0, field.shape[1], max(1, field.shape[1] // 8))
    panels[0].set_yticks(columns, [str(column + 1) for column in columns])
    panels[0].set_ylabel("column (newest on top)")


def draw_frequency(findings: Findings, figure: Figure) -> None:
    """Power over wavenumber and frequency (log), with the line of a wave of unit speed."""
    axes = figure.subplots()
    power = np.fft.fftshift(findings.arrays["power"])
    decibel = 10 * np.log10(power / power.max() + 1e-12)
    image = axes.imshow(
        decibel,
        origin="lower",
        aspect="auto",
        extent=(-0.5, 0.5, -0.5, 0.5),
        cmap="viridis",
        vmin=FAINTEST,
        vmax=0.0,
    )
    axes.plot([-0.5, 0.5], [-0.5, 0.5], color="white", linewidth=0.8, linestyle="--")
    axes.set(xlabel="wavenumber (cycles per column)", ylabel="frequency (cycles per step)")
    figure.colorbar(image, ax=axes, label="power (dB below the largest)")


def draw_basis_change(findings: Findings, figure: Figure) -> None:
    """One run as the units show it, and as its columns show it (TWM Fig. 3)."""
    before, after = figure.subplots(2, 1, sharex=True)
    draw_signed(before, findings.arrays["states"].T)
    before.set(ylabel="unit", title="hidden state")
    field = findings.arrays["field"]
    draw_signed(after, field.transpose(0, 2, 1).reshape(len(field), -1).T)
    after.set(xlabel="step", ylabel="column, by dimension", title="in the basis of the columns")
    for dimension in range(1, field.shape[2]):
        after.axhline(dimension * field.shape[1] - 0.5, color="0.3", linewidth=0.6)


def draw_gradients(findings: Findings, figure: Figure) -> None:
    """Normalised gradient by lag, one line per step of training where there are any (Fig. 5A)."""
    axes = figure.subplots()
    table = findings.tables["profile"]
    groups = list(table.groupby("step")) if "step" in table else [(None, table)]
    for shade, (step, part) in zip(np.linspace(0.8, 0.0, len(groups)), groups, strict=True):
        label = "end of training" if step is None else f"step {step}"
        colour = (shade, shade, 1 - 0.5 * (1 - shade))
        axes.plot(part["lag"], part["normalised"], "o-", color=colour, label=label)
    axes.axhline(1.0, color="0.6", linewidth=0.8, linestyle="--")
    axes.set(xlabel="lag (steps back)", ylabel="gradient, relative to the first lag")
    if (table["normalised"] > 0).any():
        axes.set_yscale("log")
    axes.legend(frameon=False, fontsize="small")


def draw_rate(findings: Findings, figure: Figure) -> None:
    """Decay rate and largest eigenvalue, over training where it was followed (Fig. 5B)."""
    axes = figure.subplots()
    if "over_training" not in findings.tables:
        names = ["decay_rate", "radius"]
        axes.bar(names, [float(findings.scalars[name]) for name in names], color=["C3", "C0"])
        axes.set_ylabel("value at the end of training")
        return
    table = findings.tables["over_training"]
    other = axes.twinx()
    labels = {"decay_rate": "decay rate", "radius": "largest |eigenvalue|"}
    for target, name, colour, ideal in (
        (axes, "decay_rate", "C3", 0.0),
        (other, "radius", "C0", 1.0),
    ):
        part = table[table["scalar"] == name]
        target.plot(part["step"], part["value"], "o-", color=colour)
        target.axhline(ideal, color=colour, linewidth=0.8, linestyle="--")
        target.set_ylabel(labels[name], color=colour)
    axes.set_xlabel("training step")


def draw_attention(findings: Findings, figure: Figure) -> None:
    """Mean weight of every head by how many steps back its token lies."""
    axes = figure.subplots()
    table = findings.tables["profile"]
    image = draw_shares(axes, table, "head", "lag", "weight")
    axes.set(xlabel="lag (0: the newest)", ylabel="head", aspect="auto")
    figure.colorbar(image, ax=axes, label="mean attention")


def draw_boundary(findings: Findings, figure: Figure) -> None:
    """The effective linear boundary F beside the task's rule."""
    names = [name for name in ("boundary", "law") if name in findings.arrays]
    titles = {"boundary": "effective boundary F", "law": "the task's rule"}
    panels = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    for axes, name in zip(panels, names, strict=True):
        draw_signed(axes, findings.arrays[name])
        axes.set(ylabel="output", title=titles[name])
    panels[-1].set_xlabel("column and dimension (oldest first)")


def draw_decoding(findings: Findings, figure: Figure) -> None:
    """How well each past item is read off the state by one linear map."""
    axes = figure.subplots()
    table = findings.tables["decoding"]
    groups = list(table.groupby("step")) if "step" in table else [(None, table)]
    for step, part in groups:
        axes.plot(part["lag"], part["r2"], "o-", label=None if step is None else f"step {step}")
    axes.set(
        xlabel="lag (steps back)", ylabel="R² of x(t - lag) from the state", ylim=(-0.05, 1.05)
    )
    axes.set_xticks(sorted(table["lag"].unique()))
    if len(groups) > 1:
        axes.legend(frameon=False, fontsize="small")


def draw_overlap(findings: Findings, figure: Figure) -> None:
    """Overlap of the subspaces that items of two ages occupy: 0 orthogonal, 1 the same."""
    table = findings.tables["directions"]
    steps = sorted(table["step"].unique()) if "step" in table else [None]
    across = min(len(steps), MOST_ACROSS)
    down = -(-len(steps) // across)
    panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    for axes in panels.flat[len(steps) :]:
        axes.set_axis_off()
    for axes, step in zip(panels.flat, steps, strict=False):
        part = table if step is None else table[table["step"] == step]
        image = draw_shares(axes, part, "lag_a", "lag_b", "overlap")
        axes.set(title="" if step is None else f"step {step}")
    for axes in panels[-1]:
        axes.set_xlabel("lag")
    for axes in panels[:, 0]:
        axes.set_ylabel("lag")
    figure.colorbar(image, ax=list(panels.flat), label="overlap")
