"""How Sphinx builds these pages: `make docs`, warnings are errors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import generate  # noqa: E402  lies beside this file

import emtkit  # noqa: E402

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "emtkit"
author = "The emtkit authors"
release = emtkit.__version__

extensions = ["myst_parser"]
myst_heading_anchors = 3
source_suffix = {".md": "markdown"}
exclude_patterns = ["generated/parts/*", "results/*/*"]

html_theme = "furo"
html_title = f"emtkit {release}"
html_show_copyright = False


def setup(app: Sphinx) -> None:
    """Write what is said by the code itself before Sphinx looks for pages."""
    generate.write(HERE / "generated")
