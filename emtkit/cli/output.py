"""What `emtkit run` prints at its end, after a run or from the cache of an earlier one."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emtkit.cli.terminal import echo, show
from emtkit.cli.views import printed_tables

if TYPE_CHECKING:
    from emtkit.execute.audit import Audit
    from emtkit.execute.required import RunSummary
    from emtkit.session import Session

CLAIM_REFUSED = 5
_TERMINAL = ("TERM", "COLORTERM", "NO_COLOR", "FORCE_COLOR", "COLUMNS")


@dataclass(frozen=True)
class RunOutput:
    """The output of a run: its JSON document, its verdicts, its tunings and tables as printed.

    `terminal` describes the terminal for which the tables were formatted.
    """

    document: dict[str, Any]
    verdicts: list[str]
    tunings: list[str]
    tables: str
    terminal: str

    @property
    def clean(self) -> bool:
        """Whether nothing failed and nothing was lost, and every tuning chose a setting."""
        cells = self.document["cells"]
        lacking = cells["failed"] or cells["lost"] or cells["findings_failed"]
        return not (lacking or self.failures)

    @property
    def failures(self) -> list[str]:
        """A sentence for each tuning that chose nothing."""
        return [one["failure"] for one in self.document["tunings"] if one["failure"]]

    @property
    def complete(self) -> bool:
        """Whether every cell of the plan has a status."""
        cells = self.document["cells"]
        ends = ("done", "failed", "lost", "not_applicable")
        return bool(cells["expected"] == sum(cells[end] for end in ends))

    @property
    def progress(self) -> str:
        """The line printed instead of progress bars when there is nothing to do."""
        done = self.document["cells"]["done"]
        return f"{done}/{done} cells ({done} stored), nothing has changed since the last run"


def run_output(session: Session, summary: RunSummary, page: Path) -> RunOutput:
    """The output of a run that has just ended, with its report at `page`."""
    from emtkit.report.tables.numbers import verdict_lines

    verdicts = session.verdicts()
    document = {
        "study": session.name,
        "cells": vars(summary),
        "claims": [
            {
                "id": v.claim.id,
                "where": v.where,
                "verdict": v.word,
                "value": v.value,
                "n": v.n,
                "stated": v.stated,
                "controls": [
                    {"name": one.name, "role": one.role, "value": one.value, "met": one.satisfied}
                    for one in v.controls
                ],
            }
            for v in verdicts
        ],
        "tunings": [
            {
                "combination": one.combination.text,
                "chosen": one.chosen and dict(one.chosen.setting),
                "failure": one.failure,
            }
            for one in session.tunings
        ],
        "audit": None,
        "report": str(page),
        "store": str(session.store),
    }
    tables = printed_tables(session)
    tunings = [one.text for one in session.tunings]
    return RunOutput(document, list(verdict_lines(verdicts)), tunings, tables, terminal_format())


def print_output(
    output: RunOutput, audited: Audit | None, quiet: bool, as_json: bool, check_claims: bool
) -> int:
    """Print what the options request; returns the exit code."""
    if as_json:
        document = {**output.document, "audit": None if audited is None else vars(audited)}
        echo(json.dumps(document, indent=2))
    elif not quiet:
        show(output.tables)
        cells = output.document["cells"]
        for line in (
            *output.tunings,
            *output.verdicts,
            f"{cells['expected']} cells = {cells['done']} done + {cells['failed']} failed + "
            f"{cells['lost']} lost + {cells['not_applicable']} not applicable",
            f"{cells['findings']} findings = {cells['findings_done']} done + "
            f"{cells['findings_failed']} failed + {cells['findings_without_network']} without a "
            f"network + {cells['findings_not_applicable']} not applicable",
            f"report: {output.document['report']}",
        ):
            echo(line)
    for failure in output.failures:
        echo(failure, err=True)
    if audited is not None and not as_json:
        _print_audit(audited)
    if audited is not None and audited.differing:
        return 1
    verdicts = {claim["verdict"] for claim in output.document["claims"]}
    if check_claims and "not supported" in verdicts:
        return CLAIM_REFUSED
    return 0 if output.clean else 1


def terminal_format() -> str:
    """What printed tables depend on: the width and the colours of the terminal, if it is one."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    return json.dumps([width, sys.stdout.encoding, *(os.environ.get(name) for name in _TERMINAL)])


def _print_audit(audit: Audit) -> None:
    made = f"audit: {audit.cells} cells and {audit.findings} findings were computed again"
    if not audit.differing:
        echo(f"{made}; every byte is equal")
        return
    echo(f"{made}; {len(audit.differing)} differ (other machine, versions or code?):")
    for key in audit.differing:
        echo(f"  {key}")
