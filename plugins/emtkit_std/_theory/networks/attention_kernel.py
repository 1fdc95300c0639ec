"""Stacked passes through time of `twm_attention`, by hand; the module holds the equations.

Every sequence has an attention of its own: thousands of products of matrices with a few rows. So a
column is stored with its sequences last (d M B), and such a product is a sum of products of whole
lanes; only what a network's weights do is a product of matrices. A state is a window of s columns
in one line of columns, and moves on by one a step. With u what is driven,

    (q, p) = A [h_s ; 1],   z_i = q . h_i + p_i,   alpha = softmax(z),   m = sum_i alpha_i h_i,
    h_{s+1} = w + u,        w = V m or tanh(V m),

for every head. Backwards, from g = dL/d(V m), with dm = V' g and da_i = dm . h_i:

    dz_i = alpha_i (da_i - sum_j alpha_j da_j),   dh_i += alpha_i dm + dz_i q,
    dq = sum_i dz_i h_i,   dp = dz,   dV += g m',   dA += (dq, dp) [h_s ; 1]',   dh_s += A' (dq, dp)

Sums over lanes are numpy's: they give a sequence the same bits beside any others, which torch's
softmax does not. Weight gradients are added up step by step, so that a step that nobody scores
adds exact zeros.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emtkit import StackedKernel, Unrolled

Lanes = NDArray[Any]


@dataclass(frozen=True)
class Substrate:
    """What the networks of a stack share: `content` (d w), `places` (s w), kappa, and the modes.

    `places` are those of networks that train none.
    """

    content: Tensor
    places: Tensor
    kappa: float
    bounded: bool
    clamped: bool


@dataclass(frozen=True)
class _Heads:
    """All heads of M networks as one, or their gradients: A (M x d+1) and V (M d heads d).

    x are q of all heads, then p of all heads: heads d + heads s.
    """

    query: Tensor
    value: Tensor

    @property
    def count(self) -> int:
        """How many heads."""
        return self.value.shape[2] // self.value.shape[1]


@dataclass(frozen=True)
class _Forward:
    """What A is made of (M heads ..): [C ; p_s] and [C ; P], and their products with Q' and K'."""

    sought: Tensor
    offered: Tensor
    seeking: Tensor
    offering: Tensor


@dataclass(frozen=True)
class _Pass:
    """N steps: `line`, the columns with a row of ones below (s+N d+1 M B), and how they came about.

    `sought` is q, `mixed` m (N heads d M B), `alpha` (N heads s M B), `written` w (N d M B), where
    it is bounded.
    """

    line: Tensor
    sought: Tensor
    alpha: Tensor
    mixed: Tensor
    written: Tensor

    @classmethod
    def along(cls, line: Tensor, history: int, heads: int) -> "_Pass":
        """Room for the steps that `line` has columns for."""
        steps, d, lanes = len(line) - history, line.shape[1] - 1, line.shape[2:]
        sought, mixed = line.new_empty(2, steps, heads, d, *lanes)
        alpha = line.new_empty(steps, heads, history, *lanes)
        return cls(line, sought, alpha, mixed, line.new_empty(steps, d, *lanes))


class AttentionKernel(StackedKernel):
    """The columns move on by one, and the last is written by attention over them."""

    def __init__(self, substrate: Substrate) -> None:
        self.substrate = substrate
        self.history, self.dimension = len(substrate.places), len(substrate.content)

    def forward(self, weights: Mapping[str, Tensor], inputs: Tensor, steps: int) -> Unrolled:
        """States T M B (s d); where inputs are clamped, those before the history's end are 0."""
        heads = self._heads(weights)
        run = _Pass.along(self._line(inputs, steps), self.history, heads.count)
        with np.errstate(all="ignore"):  # who trains marks the rows that diverge
            self._advance(heads, run)
        windows = run.line[:, :-1].unfold(0, self.history, 1).movedim(4, 1)[-steps:]
        states = inputs.new_zeros(steps, *windows.shape[1:])
        states[steps - len(windows) :] = windows
        kept = (run.line, run.sought, run.alpha, run.mixed, run.written, heads.query, heads.value)
        return Unrolled(states.flatten(1, 2).permute(0, 2, 3, 1), kept)

    def backward(
        self, weights: Mapping[str, Tensor], inputs: Tensor, run: Unrolled, slopes: Tensor
    ) -> dict[str, Tensor]:
        """From the last column to the first that was written."""
        heads = _Heads(*run.kept[5:])
        toward = self._of_columns(slopes, run.kept[0])
        with np.errstate(all="ignore"):
            found = self._retreat(heads, _Pass(*run.kept[:5]), toward)
        return self._of_weights(weights, found)

    def _line(self, inputs: Tensor, steps: int) -> Tensor:
        """The line of columns (C d+1 M B) with what is driven, where attention adds its own."""
        s, d, clamped = self.history, self.dimension, self.substrate.clamped
        written = max(steps - s, 0) if clamped else steps
        line = inputs.new_zeros(s + written, d + 1, *inputs.shape[1:3])
        line[:, d] = 1.0
        if not clamped:
            line[s : s + len(inputs), :d] = inputs.permute(0, 3, 1, 2)
        elif len(inputs) == s:
            line[:s, :d] = inputs.permute(0, 3, 1, 2)
        return line

    def _advance(self, heads: _Heads, run: _Pass) -> None:
        """Write the columns after the first s, and keep what they were made of."""
        s, d, (models, batch) = self.history, self.dimension, run.line.shape[2:]
        newest, mixtures = _by_network(run.line), _by_network(run.mixed.flatten(1, 2))
        queries = run.line.new_empty(models, heads.query.shape[1], batch)
        answer = run.line.new_empty(models, d, batch)
        by_content, by_place = _by_head(queries, heads.count, d, s)
        (answered,) = _by_head(answer, 1, d)
        kept = (run.line[:, :d], run.sought, run.alpha, run.mixed, run.written)
        columns, sought, alphas, mixed, written = (values.numpy() for values in kept)
        for n, alpha in enumerate(alphas):
            window, added = columns[n : n + s], answered[0]
            torch.bmm(heads.query, newest[n + s - 1], out=queries)
            np.copyto(sought[n], by_content)
            np.einsum("hdmb,sdmb->hsmb", sought[n], window, out=alpha)
            np.add(alpha, by_place, out=alpha)
            _softmax(alpha)
            np.einsum("hsmb,sdmb->hdmb", alpha, window, out=mixed[n])
            torch.bmm(heads.value, mixtures[n], out=answer)
            if self.substrate.bounded:
                added = np.tanh(added, out=written[n])
            np.add(columns[n + s], added, out=columns[n + s])

    def _retreat(self, heads: _Heads, run: _Pass, toward: Tensor) -> _Heads:
        """dL/dA and dL/dV; `toward` are the slopes of the columns (C d M B), to be added to."""
        s, d, (models, batch) = self.history, self.dimension, run.line.shape[2:]
        found = _Heads(torch.zeros_like(heads.query), torch.zeros_like(heads.value))
        newest, mixtures = _by_network(run.line), _by_network(run.mixed.flatten(1, 2))
        into, slopes = _by_network(toward), toward.numpy()
        queries = toward.new_empty(heads.query.shape[1], models, batch).transpose(0, 1)
        mixture = toward.new_empty(models, heads.count * d, batch)
        past = toward.new_empty(models, d, batch)
        by_content, by_score = _by_head(queries, heads.count, d, s)
        (by_mixture,), (by_past,) = _by_head(mixture, heads.count, d), _by_head(past, 1, d)
        of_mixed = np.empty(by_mixture.shape, by_mixture.dtype)
        value, query = (w.transpose(1, 2).contiguous() for w in (heads.value, heads.query[..., :d]))
        kept = (run.line[:, :d], run.sought, run.alpha, run.written)
        columns, sought, alphas, written = (values.numpy() for values in kept)
        for n in reversed(range(len(alphas))):
            window, of_window = columns[n : n + s], slopes[n : n + s]
            if self.substrate.bounded:
                slopes[n + s] *= 1.0 - written[n] * written[n]
            found.value.baddbmm_(into[n + s], mixtures[n].transpose(1, 2))
            torch.bmm(value, into[n + s], out=mixture)
            np.copyto(of_mixed, by_mixture)
            np.einsum("hdmb,sdmb->hsmb", of_mixed, window, out=by_score)
            _softmax_slope(by_score, alphas[n])
            np.einsum("hsmb,sdmb->hdmb", by_score, window, out=by_content)
            of_window += np.einsum("hsmb,hdmb->sdmb", alphas[n], of_mixed)
            of_window += np.einsum("hsmb,hdmb->sdmb", by_score, sought[n])
            found.query.baddbmm_(queries, newest[n + s - 1].transpose(1, 2))
            torch.bmm(query, queries, out=past)
            of_window[-1] += by_past[0]
        return found

    def _of_columns(self, slopes: Tensor, line: Tensor) -> Tensor:
        """dL/dcolumn of the line (C d M B), from dL/dstate of the last K steps (K M B s d)."""
        columns, (d, models, batch) = len(line), (self.dimension, *line.shape[2:])
        toward, s = line.new_zeros(columns, d, models, batch), self.history
        used = min(len(slopes), columns - s + 1)
        by_place = slopes[-used:].unflatten(3, (s, d)).permute(3, 0, 4, 1, 2)
        reached = slopes.flatten(0, 2).numpy().any(0).reshape(s, d).any(1)
        for place in reached.nonzero()[0]:  # the readout reads the newest column alone
            first = columns - s + 1 - used + place
            toward[first : first + used] += by_place[place]
        return toward

    def _heads(self, weights: Mapping[str, Tensor]) -> _Heads:
        """A = kappa [C ; P] W_K' W_Q [C ; p_s]', head by head; places P (s w), content C (d w)."""
        parts = self._parts(weights)
        queries = parts.offering @ parts.seeking.transpose(2, 3) * self.substrate.kappa
        by_content, by_place = queries.split([self.dimension, self.history], 2)
        query = torch.cat([by_content.flatten(1, 2), by_place.flatten(1, 2)], 1)
        return _Heads(query, weights["W_V"].transpose(1, 2).flatten(2))

    def _of_weights(self, weights: Mapping[str, Tensor], found: _Heads) -> dict[str, Tensor]:
        """dL/dweight from dL/dA and dL/dV."""
        parts, count, d = self._parts(weights), found.count, self.dimension
        by_kind = found.query.split([count * d, count * self.history], 1)
        queries = torch.cat([kind.unflatten(1, (count, -1)) for kind in by_kind], 2)
        queries = queries * self.substrate.kappa
        offering, seeking = queries @ parts.seeking, queries.transpose(2, 3) @ parts.offering
        gradients = {
            "W_Q": seeking.transpose(2, 3) @ parts.sought,
            "W_K": offering.transpose(2, 3) @ parts.offered,
            "W_V": found.value.unflatten(2, (count, d)).transpose(1, 2),
        }
        if "places" in weights:
            places = (offering[:, :, d:] @ weights["W_K"]).sum(1)
            places[:, -1] += (seeking[:, :, d:] @ weights["W_Q"]).sum(1).squeeze(1)
            gradients["places"] = places
        return gradients

    def _parts(self, weights: Mapping[str, Tensor]) -> _Forward:
        W_Q, W_K = weights["W_Q"], weights["W_K"]
        content = self.substrate.content.to(W_Q).expand(len(W_Q), -1, -1)
        places = weights.get("places", self.substrate.places.to(W_Q)).expand(len(W_Q), -1, -1)
        shape = (-1, W_Q.shape[1], -1, -1)  # a product per head, whatever the number of networks
        sought = torch.cat([content, places[:, -1:]], 1).unsqueeze(1).expand(shape)
        offered = torch.cat([content, places], 1).unsqueeze(1).expand(shape)
        return _Forward(
            sought, offered, sought @ W_Q.transpose(2, 3), offered @ W_K.transpose(2, 3)
        )


def _by_network(rows: Tensor) -> list[Tensor]:
    """(N x M B) as N views (M x B)."""
    return list(rows.transpose(1, 2).unbind(0))


def _by_head(values: Tensor, heads: int, *widths: int) -> list[Lanes]:
    """(M x B), where x are all heads' first rows, then their second, as views (heads width M B)."""
    parts = values.transpose(0, 1).split([heads * width for width in widths])
    return [part.unflatten(0, (heads, -1)).numpy() for part in parts]


def _softmax(scores: Lanes) -> None:
    """Softmax over columns (heads s M B), in place."""
    shared = scores.max(1, keepdims=True)
    np.subtract(scores, shared, out=scores)
    np.exp(scores, out=scores)
    np.add.reduce(scores, 1, keepdims=True, out=shared)
    np.divide(scores, shared, out=scores)


def _softmax_slope(slopes: Lanes, alpha: Lanes) -> None:
    """dL/dscores from dL/dalpha (heads s M B), in place."""
    shared = np.einsum("hsmb,hsmb->hmb", slopes, alpha)
    np.subtract(slopes, shared[:, None], out=slopes)
    np.multiply(slopes, alpha, out=slopes)
