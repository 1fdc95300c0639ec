"""The part of the command line that chooses where a study is computed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from emtkit.errors import EmtkitError

if TYPE_CHECKING:
    from emtkit.execute.audit import Audit
    from emtkit.execute.engines.engine import Engine
    from emtkit.session import Session


@dataclass(frozen=True)
class Limits:
    """How many workers, and what each may take: seconds for an answer, bytes of memory."""

    jobs: int
    timeout: float
    memory: int | None


class Percent(click.ParamType[float]):
    """A share, written `5%` or `0.05`."""

    name = "share"

    def convert(
        self, value: object, param: click.Parameter | None, context: click.Context | None
    ) -> float:
        """The share as a number between 0 and 1."""
        text = str(value).strip()
        try:
            share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
        except ValueError:
            share = -1.0
        if not 0 < share <= 1:
            self.fail(f"'{text}' is no share; write for instance 5% or 0.05", param, context)
        return share


@contextmanager
def opened_engine(
    session: Session, name: str, scheduler: str | None, limits: Limits
) -> Iterator[Engine]:
    """The engine of that name, closed at the end whatever happens."""
    engine = _engine(session, name, scheduler, limits)
    try:
        yield engine
    finally:
        engine.close()


def print_audit(audit: Audit) -> None:
    """What an audit found, in lines."""
    made = f"audit: {audit.cells} cells and {audit.findings} findings were made again"
    if not audit.differing:
        click.echo(f"{made}; every byte is equal")
        return
    click.echo(f"{made}; {len(audit.differing)} differ (other machine, versions or code?):")
    for key in audit.differing:
        click.echo(f"  {key}")


def _engine(session: Session, name: str, scheduler: str | None, limits: Limits) -> Engine:
    loose = session.registry.loose
    if name == "local":
        if scheduler is not None:
            raise EmtkitError("--scheduler is the address of a Dask cluster; add --engine dask")
        from emtkit.execute.engines.local import LocalEngine

        return LocalEngine(limits.jobs, loose, limits.timeout, limits.memory)
    try:
        from emtkit.execute.engines.dask import DaskEngine
    except ModuleNotFoundError as error:
        raise EmtkitError(
            f"--engine dask needs Dask ({error}); install it with: pip install 'emtkit[dask]'"
        ) from error
    return DaskEngine(
        scheduler,
        workers=limits.jobs,
        loose=loose,
        timeout=limits.timeout,
        memory=limits.memory,
        needed=_plugins(session),
    )


def _plugins(session: Session) -> set[str]:
    """The plugins that the plan uses: those by which workers are judged."""
    found = set()
    for row in session.plan.rows:
        found |= {f"task {row.cell.task.name}", f"architecture {row.cell.architecture.name}"}
        found |= {f"analysis {measure.analysis.name}" for measure in row.measures}
    return found
