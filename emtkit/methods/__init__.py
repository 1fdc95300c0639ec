"""How a network may be trained: optimisers, schedules and curricula, a file each.

Nothing here imports torch: a study file is checked, and its plan listed, without it.
"""
