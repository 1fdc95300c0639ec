"""How features share a state where no law of delays is known: by what must be remembered.

Features are the input entries that a state must hold (`required_memory`), their directions the
codes of `memory_map`: rows b_m of the regression of whitened states on all of them. Each time
counts by the power of its codes:

    code_overlap = sum (b . b')^2 / sum |b|^2 |b'|^2       of two features of one time

0 if orthogonal, 1 on one line, and 1 / directions by chance; n features in r < n directions leave
no less than (n / r - 1) / (n - 1) on average (Welch).

Sources: Sharma, Proca, Prieto and Mediano (ICLR 2026) for features that share units; Welch (1974),
doi:10.1109/TIT.1974.1055219, for the bound.
"""

from dataclasses import dataclass

import numpy as np
import torch

from emtkit import Subject
from emtkit_std._theory.memory_map.codes import encode
from emtkit_std._theory.memory_map.observed import observe
from emtkit_std._theory.observe import draw, in_double
from emtkit_std._theory.standard_error import Ratio

SEQUENCES = 1024
CHUNK = 2048


@dataclass(frozen=True)
class Sharing:
    """`overlap` (NaN with fewer than two codes), most `features` at one time, and `directions`."""

    overlap: float
    features: int
    directions: int


@dataclass(frozen=True)
class Answered:
    """The loss over that of the answer 0, and the outputs with own gain above 1/2."""

    loss: Ratio
    represented: int


def sharing(subject: Subject) -> Sharing:
    """How needed features share the state.

    Raises:
        NotApplicable: what must be remembered is unknown, nothing, or too much.
    """
    seen = observe(subject, SEQUENCES)
    coded = encode(seen)
    square = whole = 0.0
    for k, needed in enumerate(seen.needed):
        codes = [coded.codes[k][m] for m in needed if coded.codes[k][m].power > 0]
        if len(codes) < 2:
            continue
        powers = np.array([code.power for code in codes])
        directions = np.array([code.direction for code in codes])
        apart = ~np.eye(len(codes), dtype=bool)
        square += float(np.square(directions @ directions.T)[apart].sum())
        whole += float(np.outer(powers, powers)[apart].sum())
    overlap = square / whole if whole > 0 else float("nan")
    return Sharing(overlap, max(map(len, seen.needed)), coded.directions)


def answered(subject: Subject, sequences: int) -> Answered:
    """How right the answers to fresh sequences are, by the task's own loss.

    Own gain of an output: cov(y, target) / var target over all scored steps.
    """
    model = in_double(subject.model)
    losses, zeros, moments = [], [], torch.zeros(5, subject.task.channels.outputs).double()
    for part in range(-(-sequences // CHUNK)):
        fresh = Subject(
            subject.task,
            subject.model,
            subject.parameters,
            subject.history,
            subject.stream.fork(f"fresh {part}"),
        )
        batch = draw(fresh, min(CHUNK, sequences - part * CHUNK))
        with torch.no_grad():
            outputs = model.trace(batch.inputs[:, : batch.input_steps], batch.steps).outputs
        scored = batch.mask.expand(batch.inputs.shape[:2])
        for kept, answers in ((losses, outputs), (zeros, torch.zeros_like(outputs))):
            kept.append((subject.task.loss(answers, batch) * scored).sum(1))
        y, z, w = outputs, batch.targets, scored[..., None]
        parts = (w.expand_as(y), y * w, z * w, y * z * w, z * z * w)
        moments += torch.stack([one.sum((0, 1)) for one in parts])
    count, y, z, yz, zz = moments
    gain = (yz - y * z / count) / (zz - z * z / count)
    return Answered(
        Ratio(torch.cat(losses).numpy(), torch.cat(zeros).numpy()), int((gain > 0.5).sum())
    )
