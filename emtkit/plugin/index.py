"""The index: what the installed plugins say of themselves, kept so that asking loads none of them.

One JSON file in the user's cache folder, `EMTKIT_CACHE` or the system's own. It is never stale: it
counts only while the installation is, file by file, the one that it was made from. Without a folder
to write to everything works, in the seconds that loading takes.
"""

import hashlib
import json
import os
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from emtkit.plugin.catalogue import Catalogue
from emtkit.plugin.installation import Installation, folders, installation, outside, stamp

FORMAT = 2
SETTLED = 2.0
"""Seconds after which a changed file can be told by its time: the coarsest clock of a disk."""


def installed() -> Catalogue:
    """Every installed plugin in words, from the index where it is up to date.

    Raises:
        PluginError: two owners claim one name.
    """
    now = installation()
    # Interpreters do not share an index, nor do two environments of one interpreter.
    place = hashlib.sha256(f"{sys.prefix}\n{sys.version}".encode()).hexdigest()[:12]
    path = cache_folder() / f"plugins-{place}.json"
    return _kept(path, now) or _made(path, now)


def cache_folder() -> Path:
    """Where emtkit keeps what it can make again."""
    given = os.environ.get("EMTKIT_CACHE")
    if given:
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local") / "emtkit"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "emtkit"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "emtkit"


def write_whole(path: Path, plain: Any) -> None:
    """Write JSON so that a reader sees all of it or nothing; a disk that refuses is no error."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(plain), encoding="utf-8")
        draft.replace(path)
    with suppress(OSError):
        draft.unlink(missing_ok=True)


def unchanged(stamps: dict[str, Any]) -> bool:
    """Whether each of these files is as it was when its stamp was taken and read from JSON."""
    now = ((stamp(path), known) for path, known in stamps.items())
    return all((None if found is None else list(found)) == known for found, known in now)


def settled(newest: int) -> bool:
    """Whether a file written at `newest` (ns) would get another time if it were written again."""
    return time.time_ns() - newest > SETTLED * 1e9


def _kept(path: Path, now: Installation) -> Catalogue | None:
    try:
        kept = json.loads(path.read_bytes())
        if (kept["format"], kept["installation"]) != (FORMAT, now.digest):
            return None
        if not unchanged(kept["outside"]):
            return None
        found = Catalogue.from_plain(kept["catalogue"])
        # What a broken module lacks may appear in any folder and under any name.
        if found.broken and kept["folders"] != json.loads(json.dumps(folders())):
            return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none there, or damaged
        return None
    return found


def _made(path: Path, now: Installation) -> Catalogue:
    from emtkit.plugin.describe import catalogue
    from emtkit.plugin.registry import Registry

    around = folders()
    found = catalogue(Registry.installed())
    loaded = outside()
    newest = max([now.newest, *(known[1] for known in loaded.values() if known)])
    if installation() == now and settled(newest):
        kept = {"format": FORMAT, "installation": now.digest, "outside": loaded}
        write_whole(path, {**kept, "folders": around, "catalogue": asdict(found)})
    return found
