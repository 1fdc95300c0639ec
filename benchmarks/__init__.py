"""How fast stacks train, against what one would write otherwise; `python -m benchmarks`."""
