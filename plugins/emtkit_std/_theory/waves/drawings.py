"""Drawings of waves, gradients, attention and decoding, from stored findings alone."""

from dataclasses import replace

import numpy as np

from emtkit import Bars, Drawing, Findings, Line, Matrix, NotApplicable, Plot, Rule
from emtkit_std._drawings import square

MOST_PANELS = 8
MOST_ACROSS = 3
MOST_STEPS = 32
FAINTEST = -40.0


def draw_wavefield(findings: Findings) -> Drawing:
    """Columns against time for one sequence, a plot per dimension: stripes go down one a step."""
    field = findings.arrays["field"][:MOST_STEPS]
    every = range(0, field.shape[1], max(1, field.shape[1] // 8))
    return Drawing(
        [
            Plot(
                [Matrix(field[:, :, dimension].T, signed=True)],
                f"dimension {dimension + 1}",
                x_label="step",
                y_label="column (newest on top)",
                y_ticks={float(column): str(column + 1) for column in every},
            )
            for dimension in range(min(field.shape[2], MOST_PANELS))
        ],
        share_y=True,
    )


def draw_frequency(findings: Findings) -> Drawing:
    """Power over wavenumber and frequency (log), with the line of a wave of unit speed."""
    power = np.fft.fftshift(findings.arrays["power"])
    decibel = 10 * np.log10(power / power.max() + 1e-12)
    square = (-0.5, 0.5, -0.5, 0.5)
    key = "power (dB below the largest)"
    marks = [
        Matrix(decibel, low=FAINTEST, high=0.0, extent=square, key=key),
        Line([-0.5, 0.5], [-0.5, 0.5], colour="white", width=0.8, style="dashed"),
    ]
    labels = ("wavenumber (cycles per column)", "frequency (cycles per step)")
    return Drawing([Plot(marks, "", *labels)])


def draw_basis_change(findings: Findings) -> Drawing:
    """One run as the units show it, and as its columns show it (TWM Fig. 3)."""
    field = findings.arrays["field"]
    columns = field.transpose(0, 2, 1).reshape(len(field), -1).T
    ends = [Rule(dimension * field.shape[1] - 0.5) for dimension in range(1, field.shape[2])]
    units = Matrix(findings.arrays["states"].T, signed=True)
    return Drawing(
        [
            Plot([units], "hidden state", "step", "unit"),
            Plot(
                [Matrix(columns, signed=True), *ends],
                "in the basis of the columns",
                "step",
                "column, by dimension",
            ),
        ],
        columns=1,
        share_x=True,
    )


def draw_gradients(findings: Findings) -> Drawing:
    """Normalised gradient by lag, one line per step of training where there are any (Fig. 5A)."""
    table = findings.tables["profile"]
    groups = list(table.groupby("step")) if "step" in table else [(None, table)]
    shades = np.linspace(0.0, 0.8, len(groups))[::-1]
    marks = [
        Line(
            part["lag"],
            part["normalised"],
            "end of training" if step is None else f"step {step}",
            # Darker and bluer the later.
            "#{0:02x}{0:02x}{1:02x}".format(*(round(255 * v) for v in (shade, (1 + shade) / 2))),
            markers=True,
        )
        for shade, (step, part) in zip(shades, groups, strict=True)
    ]
    labels = ("lag (steps back)", "gradient, relative to the first lag")
    log = bool((table["normalised"] > 0).any())
    return Drawing([Plot([Rule(1.0, style="dashed"), *marks], "", *labels, y_log=log)])


def draw_rate(findings: Findings) -> Drawing:
    """Decay rate and largest eigenvalue, over training where it was followed (Fig. 5B)."""
    names = {"decay_rate": "decay rate", "radius": "largest |eigenvalue|"}
    if "over_training" not in findings.tables:
        values = [float(findings.scalars[name]) for name in names]
        bars = Bars(range(len(names)), values, colour=["C3", "C0"])
        ticks = {float(place): text for place, text in enumerate(names.values())}
        return Drawing([Plot([bars], y_label="value at the end of training", x_ticks=ticks)])
    table = findings.tables["over_training"]
    plots = []
    for (name, text), colour, ideal in zip(names.items(), ("C3", "C0"), (0.0, 1.0), strict=True):
        part = table[table["scalar"] == name]
        line = Line(part["step"], part["value"], colour=colour, markers=True)
        rule = Rule(ideal, colour=colour, style="dashed")
        plots.append(Plot([rule, line], "", "training step", text))
    return Drawing(plots, columns=1, share_x=True)


def draw_attention(findings: Findings) -> Drawing:
    """Mean weight of every head by how many steps back its token lies."""
    plot = square(findings.tables["profile"], "head", "lag", "weight", "mean attention")
    return Drawing([replace(plot, x_label="lag (0: the newest)", y_label="head")])


def draw_boundary(findings: Findings) -> Drawing:
    """The effective linear boundary F beside the task's rule.

    Raises:
        NotApplicable: attention writes no columns.
    """
    if "boundary" not in findings.arrays:
        raise NotApplicable(findings.reasons["leak"])
    titles = {"boundary": "effective boundary F", "law": "the task's rule"}
    across = "column and dimension (oldest first)"
    plots = [
        Plot([Matrix(findings.arrays[name], signed=True)], title, across, "output")
        for name, title in titles.items()
        if name in findings.arrays
    ]
    return Drawing(plots, columns=1, share_x=True)


def draw_decoding(findings: Findings) -> Drawing:
    """How well each past item is read off the state by one linear map."""
    table = findings.tables["decoding"]
    groups = list(table.groupby("step")) if "step" in table else [(None, table)]
    lines = [
        Line(
            part["lag"],
            part["r2"],
            "" if step is None else f"step {step}",
            f"C{place}",
            markers=True,
        )
        for place, (step, part) in enumerate(groups)
    ]
    labels = ("lag (steps back)", "R² of x(t - lag) from the state")
    return Drawing([Plot(lines, "", *labels, y_limits=(-0.05, 1.05))])


def draw_overlap(findings: Findings) -> Drawing:
    """Overlap of the subspaces that items of two ages occupy: 0 orthogonal, 1 the same.

    Raises:
        NotApplicable: no age has a direction.
    """
    table = findings.tables["directions"].dropna(subset="overlap")
    if table.empty:
        raise NotApplicable("no age has a direction in the state")
    steps = sorted(table["step"].unique()) if "step" in table else [None]
    plots = []
    for step in steps:
        part = table if step is None else table[table["step"] == step]
        plot = square(part, "lag_a", "lag_b", "overlap", "overlap")
        title = "" if step is None else f"step {step}"
        plots.append(replace(plot, title=title, x_label="lag", y_label="lag", equal=True))
    return Drawing(plots, columns=min(len(steps), MOST_ACROSS), share_x=True, share_y=True)
