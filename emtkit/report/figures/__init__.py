"""Charts of findings."""
