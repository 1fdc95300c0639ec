"""`emtkit new`: a plugin file that works, to be changed into one's own."""

import keyword
import re
from importlib.resources import files
from pathlib import Path

from emtkit.errors import EmtkitError, did_you_mean
from emtkit.plugin.catalogue import Kind
from emtkit.plugin.registry import Registry

NAME = "template_name"
CLASS = "TemplateName"


def new(kind: Kind, name: str, folder: Path, like: str = "") -> Path:
    """Write `folder`/`name`.py, a plugin that passes `emtkit check`; the answer is its path.

    `like` names a template of an architecture; empty takes `recurrent`.

    Raises:
        EmtkitError: there is no such template, the name is invalid, an installed plugin has it, or
            the file exists.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise EmtkitError(
            f"'{name}' cannot name a plugin: small letters, digits and `_`, a letter first, and no "
            "word of Python; for instance 'my_task'"
        )
    twin = Registry.installed().get(kind, name)
    if twin is not None:
        raise EmtkitError(
            f"the {kind} '{name}' exists already (of {twin.owner}); choose another name"
        )
    path = folder / f"{name}.py"
    if path.exists():
        raise EmtkitError(f"{path} exists already; it was left alone, choose another name")
    if like and kind != "architecture":
        raise EmtkitError(f"`--like {like}` is for architectures; a {kind} has one template")
    if like and like not in (known := networks()):
        raise EmtkitError(f"there is no template '{like}'; {did_you_mean(like, known)}")
    stem = like or {"architecture": "recurrent"}.get(kind, kind)
    template = files("emtkit.testing.templates").joinpath(f"{stem}.py").read_text(encoding="utf-8")
    written = "".join(part.capitalize() for part in name.split("_"))
    path.write_text(template.replace(NAME, name).replace(CLASS, written), encoding="utf-8")
    return path


def networks() -> list[str]:
    """What an architecture may begin as: the templates of no other kind."""
    found = (Path(str(file)).stem for file in files("emtkit.testing.templates").iterdir())
    return sorted(
        stem for stem in found if stem not in ("task", "analysis", "comparison") and stem[0] != "_"
    )
