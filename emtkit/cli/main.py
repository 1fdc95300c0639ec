"""The command line, without logic of its own. Heavy modules are imported inside a command."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn, TextIO

import click

from emtkit import __version__
from emtkit.cli import options
from emtkit.cli.authors import AUTHORS_COMMANDS, plugin_names
from emtkit.cli.output import print_output, run_output
from emtkit.cli.store import gc, merge, verify
from emtkit.cli.terminal import echo, spell_what_cannot_be_encoded
from emtkit.cli.views import VIEW_COMMANDS
from emtkit.errors import EmtkitError, PluginError
from emtkit.execute.engines.engine import TIMEOUT
from emtkit.execute.engines.open import ENGINES, Limits, allowed_cores, opened_engine
from emtkit.methods.folder import module_names
from emtkit.plugin.catalogue import FAMILIES
from emtkit.plugin.guard import EXIT, Terminated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emtkit.execute.monitor import Monitor

TIERS = module_names("emtkit.train.tiers")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="emtkit")
def cli() -> None:
    """Compare how recurrent networks and attention hold the recent past."""


@cli.command()
@options.study_options
@options.out_option("out")
@options.jobs_option
@click.option("--tier", type=click.Choice(TIERS), help="Train in this tier.")
@click.option("--engine", type=click.Choice(ENGINES), default="local", show_default=True)
@click.option("--scheduler", help="Address of a Dask scheduler, e.g. tcp://10.0.0.1:8786.")
@click.option(
    "--retry",
    type=options.Number(0, 1000, whole=True),
    default=1,
    show_default=True,
    help="More tries for a cell whose worker died.",
)
@click.option("--retry-failed", is_flag=True, help="Train failed cells again.")
@click.option(
    "--max-failures", type=options.Number(0, 10**9, whole=True), help="Stop after more failures."
)
@click.option("--fail-fast", is_flag=True, help="Stop at the first failure.")
@click.option(
    "--timeout",
    type=options.Number(0.001, 10**7, whole=False),
    default=TIMEOUT,
    show_default=True,
    help="Seconds until a worker without an answer counts as lost.",
)
@click.option(
    "--memory",
    type=options.Number(0.001, 10**6, whole=False),
    help="GiB that a worker may take.  [default: an equal share]",
)
@click.option("--audit", type=options.Share(), help="Train this share again and compare, e.g. 5%.")
@click.option("-q", "--quiet", is_flag=True, help="Print only errors.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
@click.option("--events", type=click.Path(path_type=Path), help="Write a JSON line per change.")
@click.option("--check-claims", is_flag=True, help="Exit with 5 if a claim is not supported.")
def run(
    study: Path,
    store: Path,
    out: Path,
    only: str | None,
    seeds: str | None,
    jobs: int | None,
    tier: str | None,
    engine: str,
    scheduler: str | None,
    retry: int,
    retry_failed: bool,
    max_failures: int | None,
    fail_fast: bool,
    timeout: float,
    memory: float | None,
    audit: float | None,
    quiet: bool,
    as_json: bool,
    events: Path | None,
    check_claims: bool,
) -> int:
    """Train and measure the networks of a study, and write its report."""
    from emtkit.cli.rerun_cache import RerunCache, RunRequest

    request = RunRequest(str(study), str(store), str(out), only, seeds, tier, engine, scheduler)
    cache, silent = RerunCache.at_start(request), quiet or as_json
    special = retry_failed or audit is not None or events is not None
    known = None if special else cache.load(shown=not silent)
    if known is not None:
        if not silent:
            echo(known.progress, err=True)
        return print_output(known, None, quiet, as_json, check_claims)

    if engine == "local" and study.is_file() and allowed_cores() > 1:
        from emtkit.execute.engines import _forkserver

        _forkserver.begin()
    from emtkit.execute.run import Options
    from emtkit.session import load

    session = load(study, store=store, out=out, only=only, seeds=seeds)
    most = 0 if fail_fast else max_failures
    limits = Limits.of(jobs, timeout, memory)
    asked = Options(
        retry=retry, retry_failed=retry_failed, max_failures=most, tier=tier, segment=limits.segment
    )
    audited = None
    with (
        _monitor(silent, events) as monitor,
        opened_engine(session.plan, limits, engine, scheduler) as workers,
    ):
        found = session.run(workers, monitor, asked)
        if audit is not None:
            audited = session.audit(workers, monitor, audit)
    fingerprint = cache.fingerprint()
    files = session.write_report()
    output = run_output(session, found, files[0])
    cache.save(output, fingerprint, session.plan.files, files)
    return print_output(output, audited, quiet, as_json, check_claims)


@cli.command()
@options.study_options
@options.jobs_option
@click.option("--no-plugins", is_flag=True, help="Do not run the study's own plugin files.")
def plan(
    study: Path,
    store: Path,
    only: str | None,
    seeds: str | None,
    jobs: int | None,
    no_plugins: bool,
) -> int:
    """Show the networks of a study and what is already stored; train nothing."""
    if study.is_file():
        from emtkit.execute.engines import _forkserver

        _forkserver.begin()
    from emtkit.execute.overview import overview
    from emtkit.session import load

    session = load(study, store=store, only=only, seeds=seeds, plugins=not no_plugins)
    session.register()
    failures: dict[str, str] = {}
    with session.read() as opened:
        for line in overview(session.plan, opened, jobs or allowed_cores(), failures):
            echo(line)
        for tuning in session.tunings:
            echo(tuning.text)
    for warning in session.warnings():
        echo(f"warning: {warning}", err=True)
    for what, why in failures.items():
        echo(f"{what}: {why}", err=True)
    return PluginError.exit_code if failures else 0


@cli.command()
@options.study_argument
@options.store_option
def watch(study: Path, store: Path) -> int:
    """Show the progress of a run of a study, from another terminal, until it ends."""
    from emtkit.execute.progress import follow

    with _monitor(False, None) as monitor:
        last = follow(store, study.stem, monitor)
    if last.state == "running":
        echo("the run has not reported for a while; it was killed, or hangs", err=True)
    elif last.state == "stopped":
        echo("the run was stopped; `emtkit run` continues from what is stored", err=True)
    lacking = last.counts.get("failed", 0) + last.counts.get("lost", 0)
    return 0 if last.state == "done" and not lacking else 1


@cli.command("list")
@click.argument("family", type=click.Choice(list(FAMILIES)), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def list_plugins(family: str | None, as_json: bool) -> int:
    """List the plugins that are installed, and those that are broken."""
    from emtkit.plugin.catalogue import listing_text
    from emtkit.plugin.index import installed

    found = installed().listing(family)
    if as_json:
        echo(json.dumps(found, indent=2))
        return 0
    for line in listing_text(found).splitlines():
        echo(line, color="red" if line.startswith("BROKEN") else None)
    return 0


@cli.command()
@click.argument("name", shell_complete=plugin_names)
def show(name: str) -> int:
    """Show one plugin: what it is, its equations, its parameters, its references."""
    from emtkit.plugin.index import installed

    echo(installed().page(name))
    return 0


for command in (*VIEW_COMMANDS, verify, merge, gc, *AUTHORS_COMMANDS):
    cli.add_command(command)


def main() -> None:
    """The entry point: errors become sentences and exit codes, never tracebacks."""
    own = _own_stdout()
    spell_what_cannot_be_encoded()
    signal.signal(signal.SIGTERM, _terminated)
    if sys.platform != "win32":
        signal.signal(signal.SIGHUP, _hung_up)
    try:
        code = cli.main(standalone_mode=False)
        sys.stdout.flush()  # here, where a full disk becomes a sentence
    except (click.exceptions.Abort, KeyboardInterrupt):
        echo("interrupted; what is done is stored, run again to continue", err=True)
        code = 130
    except click.ClickException as error:
        error.show(file=sys.stderr)
        code = error.exit_code
    except EmtkitError as error:
        echo(str(error), err=True)
        code = error.exit_code
    except BrokenPipeError:
        _discard_output()
        code = 0
    except OSError as error:
        _discard_output()
        where = "the output" if error.filename is None else f"'{error.filename}'"
        echo(
            f"{where} cannot be read or written ({error.strerror or error}); what is trained and "
            "measured is stored: correct this and run the command again",
            err=True,
        )
        code = EmtkitError.exit_code
    _leave(code or 0, own)


def _own_stdout() -> TextIO | None:
    """Stdout for our own output; what plugins write to its descriptor then goes to stderr.

    None where the process has no such streams, or is one that uses the command as a function.
    """
    now = sys.__stdout__
    if now is None or sys.stdout is not now or sys.stderr is None:
        return None
    own = os.fdopen(os.dup(1), "w", encoding=now.encoding, errors=now.errors)
    os.dup2(2, 1)
    sys.stdout = own
    return own


def _leave(code: int, own: TextIO | None) -> NoReturn:
    """End, even where a plugin left a thread that never does; its last words go to stderr."""
    if own is not None:
        sys.stdout = sys.stderr
        with suppress(OSError):
            own.close()
    others = [t for t in threading.enumerate() if t is not threading.main_thread()]
    if any(not thread.daemon for thread in others):
        sys.stderr.flush()
        EXIT(code)
    sys.exit(code)


def _discard_output() -> None:
    """What is still to be written to stdout would fail again when Python ends."""
    with suppress(OSError):  # a stdout that is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _terminated(number: int, frame: object) -> None:
    echo("terminated; what is done is stored, run again to continue", err=True)
    raise Terminated(143)


def _hung_up(number: int, frame: object) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    # The terminal is closed, and writing to it would fail.
    for stream in (0, 1, 2, sys.stdout.fileno()):
        os.dup2(nowhere, stream)
    raise Terminated(129)


@contextmanager
def _monitor(quiet: bool, events: Path | None) -> Iterator[Monitor]:
    from emtkit.execute.monitor import Bars, Events, Lines, Quiet

    inner: Monitor = Quiet()
    if not quiet:
        inner = Bars() if sys.stderr.isatty() else Lines(sys.stderr)
    try:
        if events is None:
            yield inner
        else:
            with _events_file(events) as out:
                yield Events(out, inner)
    finally:
        inner.close()


def _events_file(path: Path) -> BinaryIO:
    """A file to add lines to; a pipe without a reader is an error, where it would block."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o666)
    os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "ab", buffering=0)
