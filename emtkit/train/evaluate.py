"""How good a stack is: loss and metrics of many networks on one set of fresh sequences."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from emtkit.plugin.strata import Stratified
from emtkit.plugin.stream import Stream
from emtkit.plugin.task import Batch
from emtkit.study.cells import EvaluationSpec
from emtkit.train.stack import Stacked, first_scored, losses_alone
from emtkit.train.tiers.base import Tier

CHUNK_BYTES = 192 * 2**20
AT_REACH = 10


def check(
    stacked: Stacked,
    flat: Tensor,
    tier: Tier,
    sequences: int,
    streams: Sequence[Stream],
    horizon: int | None,
) -> list[dict[str, float]]:
    """`loss` and every metric of each row, over `horizon` scored steps of its own stream."""
    batch = stacked.draw(sequences, streams, horizon).to(stacked.device)
    outputs = tier.outputs(stacked, flat, batch)
    masks = first_scored(batch.scored_steps, horizon)
    losses = tier.losses(stacked.errors(outputs, batch), masks).tolist()
    metrics = stacked.metrics(outputs, batch, masks)
    return [{"loss": loss, **row} for loss, row in zip(losses, metrics, strict=True)]


def judge(
    stacked: Stacked, flat: Tensor, tier: Tier, evaluation_specs: Sequence[EvaluationSpec]
) -> list[dict[str, float | bool]]:
    """The scalars of `test` for each row; all rows see the same draws of one stream.

    `loss` is over `loss_horizon`, the metrics over `horizon`; `<metric>_at_<n>` is over the scored
    steps n-10..n+10 (for the last n: n-20..n). `<name>_error` is the standard error of each, by the
    spread of the sequences, which are independent (the steps of one are not), within the kinds by
    which the task draws them (`Task.sample_strata`); a single sequence has none. `finite` is False
    where an output was not: such outputs count as wrong and leave the other rows alone.
    """
    found: list[dict[str, float | bool]] = []
    size = _rows_at_once(stacked, evaluation_specs[0].sequences)
    for start in range(0, stacked.models, size):
        rows = list(range(start, min(start + size, stacked.models)))
        part = stacked.take(rows)
        kept = [evaluation_specs[row] for row in rows]
        found.extend(_judge_chunk(part, flat[torch.tensor(rows)], tier, kept))
    return found


def _judge_chunk(
    stacked: Stacked, flat: Tensor, tier: Tier, evaluation_specs: Sequence[EvaluationSpec]
) -> list[dict[str, float | bool]]:
    asked = evaluation_specs[0]
    reaches = [asked.horizon, *asked.at, *(spec.loss_horizon for spec in evaluation_specs)]
    longest = None if asked.horizon is None else max(n for n in reaches if n is not None)
    drawn = _drawn(stacked, asked, longest, flat.dtype)
    batch, strata = Batch.stacked([one.batch for one in drawn]), [one.strata for one in drawn]
    batch = stacked.with_noise(batch, [_stream(asked, flat.dtype)] * stacked.models)
    outputs = tier.outputs(stacked, flat, batch)
    masks = torch.stack(
        [
            first_scored(mask, spec.loss_horizon)
            for mask, spec in zip(batch.scored_steps, evaluation_specs, strict=True)
        ]
    )
    errors, lengths = stacked.errors(outputs, batch), _lengths(batch)
    factors = torch.stack([kinds.factors for kinds in strata]).to(errors)
    losses = tier.losses(errors * factors[..., None], masks).tolist()
    finite = outputs.isfinite().flatten(1).all(1).tolist()
    rows: list[dict[str, float | bool]] = [
        {"loss": loss if math.isfinite(loss) else math.nan, "finite": bool(ok)}
        for loss, ok in zip(losses, finite, strict=True)
    ]
    for suffix, wanted in _windows(batch, asked):
        for row, metrics in zip(rows, stacked.metrics(outputs, batch, wanted), strict=True):
            row.update({f"{name}{suffix}": value for name, value in metrics.items()})
        if asked.sequences > 1:
            found = stacked.metrics_alone(outputs, batch, wanted)
            for row, alone, kinds, own in zip(rows, found, strata, lengths, strict=True):
                for name, of in alone.items():
                    whole = float(row[f"{name}{suffix}"])
                    row[f"{name}{suffix}_error"] = kinds.error(_linearised(of, whole, own))
                if not kinds.simple:
                    row.update({f"{name}{suffix}": kinds.mean(of) for name, of in alone.items()})
    if asked.sequences > 1:
        each = losses_alone(errors, masks)
        for row, one, kinds, own in zip(rows, each, strata, lengths, strict=True):
            row["loss_error"] = kinds.error(one - row["loss"] * (own - 1))
    return rows


def _lengths(batch: Batch) -> Tensor:
    """The scored steps of each sequence (M B) over their mean; 1 where all score the same."""
    if not batch.per_sequence:
        return batch.mask.new_ones(batch.inputs.shape[:2])
    steps = batch.mask.sum(2)
    return steps / steps.mean(1, keepdim=True)


def _linearised(alone: Tensor, whole: float, lengths: Tensor) -> Tensor:
    """What each sequence (B) adds to a metric; their spread is its error.

    A metric of scored steps is a ratio of two sums, sum_b l_b m_b / sum_b l_b, in which each
    sequence adds m + l_b (m_b - m) to first order (l: its steps over their mean). One that is the
    mean over sequences is not weighed.

    References: Cochran 1977, Sampling Techniques, section 6.3 (ratio estimates).
    """
    pooled = float((alone * lengths).mean())
    if abs(pooled - whole) > 1e-5 * max(abs(whole), float(alone.abs().max())):
        return alone
    return alone * lengths - whole * (lengths - 1)


def _drawn(
    stacked: Stacked, asked: EvaluationSpec, horizon: int | None, dtype: torch.dtype
) -> list[Stratified]:
    """The sequences of every row, all from one stream; rows of equal tasks share them."""
    found = {}
    for group in stacked.groups:
        one = group.task.sample_strata(asked.sequences, _stream(asked, dtype), horizon)
        found.update(dict.fromkeys(group.rows, one))
    return [found[row] for row in range(stacked.models)]


def _stream(asked: EvaluationSpec, dtype: torch.dtype) -> Stream:
    """What sequences and state noise of all rows are drawn from: one stream, without a seed."""
    return Stream(None, asked.stream, dtype=dtype)


def _windows(batch: Batch, asked: EvaluationSpec) -> list[tuple[str, Tensor]]:
    windows = [("", first_scored(batch.scored_steps, asked.horizon))]
    if asked.horizon is None:
        return windows
    count = batch.mask.cumsum(-1)
    for n in asked.at:
        last = n == max(asked.at)
        low, high = (n - 2 * AT_REACH, n) if last else (n - AT_REACH, n + AT_REACH)
        windows.append((f"_at_{n}", batch.mask * ((count >= low) & (count <= high))))
    return windows


def _rows_at_once(stacked: Stacked, sequences: int) -> int:
    """How many rows fit into memory."""
    probe = stacked.tasks[0]
    width = probe.channels.inputs + probe.channels.outputs + 64
    per_row = sequences * (probe.horizon or 32) * width * 8
    return max(2, CHUNK_BYTES // per_row)
