"""Task `hds`: receive a history, then continue it by a fixed rule, without further input."""

from collections.abc import Sequence
from functools import cached_property, partial
from typing import Annotated, Literal, TypeGuard, cast, get_args

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from emtkit import (
    MAX_STEPS,
    Batch,
    Channels,
    EmtkitError,
    Fact,
    NotApplicable,
    Recipe,
    ScalarInfo,
    Since,
    Stream,
    Task,
    hookimpl,
    signs_rows,
)
from emtkit_std._theory.emt import binding
from emtkit_std._theory.emt import selection as selections
from emtkit_std._theory.emt.boolean import BooleanRule, Lookup, by_lookup, lookup_of
from emtkit_std._theory.emt.continuation import by_operator, by_selection, unrolled
from emtkit_std._theory.facts import Array, DelayLaw, HistoryLaw, LinearHistoryLaw
from emtkit_std._theory.required_memory import MOST_STEPS, RequiredMemory, of_linear, of_signs


class HistoryDependentSystem(Task):
    """Receive `history` vectors, then continue x(t) = f(x(t-s), ..., x(t-1)) for `horizon` steps.

    Inputs u(1..s) are independent; from step s + 1 on the input is zero and the scored target is

        y(t) = f(y(t-s), ..., y(t-1)),   y(1..s) = u(1..s),

    so the first scored output is f(u(1), ..., u(s)). Shapes: inputs and targets B (s + horizon) d.

    `custom` takes either `table_id` or `operator`. A rule that leaves {-1, 1}, diverges or has an
    incomplete core is refused unless `values: real`.

    `parity`, `majority`, `xor_shift` and `table` are Boolean functions of a few entries for every
    output (-1 is 0) and no matrix: they have a law of history, but no Phi, core or spectrum.

    Metrics: `accuracy` (share of outputs of the right sign, 0 counts as +1) and `first_accuracy`
    (the same at the first scored step); for real values `relative_error`, the mean over steps of
    |output - target| / |target|.

    Raises:
        EmtkitError: the rule does not exist at this size, or is refused; the reason is given.

    References: Episodic Memory Theory, arXiv:2310.02430, Eq. 4 and Table 1;
    arXiv:2402.10163, section 4.
    """

    name = "hds"
    scalars = {
        "accuracy": ScalarInfo("share of right signs over the scored outputs", better="higher"),
        "first_accuracy": ScalarInfo("the same at the first scored output", better="higher"),
        "relative_error": ScalarInfo("mean relative distance of real outputs", better="lower"),
    }
    offers = (HistoryLaw, LinearHistoryLaw, DelayLaw, RequiredMemory)
    horizons = True
    draws_anywhere = True

    def __init__(
        self,
        *,
        rule: Annotated[
            binding.Rule | BooleanRule,
            Field(
                description="The rule f: `T1` to `T4` (published, 8 x 8 alone), `waves_t3` and "
                "`waves_t4` (published, 4 x 4 alone), `repeat` and `diagonal` (T1 and T2 at any "
                "size), `signed` (a random signed permutation), `fibonacci` (the sum of the "
                "history, real values), or `custom`; not linear: `parity` (the product of the "
                "oldest and the newest value of the same dimension), `xor_shift` (of the oldest "
                "and its neighbour in the newest vector), `majority` (of the history of a "
                "dimension, which is odd), and `table`."
            ),
        ] = "T1",
        history: Annotated[
            int, Field(ge=1, le=MAX_STEPS, description="Number of vectors s that are received.")
        ] = 8,
        dimension: Annotated[int, Field(ge=1, description="Number of values d per vector.")] = 8,
        horizon: Annotated[
            int,
            Field(
                ge=1,
                le=MAX_STEPS,
                description="Number of scored steps in training; evaluation has 200, or for real "
                "values as many as training.",
            ),
        ] = 100,
        table_id: Annotated[
            tuple[int, int, int] | None,
            Field(description="A custom rule as the published triple [a, b, c]."),
        ] = None,
        operator: Annotated[
            tuple[tuple[float, ...], ...] | None,
            Field(description="A custom rule as d rows of s d numbers, the oldest vector first."),
        ] = None,
        rule_seed: Annotated[
            int, Field(ge=0, description="Seed of the permutation of `signed`.")
        ] = 0,
        values: Annotated[
            Literal["signs", "real"],
            Field(description="Whether inputs are signs in {-1, 1}, or uniform on [-1, 1]."),
        ] = "signs",
        reads: Annotated[
            tuple[tuple[int, int], ...] | None,
            Since.LATER,
            Field(
                description="Entries that each output of a `table` reads, as [variable (1 is the "
                "oldest), dimensions past its own]."
            ),
        ] = None,
        truth: Annotated[
            tuple[Literal[-1, 1], ...] | None,
            Since.LATER,
            Field(
                description="Outputs of a `table` for all values of its entries, in binary order "
                "(-1 is 0, the first entry is the highest digit)."
            ),
        ] = None,
    ) -> None:
        self.rule, self.history, self.dimension, self.horizon = rule, history, dimension, horizon
        self.real = values == "real" or rule == "fibonacci"
        # A rule of real values may grow; twice its training horizon can overflow single precision.
        self.evaluation_horizon = horizon if self.real else 200
        self.operator: Array | None = None
        self.selection: selections.ModeSelection | None = None
        self.lookup: Lookup | None = None
        try:
            if _is_boolean(rule):
                self._take_lookup(rule, reads, truth, (table_id, operator))
                return
            if reads is not None or truth is not None:
                raise ValueError("`reads` and `truth` belong to `rule: table`")
            given = table_id, operator, rule_seed
            self.operator = binding.operator_of(rule, history, dimension, *given)
        except ValueError as error:
            raise EmtkitError(f"hds cannot use rule '{rule}': {error}") from error
        self.selection = selections.selection_of(self.operator, history)
        reasons = () if self.real else binding.unsoundness(self.operator, history)
        if reasons:
            raise EmtkitError(
                f"hds cannot use rule '{rule}' on signs: {'; '.join(reasons)}. "
                "Choose another operator, or set `values: real` (for linear and constructed "
                "networks)"
            )

    def _take_lookup(
        self,
        rule: BooleanRule,
        reads: tuple[tuple[int, int], ...] | None,
        truth: tuple[int, ...] | None,
        matrices: tuple[object, object],
    ) -> None:
        if any(given is not None for given in matrices):
            raise ValueError("`table_id` and `operator` belong to `rule: custom`")
        if self.real:
            raise ValueError("it is a function of signs; leave out `values: real`")
        self.lookup = lookup_of(rule, self.history, self.dimension, reads, truth)

    @property
    def channels(self) -> Channels:
        """d inputs, d outputs."""
        return Channels(self.dimension, self.dimension)

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        """Draw `batch` histories and continue each for `horizon` scored steps."""
        horizon = self.horizon if horizon is None else horizon
        shape = (batch, self.history, self.dimension)
        start = 2 * stream.uniform(shape) - 1 if self.real else stream.signs(shape)
        return _batch(start, self._continued(start, horizon))

    def targets(self, inputs: Tensor) -> Tensor:
        """The first s inputs (B T d), continued to the T-th step."""
        return self._continued(inputs[:, : self.history], inputs.shape[1] - self.history)

    @staticmethod
    def sample_rows(
        tasks: Sequence[Task], batch: int, streams: Sequence[Stream], horizon: int | None = None
    ) -> Batch:
        """The batches of M tasks by one selection for each rule, where all continue signs."""
        rows = cast("Sequence[HistoryDependentSystem]", tasks)
        if any(row.real or row.selection is None for row in rows):
            return Task.sample_rows(tasks, batch, streams, horizon)
        first = rows[0]
        start = signs_rows(streams, (batch, first.history, first.dimension))
        scored = first.horizon if horizon is None else horizon
        alike: dict[selections.ModeSelection, list[int]] = {}
        for place, row in enumerate(rows):
            alike.setdefault(cast("selections.ModeSelection", row.selection), []).append(place)
        if len(alike) == 1:
            return _batch(start, by_selection(start, *alike, scored))
        parts = [by_selection(start[places], rule, scored) for rule, places in alike.items()]
        targets = torch.empty_like(torch.cat(parts))
        for part, places in zip(parts, alike.values(), strict=True):
            targets[places] = part
        return _batch(start, targets)

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
        index, sign = unrolled(self.selection, self.horizon)
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

    def facts(self, kind: type[Fact]) -> Fact:
        """The law of this rule, the delays with which outputs repeat items, or what is needed."""
        if kind is HistoryLaw or kind is LinearHistoryLaw:
            law: HistoryLaw = self._law if self.lookup is None else self._boolean_law(self.lookup)
            if not isinstance(law, kind):
                raise NotApplicable(f"the rule '{self.rule}' of '{self.name}' is not linear")
            return law
        if kind is DelayLaw:
            return self._delays()
        if kind is RequiredMemory:
            horizon = min(self.horizon, MOST_STEPS)
            of_rule = of_linear if self.lookup is None else of_signs
            answer = partial(self._continued, horizon=horizon)
            return of_rule(answer, self.history, self.dimension)
        return super().facts(kind)

    def _continued(self, start: Tensor, horizon: int) -> Tensor:
        if self.lookup is not None:
            return by_lookup(start, self.lookup, horizon)
        if self.selection is not None:
            return by_selection(start, self.selection, horizon)
        return by_operator(start, cast("Array", self.operator), horizon)

    def _delays(self) -> DelayLaw:
        """Output i repeats dimension sigma(i), L_i steps later; signs have moments 0 and 1."""
        rule = self.selection
        if rule is None or self.real or not rule.is_permutation:
            raise NotApplicable(
                f"the outputs of rule '{self.rule}' are not delayed copies of single inputs"
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

    def _boolean_law(self, lookup: Lookup) -> HistoryLaw:
        return HistoryLaw(history=self.history, dimension=self.dimension, rule=lookup)

    @cached_property
    def _law(self) -> LinearHistoryLaw:
        operator = self.operator
        assert operator is not None
        phi = binding.phi_of(operator, self.history)
        if self.selection is not None and self.selection.is_permutation:
            mask, period = self.selection.mask, self.selection.period
            spectrum = self.selection.spectrum
        else:
            mask, period = binding.optimised_mask(phi), None
            spectrum = np.linalg.eigvals(binding.core(phi))
            if not binding.is_core_complete(phi, self.dimension, mask):
                mask = np.ones_like(mask)
        return LinearHistoryLaw(
            history=self.history,
            dimension=self.dimension,
            rule=lambda histories: histories @ operator.T,
            phi=phi,
            mask=mask,
            core_rank=len(spectrum),
            spectrum=spectrum,
            period=period,
            real_values=self.real,
        )


def _is_boolean(rule: binding.Rule | BooleanRule) -> TypeGuard[BooleanRule]:
    return rule in get_args(BooleanRule)


def _batch(start: Tensor, targets: Tensor) -> Batch:
    """The batch of histories (... B s d) and targets (... B T d), of which the first s are zero."""
    history = start.shape[-2]
    inputs = torch.zeros_like(targets)
    inputs[..., :history, :] = start
    mask = start.new_ones(targets.shape[-2])
    mask[:history] = 0.0
    return Batch(inputs, targets, mask.expand(*start.shape[:-3], -1), history)


@hookimpl
def emtkit_tasks() -> list[type[Task]]:
    """Offer `hds`."""
    return [HistoryDependentSystem]
