"""What a plan comes to, in lines: cells by axis, what is stored, which stacks will train.

How long a training would take is guessed from its size; nothing is run:

    seconds = sum over iterations of  T c_call  +  rows B T (c_step + c_product P)

with T time steps (the longest that a curriculum reaches), B sequences and P parameters. The three
costs are nominal (`Tier.cost`), of one core of 2026; the sum is meant to tell minutes from days.
Where the store has networks of this plan that this machine has trained, the sum is multiplied by
what theirs took in place of it: those of the same stack, else of the same tier.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from emtkit.execute.continuation import continuations
from emtkit.execute.provenance import provenance
from emtkit.execute.rehearsal import Shapes, find_shapes
from emtkit.store.store import Store
from emtkit.study.cells import Cell
from emtkit.study.network_pairs import Chosen
from emtkit.study.plan import Plan
from emtkit.train.grouping import TIERS, Stack, group, pair_of


def overview(plan: Plan, store: Store, workers: int, unknown: dict[str, str]) -> Iterator[str]:
    """The lines of `emtkit plan`.

    Networks whose plugins fail when their shapes are to be found go to `unknown`, with the reason.
    """
    tried = {row.cell.key: row.cell for row in plan.tried}
    judged = {key: cell for key, cell in plan.cells.items() if cell.reason is None}
    cells = {**judged, **tried}
    status = store.status_of(cells)
    yield f"study {plan.study.name}: {len(plan.rows)} rows, {len(judged)} cells"
    if tried:
        yield f"tuning: {len(tried)} cells more, on which no result is judged"
    for axis in plan.axes:
        values = ["/".join(str(part) for part in value) for value in axis.values]
        shown = ", ".join(values) if len(values) <= 12 else f"{values[0]} ... {values[-1]}"
        yield f"  {'/'.join(axis.names)}: {shown} ({len(values)})"
    ended = [key for key in cells if status.get(key) in ("done", "failed")]
    pending = [cell for key, cell in cells.items() if key not in set(ended)]
    rows = (*plan.rows, *plan.tried)
    findings = {m.key for row in rows for m in row.measures if m.reason is None}
    findings |= {
        spec.key
        for row in rows
        for spec in row.evaluation_specs
        if row.cell.reason is None and spec.reason is None
    }
    findings |= {m.key for pair in plan.pairs for m in pair.measures if m.reason is None}
    known = len(store.findings_of(findings))
    yield f"stored: {len(ended)} of {len(cells)} cells, {known} of {len(findings)} findings"
    for label, chosen in plan.chosen.items():
        yield f"to compare by {label}: {pairs_text(chosen)}"
    trained = [cell for cell in pending if cell.trains and cell.training.steps]
    timed = _timed(cells, store) if trained else {}
    known_cells = [cells[key] for key in timed]
    found = find_shapes([*trained, *known_cells], plan.registry) if trained else Shapes({}, {})
    fitting = [cell for cell in trained if pair_of(cell) in found.known]
    stacks = group(fitting, plan.registry, shapes=found.known)
    before = [cell for cell in known_cells if pair_of(cell) in found.known]
    rates = Rates.of(group(before, plan.registry, shapes=found.known), timed)
    training = sum(len(stack.cells) for stack in stacks)
    yield f"to train: {training} cells in {len(stacks)} stacks on {workers} workers"
    for stack in stacks:
        first = stack.cells[0]
        yield (
            f"  {len(stack.cells)} x {first.architecture.name} on {first.task.name}, "
            f"{first.training.steps} iterations of {first.training.batch}, tier {stack.tier}, "
            f"about {duration_text(rates.seconds(stack))}"
        )
        if stack.why:
            yield f"    {stack.why}"
    if stacks:
        whole = sum(rates.seconds(stack) for stack in stacks) / min(workers, training)
        yield (
            f"estimate: about {duration_text(whole)} of training on {workers} workers "
            f"({rates.text(stacks)})"
        )
    for pair, cells_of in _by_pair(trained, found).items():
        what = f"{cells_of[0].architecture.name} on {cells_of[0].task.name}"
        unknown[what] = found.unknown[pair]
        yield f"  {len(cells_of)} x {what}: cannot be estimated, for its code fails"
    further, anew = continuations(trained, store, plan.registry)
    if further:
        yield f"of these, {further} cells go on from networks of fewer iterations"
    for reason, count in anew.items():
        yield f"of these, {count} cells begin anew: {reason}"
    if len(pending) > len(trained):
        yield f"to construct: {len(pending) - len(trained)} cells (nothing to train)"
    for absence in plan.absences:
        yield (
            f"not applicable: {absence.what} ({absence.architecture} on {absence.task}), "
            f"{absence.count} rows: {absence.reason}"
        )


@dataclass(frozen=True)
class Rates:
    """What training takes here in units of `seconds`: by stack and by tier, from `networks`."""

    of_stack: Mapping[str, float]
    of_tier: Mapping[str, float]
    networks: int

    @classmethod
    def of(cls, stacks: Sequence[Stack], timed: Mapping[str, float]) -> "Rates":
        """From stacks that were trained, and the seconds that each network took, by its key."""
        found: dict[str, float] = {}
        tiers: dict[str, list[float]] = {}
        for stack in stacks:
            taken = sum(timed[cell.key] for cell in stack.cells)
            found[stack.key] = taken / seconds(stack)
            tiers.setdefault(stack.tier, []).append(found[stack.key])
        of_tier = {tier: median(rates) for tier, rates in tiers.items()}
        return cls(found, of_tier, sum(len(stack.cells) for stack in stacks))

    def seconds(self, stack: Stack) -> float:
        """What training a stack takes on one worker."""
        rate = self.of_stack.get(stack.key, self.of_tier.get(stack.tier, 1.0))
        return seconds(stack) * rate

    def text(self, stacks: Sequence[Stack]) -> str:
        """Where the rates of `stacks` are from."""
        nominal = sum(s.tier not in self.of_tier and s.key not in self.of_stack for s in stacks)
        if nominal == len(stacks):
            return "from sizes, at nominal rates; nothing was timed"
        others = f"; {nominal} of {len(stacks)} stacks at nominal rates" if nominal else ""
        return f"at the rates of {self.networks} stored networks of this machine{others}"


def _timed(cells: Mapping[str, Cell], store: Store) -> dict[str, float]:
    """The seconds of every network that this machine trained to its end."""
    here = {key: provenance()[key] for key in ("processor", "machine", "torch")}
    return {
        key: found.seconds
        for key, found in store.cells_of(cells).items()
        if found.status == "done"
        and found.seconds > 0
        and cells[key].trains
        and found.scalars.get("steps") == cells[key].training.steps > 0
        and here.items() <= found.provenance.items()
    }


def seconds(stack: Stack) -> float:
    """What training a stack costs on one worker, forward and backward."""
    cost = TIERS[stack.tier].cost
    iterations = [cell.training.steps for cell in stack.cells]
    calls = max(iterations) if cost.stacked else sum(iterations)
    sequences = sum(iterations) * stack.cells[0].training.batch
    product = cost.product * stack.parameters
    return stack.length * (calls * cost.call + sequences * (cost.step + product))


def pairs_text(chosen: Chosen) -> str:
    """How many pairs there are, and which are left out."""
    if chosen.seeds == chosen.seeds_there:
        return f"{chosen.possible} pairs of networks"
    left = f"the first {chosen.seeds} of {chosen.seeds_there} seeds"
    return f"{len(chosen.pairs)} of {chosen.possible} pairs of networks ({left}; see `most`)"


def duration_text(value: float) -> str:
    """A guessed duration with no more digits than a guess deserves: `3 min`, `50 h`."""
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if value >= 1.5 * size:
            return f"{value / size:.0f} {unit}"
    return f"{max(value, 1.0):.0f} s"


def _by_pair(cells: Iterable[Cell], found: Shapes) -> dict[str, list[Cell]]:
    """Cells whose shape is unknown, by pair of task and architecture."""
    pairs: dict[str, list[Cell]] = {}
    for cell in cells:
        if (pair := pair_of(cell)) in found.unknown:
            pairs.setdefault(pair, []).append(cell)
    return pairs
