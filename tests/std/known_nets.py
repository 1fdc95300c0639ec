"""Networks and laws whose answers are known on paper, and how to hand one to an analysis."""

import numpy as np
import torch

from emtkit import Analysis, Findings, SequenceModel, Stream, Subject, Task
from emtkit.plugin.analysis import History
from emtkit_std._theory.facts import DelayLaw


def turn(degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def net_a1() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """W_hh = .8 Rot(50), W_uh = (1, 0), W_r = w_3ᵀ / |w_3|²."""
    W_hh, W_uh = 0.8 * turn(50), np.array([[1.0], [0.0]])
    third = np.linalg.matrix_power(W_hh, 3) @ W_uh
    return W_hh, W_uh, third.T / (third**2).sum()


def chain(units: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The linear shift register: W_uh = e_1, W_hh e_i = e_{i+1}, W_r = e_nᵀ."""
    one = np.eye(units)
    return np.eye(units, k=-1), one[:, :1], one[-1:]


def relu_chain() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two ReLU units that solve delay 2 for a lone pulse."""
    return np.array([[0.0, -1], [1, -1]]), np.array([[1.0], [0]]), np.array([[-0.5, -0.5]])


def sample_law(law: DelayLaw, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Inputs (N, T, I), or of one law (N, ...), of outputs that repeat their own input."""
    drawn = {
        "uniform": lambda: rng.random(shape),
        "constant": lambda: np.ones(shape),
        "signed": lambda: rng.uniform(-1, 1, shape),
        "exponential": lambda: rng.exponential(size=shape),
        "normal": lambda: rng.normal(size=shape),
        "lognormal": lambda: rng.lognormal(size=shape),
    }
    if isinstance(law.amplitude, str):
        amplitude = drawn[law.amplitude]()
    else:
        columns = [drawn[name]()[..., place] for place, name in enumerate(law.amplitude)]
        amplitude = np.stack(columns, -1)
    density = law.density[0] if len(set(law.density)) == 1 else np.array(law.density)
    return (rng.random(shape) < density) * amplitude


def assert_within_standard_errors(errors: np.ndarray, expected: float) -> None:
    assert abs(errors.mean() - expected) < 4 * errors.std() / np.sqrt(len(errors))


def last_step(steps: int) -> np.ndarray:
    return np.arange(steps) == steps - 1


def set_weights(model: SequenceModel, W_hh: np.ndarray, W_uh: np.ndarray, W_r: np.ndarray) -> None:
    """Put the paper's matrices into a network of canonical parameter names."""
    with torch.no_grad():
        for name, value in (("W_hh", W_hh), ("W_uh", W_uh), ("W_r", W_r)):
            model.get_parameter(name).copy_(torch.from_numpy(np.ascontiguousarray(value)))


def look(analysis: Analysis, task: Task, model: SequenceModel, **parameters: object) -> Findings:
    """What `analysis` finds in `model` on the common evaluation stream."""
    return analysis.measure(subject(analysis, task, model, **parameters))


def subject(analysis: Analysis, task: Task, model: SequenceModel, **parameters: object) -> Subject:
    """What `analysis` is given of `model`."""
    dtype = next(iter(model.state_dict().values())).dtype
    stream = Stream(None, f"analysis/{analysis.name}", dtype=dtype)
    history = History(np.zeros(0), 0, "none")
    return Subject(task, model.eval(), parameters, history, stream)
