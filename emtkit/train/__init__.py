"""Cells to trained weights, many networks as one program."""
