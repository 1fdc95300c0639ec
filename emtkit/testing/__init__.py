"""The conformance suite that every plugin passes."""
