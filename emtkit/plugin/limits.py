"""Bounds on what a study may ask for, each with its reason."""

from __future__ import annotations

MAX_STEPS = 1_000_000
"""Time steps of a sequence: the states of 100 units over as many take 0.4 GB, for one sequence."""
