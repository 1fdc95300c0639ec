"""Linearisation and fixed points, for every analysis."""
