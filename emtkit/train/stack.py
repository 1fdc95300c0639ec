"""M networks of one architecture as one program: a template, flat parameters, stacked buffers."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from emtkit.errors import PluginError
from emtkit.methods.optimisers.base import Slot
from emtkit.plugin.architecture import RecurrentModel, SequenceModel
from emtkit.plugin.stream import CPU, Stream
from emtkit.plugin.task import Batch, Recipe, Task
from emtkit.train.packing import Packing, Packings


@dataclass(frozen=True)
class Group:
    """Rows whose task has equal parameters: one task object speaks for all of them."""

    task: Task
    rows: tuple[int, ...]


@dataclass(frozen=True)
class Stacked:
    """M models of equal shapes. Parameters travel apart from it, as a flat tensor M P.

    `packings` are those found so far; they are for any rows of these models, and for those of other
    stacks that have them too, where `network` says which networks these are.
    """

    template: SequenceModel
    tasks: tuple[Task, ...]
    task_keys: tuple[str, ...]
    buffers: dict[str, Tensor]
    device: torch.device = CPU
    packings: Packings = field(default_factory=dict)
    network: str = ""

    @property
    def models(self) -> int:
        """Number of models M."""
        return len(self.tasks)

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        """The layout of a flat row, in the order of the module's parameters."""
        found, start = [], 0
        for name, value in self.template.named_parameters():
            found.append(Slot(name, tuple(value.shape), start, start + value.numel()))
            start += value.numel()
        return tuple(found)

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """Rows by equal task parameters."""
        return self._grouped(self.task_keys)

    @cached_property
    def squares(self) -> Tensor | None:
        """Weights M O (float64) where every task's loss is a weighted square, else None."""
        rows: dict[int, tuple[float, ...]] = {}
        for group in self.groups:
            weights = group.task.squares()
            if weights is None:
                return None
            rows.update(dict.fromkeys(group.rows, weights))
        found = [rows[row] for row in range(self.models)]
        return torch.tensor(found, dtype=torch.float64, device=self.device)

    @cached_property
    def recipes(self) -> tuple[Recipe, ...] | None:
        """How each row draws, where every task has a recipe and all batches one shape."""
        rows: dict[int, Recipe] = {}
        for group in self.groups:
            recipe = group.task.recipe()
            if recipe is None:
                return None
            recipe.check(group.task.channels)
            rows.update(dict.fromkeys(group.rows, recipe))
        if len({(len(r.mask), r.input_steps, r.density is None) for r in rows.values()}) > 1:
            return None
        return tuple(rows[row] for row in range(self.models))

    def take(self, rows: Sequence[int]) -> "Stacked":
        """The stack of only these rows, in this order; a row may come twice."""
        index = torch.tensor(rows, device=self.device)
        return Stacked(
            self.template,
            tuple(self.tasks[row] for row in rows),
            tuple(self.task_keys[row] for row in rows),
            {name: value[index] for name, value in self.buffers.items()},
            self.device,
            self.packings,
            self.network,
        )

    def cast(self, dtype: torch.dtype) -> "Stacked":
        """The same stack in another precision."""
        buffers = {
            name: value.to(dtype) if value.is_floating_point() else value
            for name, value in self.buffers.items()
        }
        return replace(self, buffers=buffers)

    def to(self, device: torch.device) -> "Stacked":
        """The same stack on another device."""
        buffers = {name: value.to(device) for name, value in self.buffers.items()}
        return replace(self, buffers=buffers, device=device)

    def parameters(self, flat: Tensor) -> dict[str, Tensor]:
        """Views of the rows `flat` (M P) under the module's own names and shapes."""
        return {
            slot.name: flat[:, slot.start : slot.stop].view(-1, *slot.shape) for slot in self.slots
        }

    def draw(self, batch: int, streams: Sequence[Stream], horizon: int | None) -> Batch:
        """One batch per row: inputs M B T I, targets M B T O, mask M T."""
        drawn = type(self.tasks[0]).sample_rows(self.tasks, batch, streams, horizon)
        if drawn.mask.shape[0] != self.models or drawn.mask.dim() < 2:
            raise PluginError(
                f"task '{self.tasks[0].name}': sample_rows of {self.models} rows gave a mask of "
                f"shape {tuple(drawn.mask.shape)}; it must be (M, T) = "
                f"{(self.models, drawn.steps)}, or (M, B, T)"
            )
        if drawn.per_sequence and (self.tasks[0].horizons or self.squares is not None):
            has = "horizons" if self.tasks[0].horizons else "`squares`"
            raise PluginError(
                f"task '{self.tasks[0].name}' has {has}, and a mask for each sequence; give all "
                "sequences one mask (T), or leave the other out"
            )
        return self.with_noise(drawn, streams)

    def with_noise(self, batch: Batch, streams: Sequence[Stream]) -> Batch:
        """The batch with the state noise of networks that have any, each row's from its stream.

        N(0, 1), M T B H, the draw of the fork `noise`. Time comes first, so that a number depends
        on the stream, the step, the place in the batch and the unit, and not on how many steps
        follow. Rows of equal streams share one draw.
        """
        model = self.template
        if not isinstance(model, RecurrentModel) or not model.noise:
            return batch
        shape = (batch.steps, batch.inputs.shape[1], model.hidden)
        drawn = {s.key: s for s in streams}
        noise = {key: stream.fork("noise").normal(shape) for key, stream in drawn.items()}
        return replace(batch, noise=torch.stack([noise[s.key] for s in streams]))

    def errors(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The tasks' own loss per row, sequence and step (M B T).

        Where each sequence has its own mask it is 0 outside it, and otherwise larger by the inverse
        of the share of steps that are scored: the mean of all is then that of the scored ones.
        """
        steps = tuple(batch.inputs.shape[:-1])
        self._check(outputs, (*steps, self.tasks[0].channels.outputs))
        parts = []
        for group in self.groups:
            parts.append(self._of_group("loss", group, batch.mask, outputs, batch))
        order = torch.tensor([row for group in self.groups for row in group.rows])
        errors = torch.cat(parts).index_select(0, torch.argsort(order).to(self.device))
        if errors.shape != steps:
            raise PluginError(
                f"task '{self.tasks[0].name}': the loss of one batch has shape "
                f"{tuple(errors.shape[1:])}; it must be (B, T) = {steps[1:]}, neither averaged "
                "nor summed"
            )
        if batch.per_sequence:
            share = batch.mask.to(errors).mean((1, 2), keepdim=True)
            errors = torch.where(batch.mask > 0, errors / share, torch.zeros_like(errors))
        return errors

    def _check(self, outputs: Tensor, wanted: tuple[int, ...]) -> None:
        """Outputs of another shape would be broadcast in silence, and trained to nonsense."""
        if tuple(outputs.shape) != wanted:
            raise PluginError(
                f"architecture '{self.template.name}': the outputs of one batch have shape "
                f"{tuple(outputs.shape[1:])}; they must be (B, T, O) = {wanted[1:]}"
            )

    def metrics(self, outputs: Tensor, batch: Batch, masks: Tensor) -> list[dict[str, float]]:
        """The tasks' metrics per row, on the steps that `masks` (M T), or their own, leave."""
        rows: list[dict[str, float]] = [{} for _ in range(self.models)]
        for group, kept in self._windows(batch, masks):
            judged = self._of_group("metrics", group, kept, outputs, batch)
            for name, values in judged.items():
                if values.shape != (len(group.rows),):
                    raise PluginError(
                        f"task '{group.task.name}': the metric '{name}' has shape "
                        f"{tuple(values.shape[1:])}; a metric is one number (a 0-d tensor)"
                    )
                for row, value in zip(group.rows, values.tolist(), strict=True):
                    rows[row][name] = value
        return rows

    def metrics_alone(
        self, outputs: Tensor, batch: Batch, masks: Tensor
    ) -> list[dict[str, Tensor]]:
        """The tasks' metrics per row of every sequence alone (B), on the steps of `metrics`."""
        rows: list[dict[str, Tensor]] = [{} for _ in range(self.models)]
        for group, kept in self._windows(batch, masks):
            alone = self._of_group("metrics alone", group, kept, outputs, batch)
            for name, values in alone.items():
                for row, value in zip(group.rows, values, strict=True):
                    rows[row][name] = value
        return rows

    def _windows(self, batch: Batch, masks: Tensor) -> Iterator[tuple[Group, Tensor]]:
        """Rows of equal tasks that score the same steps, and the masks of all rows."""
        if batch.per_sequence:
            yield from ((group, batch.mask) for group in self.groups)
            return
        windows = (mask.tobytes() for mask in masks.cpu().numpy())
        for group in self._grouped(zip(self.task_keys, windows, strict=True)):
            yield group, masks

    def _grouped(self, keys: Iterable[object]) -> tuple[Group, ...]:
        """Rows of equal key."""
        found: dict[object, list[int]] = {}
        for row, key in enumerate(keys):
            found.setdefault(key, []).append(row)
        return tuple(Group(self.tasks[rows[0]], tuple(rows)) for rows in found.values())

    def _of_group(
        self, what: str, group: Group, masks: Tensor, outputs: Tensor, batch: Batch
    ) -> Any:
        """The task's "loss", "metrics" or "metrics alone" of each of the group's rows.

        `masks` are M B T, or M T and the same in all rows of the group.
        """
        judge = group.task.loss if what == "loss" else group.task.metrics
        index = torch.tensor(group.rows, device=self.device)
        own = [masks] if batch.per_sequence else []
        given = [t.index_select(0, index) for t in (outputs, batch.inputs, batch.targets, *own)]
        common = masks[group.rows[0]]
        shapes = (batch.inputs.shape[1:], outputs.shape[1:], outputs.dtype)
        traced = (outputs.requires_grad, batch.input_steps, *shapes)
        key = (what, self.task_keys[group.rows[0]], *traced)

        def function(outputs: Tensor, inputs: Tensor, targets: Tensor, *own: Tensor) -> Any:
            (mask,) = own or (common,)
            return judge(outputs, Batch(inputs, targets, mask, batch.input_steps))

        def each(*given: Tensor) -> Any:
            return vmap(function)(*(value.unsqueeze(1) for value in given))

        wanted = each if what == "metrics alone" else function

        def sample(rows: int) -> None:
            repeated = [value.detach()[:1].repeat_interleave(rows, 0) for value in given]
            repeated[0].requires_grad_(outputs.requires_grad)
            found = vmap(wanted)(*repeated)
            if outputs.requires_grad:
                torch.autograd.grad(
                    found, repeated[0], torch.ones_like(found), materialize_grads=True
                )

        if key not in self.packings:
            self.packings[key] = Packing.of(sample)
        return self.packings[key].map(wanted, *given)


def stack(
    models: Sequence[SequenceModel],
    tasks: Sequence[Task],
    keys: Sequence[str],
    *,
    network: str = "",
    packings: Packings | None = None,
) -> Stacked:
    """Stack models of equal shapes; `keys` tell tasks with equal parameters.

    `packings` are those of other stacks, if their `keys` name tasks and `network` tells networks
    across all of them.
    """
    buffers = {
        name: torch.stack([dict(model.named_buffers())[name] for model in models])
        for name, _ in models[0].named_buffers()
    }
    known = {} if packings is None else packings
    return Stacked(models[0], tuple(tasks), tuple(keys), buffers, packings=known, network=network)


def flatten(model: SequenceModel) -> Tensor:
    """All parameters of one model as one row (P)."""
    parts = [value.detach().reshape(-1) for value in model.parameters()]
    return torch.cat(parts) if parts else torch.zeros(0)


def losses_alone(errors: Tensor, masks: Tensor) -> Tensor:
    """The loss of every sequence alone (M B), on the steps that `masks` (M T) leaves."""
    kept = torch.where(masks.unsqueeze(1) > 0, errors, torch.zeros_like(errors))
    return kept.sum(2) / masks.sum(1, keepdim=True)


def by_step(errors: Tensor, masks: Tensor) -> Tensor:
    """Mean of `errors` (M B T) over sequences (M T), 0 at the steps that `masks` (M T) drops."""
    kept = torch.where(masks.unsqueeze(1) > 0, errors, torch.zeros_like(errors))
    return kept.transpose(1, 2).contiguous().mean(2)


def average(steps: Tensor, masks: Tensor) -> Tensor:
    """Mean of `steps` (M T) over those that `masks` (M T) leaves: M.

    A running sum in the order of time, so that what a row scores later changes no bit of what came
    before.
    """
    kept = torch.where(masks > 0, steps, torch.zeros_like(steps))
    return kept.cumsum(1)[:, -1] / masks.sum(1)


def first_scored(mask: Tensor, horizon: int | None) -> Tensor:
    """`mask` (... T) with only its first `horizon` scored steps left."""
    if horizon is None:
        return mask
    return mask * (mask.cumsum(-1) <= horizon)
