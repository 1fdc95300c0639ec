"""Networks of a known mechanism, with nothing to train."""
