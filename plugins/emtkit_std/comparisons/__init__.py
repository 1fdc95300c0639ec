"""Comparisons: each looks at two networks on one task."""
