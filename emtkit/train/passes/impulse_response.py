"""A linear recurrence without bias that is scored at one step: its impulse response is enough.

    X_0 = W_uh',  X_{j+1} = X_j W_hh'  (I H),   K_j = X_j W_r'  (I O)
    y = rho(sum_j u_{last-j} K_j + b_r)
    G_j = dK_j W_r + G_{j+1} W_hh,   dK_j = sum_b u_{last-j}' e   (what y owes to lag j)
    dW_r = sum_j dK_j' X_j,   dW_hh = sum_j G_{j+1}' X_j,   dW_uh = G_0'

I rows run through the recurrence in place of B sequences, and one product takes all inputs to y.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from emtkit.train.passes.bptt import Slopes


class ImpulseResponses:
    """The response (lag by lag, X_j and K_j) of M networks, up to lag `last`."""

    def __init__(
        self, weights: Mapping[str, Tensor], inputs: Tensor, last: int, *, is_relu: bool
    ) -> None:
        """`inputs` (M B s I) are those up to step `last`, the scored one; `is_relu` tells rho."""
        self._weights, self._last, self._is_relu = weights, last, is_relu
        models, _, self._input_steps, self._channels = inputs.shape
        self._inputs = inputs.flatten(2).transpose(1, 2)
        recur = weights["W_hh"].transpose(1, 2).contiguous()
        states = [weights["W_uh"].transpose(1, 2).contiguous()]
        for _ in range(last):
            states.append(torch.bmm(states[-1], recur))
        self._states = torch.stack(states, 1)
        flat = self._states.flatten(1, 2)
        kernel = torch.bmm(flat, weights["W_r"].transpose(1, 2))
        by_lag = kernel.view(models, last + 1, self._channels, -1)
        given = by_lag[:, last + 1 - self._input_steps :]
        responses = given.flip(1).flatten(1, 2).transpose(1, 2)
        self._outputs = torch.bmm(responses, self._inputs)
        if "b_r" in weights:
            self._outputs += weights["b_r"].unsqueeze(2)
        if is_relu:
            self._outputs.clamp_(min=0)

    def outputs(self) -> Tensor:
        """Outputs of the scored step (1 M O B)."""
        return self._outputs.unsqueeze(0)

    def backward(self, slopes: Slopes) -> dict[str, Tensor]:
        """Gradients of W_uh, W_hh, W_r and b_r."""
        wrong = torch.empty_like(self._outputs)
        slopes(0, self._outputs, wrong)
        if self._is_relu:
            torch.ops.aten.threshold_backward(wrong, self._outputs, 0, grad_input=wrong)
        recur, read = self._weights["W_hh"], self._weights["W_r"]
        models, lags = len(recur), self._last + 1
        owed = torch.bmm(wrong, self._inputs.transpose(1, 2)).transpose(1, 2)
        by_time = owed.reshape(models, self._input_steps, self._channels, -1)
        kernel = by_time.new_zeros((models, lags, *by_time.shape[2:]))
        kernel[:, lags - self._input_steps :] = by_time.flip(1)
        flat = kernel.flatten(1, 2)
        through = torch.bmm(flat, read).view_as(self._states)
        steps = [through[:, self._last]]
        for lag in reversed(range(self._last)):
            steps.append(torch.baddbmm(through[:, lag], steps[-1], recur))
        before = self._states[:, :-1].flatten(1, 2)
        after = torch.cat(steps[-2::-1], 1) if self._last else before
        return {
            "W_uh": steps[-1].transpose(1, 2),
            "W_hh": torch.bmm(after.transpose(1, 2), before),
            "W_r": torch.bmm(flat.transpose(1, 2), self._states.flatten(1, 2)),
            "b_r": wrong.sum(2),
        }
