"""Temporal superposition."""
