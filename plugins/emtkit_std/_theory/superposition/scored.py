"""Which tasks have exact optima, and the steps that they score."""

import numpy as np

from emtkit import Stream, Task
from emtkit_std._theory.facts import DelayLaw, Mask


def one_feature(task: Task) -> str | None:
    """Why a task has no exact optimum: it must delay one feature, given at every step."""
    if DelayLaw not in task.offers:
        return f"an optimum needs a DelayLaw, which task '{task.name}' does not offer"
    channels = task.channels
    if (channels.inputs, channels.outputs) != (1, 1):
        return f"exact optima are known for one feature, not for {channels.inputs}"
    if why := task.facts(DelayLaw).dependence:
        return f"exact optima are not known: {why}"
    probe = task.sample(1, Stream(None, "mask"))
    if probe.input_steps < probe.steps:
        return f"exact optima have input at every step; that of '{task.name}' ends before"
    return None


def scored_of(task: Task) -> Mask:
    """The scored steps (T)."""
    return np.asarray(task.sample(1, Stream(None, "mask")).mask.reshape(-1).cpu().numpy() > 0)
