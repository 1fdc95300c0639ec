"""Formats of a table, a file each; its name is what the command line takes after `--format`."""
