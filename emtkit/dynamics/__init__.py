"""Linearisation, fixed points and cycles, for every analysis."""
