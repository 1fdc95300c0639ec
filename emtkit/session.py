"""A study with its plan and its store: what the command line and a notebook both work with.

`emtkit.load` opens one, `emtkit.run` (in `notebook.py`) trains one.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from emtkit.errors import EmtkitError, StoreError, did_you_mean
from emtkit.places import RESULTS, STORE, CommandOptions, keep_apart
from emtkit.plugin.guard import Guard, guarded
from emtkit.plugin.registry import Registry
from emtkit.study.document import from_value, read_document
from emtkit.study.plan import Plan, plan_study
from emtkit.study.select import select
from emtkit.study.views import OF_NETWORKS

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from emtkit.execute.audit import Audit
    from emtkit.execute.engines.engine import Engine
    from emtkit.execute.monitor import Monitor
    from emtkit.execute.run import Options, RunSummary
    from emtkit.plugin.architecture import SequenceModel
    from emtkit.plugin.task import Task
    from emtkit.report.data.drawings import StoredDrawing
    from emtkit.report.data.results import Results
    from emtkit.report.figures.drawn import Drawn
    from emtkit.report.inference.tuning import TuningCurve
    from emtkit.report.inference.verdict import Verdict
    from emtkit.report.tables.drawn import DrawnTable
    from emtkit.store.records import Content, Statement
    from emtkit.store.store import Store
    from emtkit.study.views import Figure

T = TypeVar("T")


@dataclass(frozen=True, repr=False)
class Session:
    """A planned study and the store that holds its results.

    Tables, figures and claims are views of the store; nothing here trains but `run`. `planned` is
    the plan before any tuning, `plan` that at the settings that the stored results choose.
    """

    planned: Plan
    options: CommandOptions

    def __repr__(self) -> str:
        return f"Session({self.name}: {len(self.plan.cells)} cells, store {self.store})"

    def _repr_html_(self) -> str:
        from emtkit.report.page.page import summary_html

        question, verdicts = self.plan.study.question, self.verdicts()
        return summary_html(self.name, question, self.results, verdicts, str(self.store))

    @property
    def plan(self) -> Plan:
        """What results are read by."""
        return self._settled[0]

    @property
    def tunings(self) -> tuple[TuningCurve, ...]:
        """What was tuned, with the value of every setting that was tried."""
        return self._settled[1]

    @property
    def name(self) -> str:
        """The study's name: its file's stem."""
        return self.planned.study.name

    @property
    def registry(self) -> Registry:
        """The plugins that the study was planned with."""
        return self.planned.registry

    @property
    def folder(self) -> Path:
        """Where its tables, figures and report go."""
        return self.options.out / self.name

    @property
    def store(self) -> Path:
        """The file of all results."""
        return self.options.store

    def run(self, engine: Engine, monitor: Monitor, options: Options) -> RunSummary:
        """Train and measure what is missing; what is tuned first, then what that chooses.

        Raises:
            StoreError: another run writes to the store, or it is damaged.
            EmtkitError: too many cells failed, or one has no result at the end.
        """
        from emtkit.execute.progress import Recorded
        from emtkit.execute.run import run
        from emtkit.report.inference.tuning import settle
        from emtkit.store.store import Store

        keep_apart(self.folder, self.options.study)
        with Store.open(self.store, writer=True) as store:
            store.set_times(self._unknown_claims(store))
            recorded = Recorded(store, self.name, monitor)
            try:
                plan = self.planned
                if plan.tuned:
                    run(plan.known, self.registry, store, engine, recorded, options)
                    plan = settle(plan, store)[0]
                return run(plan.known, self.registry, store, engine, recorded, options, plan.pairs)
            finally:
                recorded.close()
                for name in ("_settled", "results", "_tables", "_verdicts"):
                    self.__dict__.pop(name, None)  # read anew from what is stored now

    def register(self) -> None:
        """Record that the claims were seen, before anything is trained, where that can be written.

        What cannot be written, a folder or a store in use, is left as it is.
        """
        from emtkit.store.store import Store

        with self.read() as store:
            if not self._unknown_claims(store):
                return
        with suppress(StoreError, OSError), Store.open(self.store, writer=True) as store:
            store.set_times(self._unknown_claims(store))

    def audit(self, engine: Engine, monitor: Monitor, share: float) -> Audit:
        """Train a share of the stored networks again, and compare every byte."""
        from emtkit.execute.audit import audit

        with self.read() as store:
            plan = self.plan
            return audit(plan.known, self.registry, store, engine, monitor, share, plan.pairs)

    def read(self) -> Store:
        """The store, for reading; an empty one where none was written yet."""
        from emtkit.store.store import Store

        return Store.open(self.store) if self.store.exists() else Store.empty()

    @cached_property
    def results(self) -> Results:
        """The frame and the reasons of everything that it lacks, as the views read them."""
        with self.read() as store:
            return self._read(store)

    def frame(self) -> pd.DataFrame:
        """One row per cell, one column per parameter and scalar."""
        return self.results.frame

    def table(self, name: str) -> DrawnTable:
        """The table of that name; drawn once, as the results are read once."""
        from emtkit.report.tables.table import draw_table

        if name not in self._tables:
            specs = {spec.name: spec for spec in self.plan.study.tables.values()}
            spec = _known(name, specs, "table", self.name)
            self._tables[name] = draw_table(self.results.seen_by(spec), spec)
        return self._tables[name]

    def figure(self, name: str, *, narrow: bool = False) -> Drawn:
        """The figure of that name, drawn from stored findings; `narrow`: for a phone."""
        from emtkit.report.figures.examples import stored_examples
        from emtkit.report.figures.figure import draw_examples, draw_figure
        from emtkit.report.figures.networks import draw_networks

        specs = {spec.name: spec for spec in self.plan.study.figures.values()}
        spec = _known(name, specs, "figure", self.name)
        if spec.use in OF_NETWORKS:
            return draw_networks(self.results.seen_by(spec), spec, narrow=narrow)
        if not spec.is_drawing:
            results = self.results.seen_by(spec)
            return draw_figure(results, spec, self._curves(spec), narrow=narrow)
        label, _, drawn = spec.use.partition(".")
        names = {m.label: m.analysis.name for row in self.plan.rows for m in row.measures}
        analysis = _known(label, names, "analysis", self.name)
        drawings = self.registry.analyses[analysis].drawings
        drawing = _known(drawn, drawings, "drawing", f"'{label}'")
        drawing = guarded(drawing, f"{self.registry.described('analysis', analysis)}, {spec.use}")
        with self.read() as store:
            results = self.results.seen_by(spec)
            examples = stored_examples(results, self.plan.rows, store, spec, label)
        return draw_examples(spec, drawing, examples, narrow=narrow)

    def verdicts(self) -> list[Verdict]:
        """A verdict on every claim of the study."""
        return list(self._verdicts)

    def report(self) -> Path:
        """Write the report page with its tables and figures, as `emtkit report` does."""
        return self.write_report()[0]

    def write_report(self) -> tuple[Path, ...]:
        """Write the report; returns its files, the page first."""
        from emtkit.report.page.write import Views, write_report

        verdicts = tuple(self.verdicts())
        views = Views(
            self.results,
            verdicts,
            self.tunings,
            self.table,
            lambda name, narrow: self.figure(name, narrow=narrow),
            self._drawings,
        )
        keep_apart(self.folder, self.options.study)
        with self.read() as store:
            stored = store.cells_of(self.plan.cells)
        return write_report(self.plan, views, stored, self.folder, self.options)

    def warnings(self) -> list[str]:
        """What cannot come out well however the networks turn out; known before any is trained."""
        from emtkit.execute.network_warnings import network_warnings
        from emtkit.report.inference.power import unreachable
        from emtkit.report.inference.uncontrolled import uncontrolled
        from emtkit.store.store import Store

        with Store.empty() as store:
            planned = self._read(store)
        claims = tuple(self.plan.study.claims.values())
        of_claims = [*unreachable(planned, claims), *uncontrolled(planned, claims)]
        return [*network_warnings(self.plan), *of_claims]

    def model(self, cell: str) -> SequenceModel:
        """The trained network of a cell, ready to use; a cell may be named by its first letters."""
        from safetensors.torch import load

        from emtkit.train.build import build_model, build_task

        chosen = self.plan.cells[self._cell(cell)]
        with self.read() as store:
            weights = store.weights(chosen.key)
        if weights is None:
            raise EmtkitError(f"cell {chosen.key} has no weights yet; run the study first")
        task = build_task(self.registry, chosen.task)
        model = build_model(self.registry, chosen, task, empty=True)
        model.load_state_dict(load(weights))
        return model.eval()

    def task(self, cell: str) -> Task:
        """The task of a cell: `session.task(cell).sample(8, emtkit.Stream(0, "mine"))`."""
        from emtkit.train.build import build_task

        return build_task(self.registry, self.plan.cells[self._cell(cell)].task)

    def history(self, cell: str) -> np.ndarray[Any, Any]:
        """The training loss of every iteration of a cell; empty where nothing was trained."""
        import numpy as np

        with self.read() as store:
            found = store.history(self._cell(cell))
        return np.asarray(found.get("loss", []), dtype=float)

    def arrays(self, cell: str, label: str, other: str = "") -> Mapping[str, np.ndarray[Any, Any]]:
        """What an analysis (by its label) stored for a cell, or a comparison with an `other`."""
        return self._content(cell, label, other).arrays

    def tables_of(self, cell: str, label: str, other: str = "") -> Mapping[str, pd.DataFrame]:
        """The tables that it stored."""
        return self._content(cell, label, other).tables

    def _read(self, store: Store) -> Results:
        """The results of the plan in a store: of networks, over training, and of pairs."""
        from emtkit.report.data.frame import read_results
        from emtkit.report.data.pairs import with_pairs
        from emtkit.report.data.snapshots import with_snapshots

        found = read_results(self.plan.rows, store, self.plan.conditions)
        return with_pairs(with_snapshots(found, self.plan, store), self.plan, store)

    @cached_property
    def _settled(self) -> tuple[Plan, tuple[TuningCurve, ...]]:
        if not self.planned.tuned:
            return self.planned, ()
        from emtkit.report.inference.tuning import settle

        with self.read() as store:
            return settle(self.planned, store)

    @cached_property
    def _tables(self) -> dict[str, DrawnTable]:
        return {}

    @cached_property
    def _verdicts(self) -> list[Verdict]:
        from emtkit.report.data.sides import networks_of
        from emtkit.report.inference.claims import verdicts_of
        from emtkit.report.inference.stated import with_times

        study = self.plan.study
        found = verdicts_of(self.results, tuple(study.claims.values()))
        cells = {key for verdict in found for cell in verdict.cells for key in networks_of(cell)}
        with self.read() as store:
            times, status = store.done_at(cells), store.status_of(cells)
            # What was done before times were recorded was done before everything.
            done = {cell: times.get(cell, 0.0) for cell in cells if status.get(cell) == "done"}
            return with_times(found, study, store.statements(), done)

    def _unknown_claims(self, store: Store) -> list[Statement]:
        from emtkit.report.inference.stated import statements_of, unknown_to

        return unknown_to(store.statements(), statements_of(self.plan.study, time.time()))

    def _content(self, cell: str, label: str, other: str) -> Content:
        measure = self.plan.measure(self._cell(cell), label, self._cell(other) if other else None)
        with self.read() as store:
            return store.content(measure.key)

    def _cell(self, start: str) -> str:
        found = [key for key in self.plan.cells if key.startswith(start)]
        if len(found) != 1:
            raise EmtkitError(
                f"{len(found)} cells of {self.name} begin with '{start}'; give more of the key, "
                "as the column `cell` of the frame has it"
            )
        return found[0]

    def _curves(self, spec: Figure) -> Mapping[str, Results]:
        """What becomes of networks during their training, for a figure that shows it."""
        from emtkit.report.data.training_curves import training_curves

        if not spec.is_curve:
            return {}
        with self.read() as store:
            return training_curves(self.results, self.plan.rows, store, spec)

    def _drawings(self, rows: Iterable[int]) -> Iterator[list[StoredDrawing]]:
        """Every drawing of the networks in these rows, as far as it is asked for."""
        from emtkit.report.data.drawings import drawings_of

        with self.read() as store:
            planned = (self.plan.rows[row] for row in rows)
            yield from drawings_of(planned, store, self.registry, Guard())


def load(
    source: Path | str | Mapping[str, Any],
    *,
    store: str | Path | None = None,
    out: str | Path | None = None,
    only: str | None = None,
    seeds: str | None = None,
    plugins: bool = True,
) -> Session:
    """A study, given as a file or as a dict, with what its store holds; nothing is trained.

    `store`, `out`, `only` and `seeds` are as the command's options. Without `plugins` the
    study's own plugin files are not run, and what they hold is unknown.

    Raises:
        StudyError: every mistake of the study, together.
        PluginError: a plugin breaks its contract, ends its process or hangs.
    """
    found = _rehearse(source) if plugins else {}
    plan = plan_study(source, None if plugins else Registry.installed(), found=found)
    if only is not None or seeds is not None:
        plan = select(plan, only, seeds)
    shown = plan.study.name if isinstance(source, Mapping) else str(source)
    places = Path(store or STORE), Path(out or RESULTS)
    return Session(plan, CommandOptions(shown, *places, only, seeds))


def _rehearse(source: Path | str | Mapping[str, Any]) -> Mapping[str, Sequence[str]]:
    """Run the study's own plugin files in another process first; studies without any wait less.

    Returns the scalars that they give without declaring them.
    """
    document = from_value(source) if isinstance(source, Mapping) else read_document(source)
    listed = document.value.get("plugins") if isinstance(document.value, Mapping) else None
    if not isinstance(listed, list):
        return {}
    study: Any = document.value if isinstance(source, Mapping) else Path(source)
    folder = Path() if isinstance(source, Mapping) else Path(source).parent
    plugins = [folder / one for one in listed if isinstance(one, str) and one.endswith(".py")]
    if plugins and all(path.is_file() for path in plugins):
        from emtkit.execute.rehearsal import rehearse

        return rehearse(study, plugins)
    return {}


def _known(name: str, named: Mapping[str, T], what: str, where: str) -> T:
    if name not in named:
        raise EmtkitError(f"{where} has no {what} '{name}'; {did_you_mean(name, named)}")
    return named[name]
