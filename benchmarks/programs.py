"""The programs that are timed: each does some iterations, and says how many."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.cases import Case, cells
from emtkit import Registry
from emtkit.train.segment import Trainer
from emtkit.train.stacks import tier_named

Program = Callable[[int], int]
"""Does as many iterations as it is asked for, or a few more; gives their number."""


def emtkit_training(case: Case, models: int, tier: str, registry: Registry) -> Program:
    """emtkit's own loop: data drawn anew, forward, backward, clip, Adam, for a whole stack."""
    trainer = Trainer(registry, cells(case, models, registry), tier_named(tier))

    def run(iterations: int) -> int:
        begun = trainer.iterations
        trainer.run(lambda: trainer.iterations - begun >= iterations)
        return trainer.iterations - begun

    return run


class Plain(nn.Module):
    """torch's own Elman network with a linear readout."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.recur = nn.RNN(case.channels, case.hidden, bias=False, batch_first=True)
        self.read = nn.Linear(case.hidden, case.channels, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.read(self.recur(inputs)[0])


def torch_training(case: Case) -> Program:
    """What one would write for one network: nn.RNN, Adam and a clip, on data drawn once."""
    model = Plain(case)
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    inputs = torch.randn(case.batch, case.steps, case.channels)
    inputs[:, case.driven :] = 0
    first = case.driven % case.steps
    targets = torch.randn(case.batch, case.steps - first, case.channels)

    def run(iterations: int) -> int:
        for _ in range(iterations):
            optimiser.zero_grad()
            (model(inputs)[:, first:] - targets).square().mean().backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
        return iterations

    return run


def products_alone(case: Case, models: int) -> Program:
    """The recurrent matrix products of an iteration and nothing else: forward, back, weights."""
    states = torch.randn(case.steps, models, case.batch, case.hidden) * 0.1
    after = torch.empty_like(states[0])
    weights = torch.randn(models, case.hidden, case.hidden) / case.hidden**0.5
    gradient = torch.zeros_like(weights)

    def run(iterations: int) -> int:
        for _ in range(iterations):
            for t in range(1, case.steps):
                torch.bmm(states[t - 1], weights, out=after)
                torch.bmm(states[t], weights, out=after)
                gradient.baddbmm_(states[t].transpose(1, 2), states[t - 1])
        return iterations

    return run


def square_product(size: int = 1024) -> Program:
    """size x size times size x size: the machine's limit."""
    left, right = torch.randn(size, size), torch.randn(size, size)
    out = torch.empty(size, size)

    def run(iterations: int) -> int:
        for _ in range(iterations):
            torch.mm(left, right, out=out)
        return iterations

    return run


def jax_training(case: Case, models: int) -> Program | None:
    """The same training as one jitted JAX program over a stack; None where JAX is not installed."""
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
    try:
        import jax
        import jax.numpy as jnp
    except ImportError:
        return None
    keys = jax.random.split(jax.random.PRNGKey(0), 4)
    size, width = case.hidden, case.channels
    weights = {
        "W_uh": jax.random.normal(keys[0], (models, width, size)) / size**0.5,
        "W_hh": jax.random.normal(keys[1], (models, size, size)) / size**0.5,
        "W_r": jax.random.normal(keys[2], (models, size, width)) / size**0.5,
    }
    first = case.driven % case.steps
    inputs = jax.random.normal(keys[3], (models, case.driven, case.batch, width))
    targets = jnp.zeros((models, case.steps - first, case.batch, width))

    def loss(w, heard, wanted):
        def hear(state, u):
            state = jnp.tanh(state @ w["W_hh"] + u @ w["W_uh"])
            return state, state

        def go_on(state, _):
            state = jnp.tanh(state @ w["W_hh"])
            return state, state

        state, states = jax.lax.scan(hear, jnp.zeros((case.batch, size)), heard)
        if case.driven < case.steps:
            _, states = jax.lax.scan(go_on, state, None, length=case.steps - case.driven)
        return jnp.square(states @ w["W_r"] - wanted).mean()

    @jax.jit
    def step(w, m, v, i):
        g = jax.vmap(jax.grad(loss))(w, inputs, targets)
        norm = jnp.sqrt(sum(jnp.square(x).sum((1, 2)) for x in g.values()))
        scale = jnp.minimum(1.0, 1.0 / (norm + 1e-6))[:, None, None]
        g = {k: x * scale for k, x in g.items()}
        m = {k: 0.9 * m[k] + 0.1 * x for k, x in g.items()}
        v = {k: 0.999 * v[k] + 0.001 * x * x for k, x in g.items()}
        a, b = 1 - 0.9**i, 1 - 0.999**i
        w = {k: w[k] - 1e-3 * (m[k] / a) / (jnp.sqrt(v[k] / b) + 1e-8) for k in w}
        return w, m, v

    zeros = {k: jnp.zeros_like(x) for k, x in weights.items()}
    held = [weights, zeros, zeros]

    def run(iterations: int) -> int:
        for i in range(1, iterations + 1):
            held[:] = step(*held, float(i))
        jax.block_until_ready(held[0])
        return iterations

    return run
