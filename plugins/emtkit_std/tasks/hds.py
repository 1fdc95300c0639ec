"""Task `hds`: hear a history, then continue it by a fixed rule, without further input."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Annotated, Literal, TypeVar, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from emtkit import Batch, Channels, NotApplicable, Recipe, Stream, Task, hookimpl
from emtkit.errors import EmtkitError
from emtkit.plugin.limits import MAX_STEPS
from emtkit.plugin.stream import signs_rows
from emtkit_std._theory.emt import binding as binding
from emtkit_std._theory.emt import selection as selections
from emtkit_std._theory.facts import DelayLaw, HistoryLaw

F = TypeVar("F")


class HistoryDependentSystem(Task):
    """Hear `history` vectors, then continue x(t) = f(x(t-s), ..., x(t-1)) for `horizon` steps.

    Inputs u(1..s) are independent signs in {-1, 1}^d (`values: real`: uniform on [-1, 1]); from
    step s + 1 on the input is zero and the scored target is

        y(t) = f(y(t-s), ..., y(t-1)),   y(1..s) = u(1..s),

    so the first scored output is f(u(1), ..., u(s)). Shapes: inputs and targets B (s + horizon) d.

    Rules: `T1`..`T4` (published, only at 8x8), `waves_t3`, `waves_t4` (published, only at 4x4),
    `repeat` and `diagonal` (T1 and T2 at any size), `signed` (a random signed permutation, drawn
    from `rule_seed`), `fibonacci` (the sum of the history; real values), `custom` (either
    `table_id`, the published triple [a, b, c], or `operator`, d rows of s d numbers). A rule that
    leaves {-1, 1}, diverges or has an incomplete core is refused unless `values: real`.

    Metrics: `accuracy` (share of outputs of the right sign, 0 counts as +1) and `first_accuracy`
    (the same at the first scored step); for real values `relative_error`, the mean over steps of
    |output - target| / |target|.

    Raises:
        EmtkitError: the rule does not exist at this size, or is refused; the reason is given.

    References: Episodic Memory Theory, arXiv:2310.02430, Eq. 4 and Table 1;
    arXiv:2402.10163, section 4.
    """

    name = "hds"
    offers = (HistoryLaw, DelayLaw)
    horizons = True
    draws_anywhere = True

    def __init__(
        self,
        *,
        rule: Literal[
            "T1",
            "T2",
            "T3",
            "T4",
            "repeat",
            "diagonal",
            "signed",
            "fibonacci",
            "custom",
            "waves_t3",
            "waves_t4",
        ] = "T1",
        history: Annotated[int, Field(ge=1, le=MAX_STEPS)] = 8,
        dimension: Annotated[int, Field(ge=1)] = 8,
        horizon: Annotated[int, Field(ge=1, le=MAX_STEPS)] = 100,
        table_id: tuple[int, int, int] | None = None,
        operator: tuple[tuple[float, ...], ...] | None = None,
        rule_seed: Annotated[int, Field(ge=0)] = 0,
        values: Literal["signs", "real"] = "signs",
    ) -> None:
        self.rule, self.history, self.dimension, self.horizon = rule, history, dimension, horizon
        self.real = values == "real" or rule == "fibonacci"
        # A rule of real values may grow; twice its training horizon can overflow single precision.
        self.evaluation_horizon = horizon if self.real else 200
        try:
            self.operator = _operator(rule, history, dimension, table_id, operator, rule_seed)
        except ValueError as error:
            raise EmtkitError(f"hds cannot pose rule '{rule}': {error}") from error
        self.selection = selections.selection_of(self.operator, history)
        if not self.real:
            self._refuse_unsound()

    @property
    def channels(self) -> Channels:
        """d inputs, d outputs."""
        return Channels(self.dimension, self.dimension)

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        """Draw `batch` histories and continue each for `horizon` scored steps."""
        horizon = self.horizon if horizon is None else horizon
        shape = (batch, self.history, self.dimension)
        start = 2 * stream.uniform(shape) - 1 if self.real else stream.signs(shape)
        return _batch(start, self._continue(start, horizon))

    @staticmethod
    def sample_rows(
        tasks: Sequence[Task], batch: int, streams: Sequence[Stream], horizon: int | None = None
    ) -> Batch:
        """The batches of M tasks by one selection for each rule, where all continue signs."""
        rows = [task for task in tasks if isinstance(task, HistoryDependentSystem)]
        simple = all(not row.real and row.selection is not None for row in rows)
        if not simple or len(rows) < len(tasks):
            return Task.sample_rows(tasks, batch, streams, horizon)
        first = rows[0]
        start = signs_rows(streams, (batch, first.history, first.dimension))
        scored = first.horizon if horizon is None else horizon
        alike: dict[selections.Selection, list[int]] = {}
        for place, row in enumerate(rows):
            if row.selection is not None:
                alike.setdefault(row.selection, []).append(place)
        if len(alike) == 1:
            return _heard(start, _selected(start, *alike, scored), first.history)
        parts = [_selected(start[places], rule, scored) for rule, places in alike.items()]
        targets = torch.empty_like(torch.cat(parts))
        for part, places in zip(parts, alike.values(), strict=True):
            targets[places] = part
        return _heard(start, targets, first.history)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Mean over the dimensions of the squared error (B T)."""
        return (outputs - batch.targets).square().mean(-1)

    def squares(self) -> tuple[float, ...]:
        """One over the number of dimensions, for each."""
        return (1.0 / self.dimension,) * self.dimension

    def recipe(self) -> Recipe | None:
        """Signs, of which a selection picks every target."""
        if self.real or self.selection is None:
            return None
        silent = self.history * self.dimension
        index, sign = _unrolled(self.selection, self.horizon)
        return Recipe(
            mask=(0.0,) * self.history + (1.0,) * self.horizon,
            input_steps=self.history,
            density=None,
            sources=(-1,) * silent + tuple(index.tolist()),
            signs=(1,) * silent + tuple(sign.tolist()),
        )

    def metrics(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Accuracy per bit and at the first scored step, or the relative error of real values."""
        if self.real:
            error = (outputs - batch.targets).norm(dim=-1) / batch.targets.norm(dim=-1)
            scored = torch.where(batch.mask > 0, error, 0.0)
            return {"relative_error": scored.mean(0).sum() / batch.mask.sum()}
        agree = ((outputs >= 0) == (batch.targets >= 0)) & outputs.isfinite()
        right = agree.to(outputs.dtype).mean((0, 2))
        first = batch.mask * (batch.mask.cumsum(0) == 1)
        return {
            "accuracy": (right * batch.mask).sum() / batch.mask.sum(),
            "first_accuracy": (right * first).sum(),
        }

    def facts(self, kind: type[F]) -> F:
        """The law of this rule, or the delays at which its outputs repeat the history."""
        if kind is HistoryLaw:
            return cast(F, self._law)
        if kind is DelayLaw:
            return cast(F, self._delays())
        return super().facts(kind)

    def _delays(self) -> DelayLaw:
        """Output i repeats dimension sigma(i), L_i steps later; signs have moments 0 and 1."""
        rule = self.selection
        if rule is None or self.real or not rule.is_permutation:
            raise NotApplicable(
                f"the outputs of rule '{self.rule}' are no delayed copies of single inputs"
            )
        d = self.dimension
        return DelayLaw(
            delay=rule.delays,
            source=rule.dimensions,
            sign=tuple(float(sign) for sign in rule.sign),
            mean=(0.0,) * d,
            second_moment=(1.0,) * d,
            density=(1.0,) * d,
        )

    @cached_property
    def _law(self) -> HistoryLaw:
        phi = binding.phi_of(self.operator, self.history)
        if self.selection is not None and self.selection.is_permutation:
            mask, spectrum = self.selection.mask, self.selection.spectrum
            period: int | None = self.selection.period
        else:
            mask, spectrum, period = binding.optimised_mask(phi), None, None
            if not binding.is_core_complete(phi, self.dimension, mask):
                mask = np.ones_like(mask)
        spectrum = np.linalg.eigvals(binding.core(phi)) if spectrum is None else spectrum
        return HistoryLaw(
            history=self.history,
            dimension=self.dimension,
            phi=phi,
            mask=mask,
            core_rank=len(spectrum),
            spectrum=spectrum,
            period=period,
            real_values=self.real,
        )

    def _continue(self, start: Tensor, horizon: int) -> Tensor:
        """Targets B horizon d of histories B s d; exact for selections."""
        if self.selection is not None:
            index, sign = _unrolled(self.selection, horizon)
            targets = start.flatten(1)[:, index.to(start.device)] * sign.to(start)
            return targets.unflatten(1, (horizon, self.dimension))
        f = torch.from_numpy(self.operator.T.copy()).to(start)
        window, terms = start.flatten(1), []
        for _ in range(horizon):
            terms.append(window @ f)
            window = torch.cat([window[:, self.dimension :], terms[-1]], 1)
        return torch.stack(terms, 1)

    def _refuse_unsound(self) -> None:
        verdict = binding.soundness(self.operator, self.history)
        if verdict.reasons:
            raise EmtkitError(
                f"hds cannot pose rule '{self.rule}' on signs: {'; '.join(verdict.reasons)}. "
                "Choose another operator, or set `values: real` (for linear and constructed "
                "networks)"
            )


def _operator(
    rule: str,
    history: int,
    dimension: int,
    table_id: tuple[int, int, int] | None,
    operator: tuple[tuple[float, ...], ...] | None,
    rule_seed: int,
) -> binding.Array:
    """The matrix f (d, s d) of a rule; raises ValueError with the reason where there is none."""
    given = (table_id is not None) + (operator is not None)
    if given != (1 if rule == "custom" else 0):
        raise ValueError(
            "`rule: custom` takes exactly one of `table_id` and `operator`, and no other rule "
            "takes either"
        )
    if rule in selections.PUBLISHED:
        s, d, _ = selections.PUBLISHED[rule]
        if (history, dimension) != (s, d):
            raise ValueError(
                f"it is published only for history {s} and dimension {d}, not {history} and "
                f"{dimension}; `repeat` and `diagonal` are T1 and T2 at any size"
            )
        return selections.published(rule).operator
    if rule == "repeat":
        return selections.repeat(history, dimension).operator
    if rule == "diagonal":
        return selections.diagonal(history, dimension).operator
    if rule == "signed":
        drawn = Stream(rule_seed, "rule", dtype=torch.float64).uniform((3, dimension))
        return selections.random_signed(history, dimension, drawn.numpy()).operator
    if rule == "fibonacci":
        return binding.fibonacci(history, dimension)
    if table_id is not None:
        return selections.decode(table_id, history, dimension).operator
    rows = operator or ()
    if len(rows) != dimension or any(len(row) != history * dimension for row in rows):
        raise ValueError(
            f"`operator` must have {dimension} rows of {history * dimension} numbers (dimension, "
            f"history x dimension), not {len(rows)} rows of {sorted({len(row) for row in rows})}"
        )
    return np.array(rows, dtype=np.float64)


def _batch(start: Tensor, targets: Tensor) -> Batch:
    """Inputs then silence; zero targets while listening, which the mask leaves out."""
    return _heard(start, torch.cat([torch.zeros_like(start), targets], -2), start.shape[-2])


def _heard(start: Tensor, targets: Tensor, history: int) -> Batch:
    """The batch of targets (... B T d) of which the first `history` are zero."""
    inputs = torch.zeros_like(targets)
    inputs[..., :history, :] = start
    mask = start.new_ones(targets.shape[-2])
    mask[:history] = 0.0
    return Batch(inputs, targets, mask.expand(*start.shape[:-3], -1), history)


def _selected(start: Tensor, rule: selections.Selection, horizon: int) -> Tensor:
    """Targets (M B T d) of histories (M B s d) that one rule continues; zero while listening."""
    models, batch, history, dimension = start.shape
    index, sign = _whole(rule, horizon, start.device)
    size = history * dimension
    targets = start.reshape(models * batch, size).index_select(1, index)
    targets[:, :size] = 0.0
    if sign is not None:
        targets[:, size:] *= sign.to(start.dtype)
    return targets.view(models, batch, history + horizon, dimension)


@lru_cache(maxsize=64)
def _whole(
    rule: selections.Selection, horizon: int, device: torch.device
) -> tuple[Tensor, Tensor | None]:
    """`_unrolled` on a device, its index from the first step on; no sign where none is flipped."""
    index, sign = _unrolled(rule, horizon)
    listening = index.new_zeros(rule.history * rule.dimension)
    flips = sign.to(device) if bool((sign < 0).any()) else None
    return torch.cat([listening, index]).to(device), flips


@lru_cache(maxsize=256)
def _unrolled(selection: selections.Selection, horizon: int) -> tuple[Tensor, Tensor]:
    """Every target as one coordinate of the heard history and its sign: two vectors (horizon d)."""
    size = selection.history * selection.dimension
    index, sign = np.arange(size), np.ones(size, dtype=np.int64)
    source, flips = np.array(selection.source), np.array(selection.sign)
    for step in range(horizon):
        read = source + step * selection.dimension
        index, sign = np.append(index, index[read]), np.append(sign, sign[read] * flips)
    return torch.from_numpy(index[size:].copy()), torch.from_numpy(sign[size:].copy())


@hookimpl
def emtkit_tasks() -> list[type[Task]]:
    """Offer `hds`."""
    return [HistoryDependentSystem]
