"""Recurrences and kernels that several architectures share."""
