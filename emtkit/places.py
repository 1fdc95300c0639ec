"""Where results go unless a command says otherwise."""

from pathlib import Path

RESULTS = Path("results")
"""A study's report, tables and figures go to a folder of its name below."""

STORE = RESULTS / "emtkit.sqlite"
"""All networks and findings of a project."""
