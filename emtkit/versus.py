"""What `emtkit compare` opens: two architectures of a study, two studies, or two stores."""

from __future__ import annotations

from pathlib import Path

from emtkit.errors import EmtkitError
from emtkit.report.contrast import Sides, joined
from emtkit.session import open_session

_STUDIES = (".yaml", ".yml")


def sides(what: Path, first: str, second: str, store: Path | None, only: str | None) -> Sides:
    """The two sides that the words of the command name.

    A study with two of its architectures; a study with two stores, each of which holds it; or a
    store with two studies.

    Raises:
        EmtkitError: the words name none of these, or a store that is not there.
    """
    paths = (Path(first), Path(second))
    if what.suffix in _STUDIES and not all(path.is_file() for path in paths):
        session = open_session(what, store=store, only=only)
        return Sides(session.evidence, "architecture", first, second)
    if what.suffix in _STUDIES:
        axis, sessions = "store", [open_session(what, store=path, only=only) for path in paths]
    elif what.is_file() and all(path.suffix in _STUDIES for path in paths):
        axis, sessions = "study", [open_session(path, store=what, only=only) for path in paths]
    else:
        raise EmtkitError(
            f"{what} is neither a study (.yaml), with two architectures or two stores to compare, "
            "nor a store, with two studies: emtkit compare results/emtkit.sqlite one.yaml two.yaml"
        )
    one, two = (session.evidence for session in sessions)
    return joined(axis, (first, one), (second, two))
