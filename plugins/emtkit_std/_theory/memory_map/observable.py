"""Which directions of the state later outputs depend on: what no output reads is no memory.

In each sequence the whitened state u is moved by +-1 along each direction of a random orthonormal
basis Q, and the network goes on by itself. With J the central differences of its scored outputs
(r x T' O, rows turned back by Q), two bases that are drawn apart give

    G = E J_1 J_2^T + E J_2 J_1^T      (symmetric, r x r)

the observability Gramian of the whitened state: for a linear network exactly that of its outputs
from there on. Steps of a standard deviation, in place of derivatives, see outputs that round.
The observable part of the state is its projection P^T u on the eigenvectors of G whose eigenvalue
is above SHARE of the largest and above CHANCES times the most negative one (chance is as often
below 0 as above); what lies beside them moves no output. It is white again, and units that no
output reads, however much they hold, are not in it.

References: Moore (1981), doi:10.1109/TAC.1981.1102568 (Gramians of whitened, or balanced, states).
"""

import numpy as np
import torch

from emtkit import RecurrentModel, Stream, Subject
from emtkit_std._theory.facts import Array
from emtkit_std._theory.memory_map.codes import Coded
from emtkit_std._theory.memory_map.continued import continued
from emtkit_std._theory.memory_map.observed import Observed
from emtkit_std._theory.observe import in_double

MOVES = 2048
"""Sequences times directions; fewest and most sequences:"""
SEQUENCES = (16, 128)
TIMES = (0.0, 1 / 3, 2 / 3)
MOST_STEPS = 32
ROWS = 4
"""States for each direction, in the sums that are moved along."""
SHARE = 0.02
CHANCES = 1.5


def observable(subject: Subject, seen: Observed, coded: Coded, stream: Stream) -> Array:
    """An orthonormal basis (r k) of the observable directions; all of them where none can be moved.

    A network in which nothing is observable has k = 0.
    """
    width = coded.directions
    if not isinstance(subject.model, RecurrentModel) or not width:
        return np.eye(width)
    values, vectors = np.linalg.eigh(gramian(in_double(subject.model), seen, coded, stream))
    least = max(SHARE * float(values[-1]), -CHANCES * float(values[0]))
    return np.asarray(vectors[:, values > least])


def gramian(model: RecurrentModel, seen: Observed, coded: Coded, stream: Stream) -> Array:
    """G (r r) of a model in float64, summed over a few times and, at each, over the sequences."""
    found = np.zeros((coded.directions,) * 2)
    for k in sorted({round(share * (len(seen.times) - 1)) for share in TIMES}):
        first, second = (_differences(model, seen, coded, k, stream) for _ in range(2))
        product = np.einsum("rnf,snf->rs", first, second) / first.shape[1]
        found += product + product.T
    return found


def _differences(
    model: RecurrentModel, seen: Observed, coded: Coded, k: int, stream: Stream
) -> Array:
    """Central differences (r N T'O) of scored outputs along each whitened coordinate."""
    width = coded.directions
    count = min(len(seen.states), int(np.clip(MOVES // width, *SEQUENCES)))
    basis = _bases(coded.white.reshape(-1, width), count, stream)
    moves = np.concatenate([basis, -basis], axis=2).transpose(2, 0, 1) @ coded.back.T
    time = seen.times[k]
    end = min(seen.batch.steps, time + 1 + MOST_STEPS)
    states = torch.from_numpy(seen.states[:count, k] + moves).flatten(0, 1)
    inputs = seen.batch.inputs[:count].repeat(2 * width, 1, 1)
    found = continued(model, states, inputs, time, end).numpy()
    outputs = found.reshape(2 * width, count, *found.shape[1:])
    scored = seen.batch.mask.expand(seen.batch.inputs.shape[0], -1)[:count, time:end].numpy() > 0
    change = (outputs[:width] - outputs[width:]) / 2 * scored[None, :, :, None]
    return np.einsum("nrq,qnto->rnto", basis, change).reshape(width, count, -1)


def _bases(white: Array, count: int, stream: Stream) -> Array:
    """Orthonormal columns (N r r): random sums of states, made orthonormal without an order.

    They turn with the states, so that the coordinates in which h is given do not matter.
    """
    width = white.shape[1]
    chosen = white[:: max(1, len(white) // (ROWS * width))]
    sums = stream.normal((count, width, len(chosen))).double().numpy() @ chosen
    left, _, right = np.linalg.svd(sums)
    return np.asarray((left @ right).transpose(0, 2, 1))
