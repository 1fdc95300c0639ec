"""Contracts of tasks, architectures and analyses, and the gate they pass."""
