"""Episodic Memory Theory."""
