"""The exact circuit of a history law: its basis, and the weights that hold it.

With a basis Psi (H, m) of the kept coordinates and Psi* = Psi^+,

    W_hh = Psi Phi Psi*,   W_uh = Psi_s,   W_r = Psi_s*      (block s = the newest variable)

References: Episodic Memory Theory, arXiv:2310.02430, Eqs. 6-8.
"""

from typing import Literal

import torch
from torch import Tensor

from emtkit import EmtkitError, NotApplicable, Task
from emtkit_std._theory.facts import Activation, HistoryLaw, LinearHistoryLaw

Basis = Literal["orthonormal", "gaussian", "units"]

CONDITION_LIMIT = 1e3
REDRAWS = 100


def refuse(task: Task, hidden: int) -> str | None:
    """Why no exact circuit of `hidden` units exists for `task`, or None."""
    law = linear_law(task)
    if isinstance(law, str):
        return f"{law}, from which a circuit could be built"
    if law.core_rank == 0:
        return f"the rule of '{task.name}' has core rank 0: nothing goes on by itself"
    if hidden < law.mask.sum():
        return (
            f"the circuit of this rule needs {int(law.mask.sum())} hidden units (its core), "
            f"and `hidden` is {hidden}"
        )
    return None


def refuse_real_values(task: Task, activation: Activation) -> str | None:
    """Why a network that is not linear does not carry the values of `task`, or None."""
    if activation == "linear" or HistoryLaw not in task.offers:
        return None
    if not task.facts(HistoryLaw).real_values:
        return None
    limit = "saturates" if activation == "tanh" else "loses what is negative"
    return (
        f"'{task.name}' has real values here, which may grow without bound; a network with "
        f"{activation} units {limit} (linear and constructed networks apply)"
    )


def linear_law(task: Task) -> LinearHistoryLaw | str:
    """The law of `task` where its rule is a matrix, or that there is none."""
    if LinearHistoryLaw in task.offers:
        try:
            return task.facts(LinearHistoryLaw)
        except NotApplicable as reason:
            return f"{reason}: it has no linear history law"
    return f"'{task.name}' has no history law"


def build(law: LinearHistoryLaw, basis: Tensor, amplitude: float) -> dict[str, Tensor]:
    """The weights of the circuit of `law` in a basis (H, m) of its kept coordinates, in float64.

    `memories` Psi, `dual` Psi* (m, H), `phi` (m, m); `W_uh` (H, d) writes one unit of input as a
    state of size `amplitude`, `W_r` (d, H) reads it in the task's units, `loads` (H, s d) puts a
    whole flattened history into the state, dropped coordinates at zero.
    """
    mask = torch.from_numpy(law.mask)
    dual = torch.linalg.pinv(basis).contiguous()
    loads = basis.new_zeros(len(basis), len(mask))
    loads[:, mask] = basis
    return {
        "memories": basis,
        "dual": dual,
        "phi": torch.from_numpy(law.phi)[mask][:, mask],
        "W_uh": basis[:, -law.dimension :].contiguous() * amplitude,
        "W_r": dual[-law.dimension :] / amplitude,
        "loads": loads * amplitude,
    }


def draw_basis(kind: Basis, hidden: int, size: int) -> Tensor:
    """A basis (hidden, size) in float64, random from torch's own generator (a model's init).

    `gaussian`: entries N(0, 1/hidden), drawn again where the condition exceeds 1000, as a square
    one often does; `orthonormal`: the Q of such a draw; `units`: the first unit vectors.
    """
    if kind == "units":
        return torch.eye(hidden, size, dtype=torch.float64)
    for _ in range(REDRAWS):
        drawn = torch.randn(hidden, size, dtype=torch.float64) / hidden**0.5
        if kind == "orthonormal":
            return torch.linalg.qr(drawn).Q.contiguous()
        if torch.linalg.cond(drawn) <= CONDITION_LIMIT:
            return drawn
    raise EmtkitError(
        f"{REDRAWS} Gaussian bases of {size} memories in {hidden} units all had a condition above "
        f"{CONDITION_LIMIT:g}; take more hidden units or `basis: orthonormal`"
    )
