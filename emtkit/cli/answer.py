"""What `emtkit run` says at its end, from a run or from a receipt; glue, as in `cli.py`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from emtkit.cli.engine import print_audit
from emtkit.cli.views import printed_tables

if TYPE_CHECKING:
    from emtkit.cli.rerun_cache import Answer
    from emtkit.execute.audit import Audit
    from emtkit.execute.summary import RunSummary
    from emtkit.session import Session

CLAIM_REFUSED = 5


def answer_of(session: Session, found: RunSummary, page: Path) -> Answer:
    """The answer of a run that has just ended, with its report at `page`."""
    from emtkit.cli.rerun_cache import Answer, look
    from emtkit.report.tables.numbers import verdict_lines

    verdicts = session.verdicts()
    document = {
        "study": session.name,
        "cells": vars(found),
        "claims": [
            {"id": v.claim.id, "where": v.where, "verdict": v.word, "value": v.value, "n": v.n}
            for v in verdicts
        ],
        "audit": None,
        "report": str(page),
        "store": str(session.store),
    }
    return Answer(document, list(verdict_lines(verdicts)), printed_tables(session), look())


def tell(
    answer: Answer, audited: Audit | None, quiet: bool, as_json: bool, check_claims: bool
) -> int:
    """Print what was asked for, and turn the answer into an exit code."""
    if as_json:
        document = {**answer.document, "audit": None if audited is None else vars(audited)}
        click.echo(json.dumps(document, indent=2))
    elif not quiet:
        sys.stdout.write(answer.tables)
        for line in (*answer.verdicts, answer.coverage, f"report: {answer.document['report']}"):
            click.echo(line)
        if audited is not None:
            print_audit(audited)
    if audited is not None and audited.differing:
        return 1
    if check_claims and answer.refused:
        return CLAIM_REFUSED
    return 0 if answer.clean else 1
