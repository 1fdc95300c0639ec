"""The programs that are timed: each does some iterations, and says how many."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.cases import DELAY, DENSITY, Case, cells
from emtkit import Registry, Stream
from emtkit.plugin.stream import CPU
from emtkit.train.grouping import tier_named
from emtkit.train.iteration import Iteration, TrainState
from emtkit.train.tiers.base import Span
from emtkit.train.trainer import Trainer

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


def emtkit_steps(case: Case, models: int, tier: str, registry: Registry) -> Program:
    """emtkit's iterations on a batch that is drawn once: forward, backward, clip, Adam."""
    trainer = Trainer(registry, cells(case, models, registry), tier_named(tier))
    stacked, trainings = trainer.stacked, [cell.training for cell in trainer.cells]
    standing = TrainState.of(trainer.rows, CPU)
    optimiser = trainer.tier.optimiser(trainings, standing.flat, stacked.slots)
    streams = [Stream(seed, "train") for seed in range(models)]
    batch = stacked.draw(case.batch, streams, None)
    program = Iteration(trainer.tier, stacked, optimiser, standing, Span.of(batch.mask))

    def run(iterations: int) -> int:
        for _ in range(iterations):
            program.load(batch, batch.mask, optimiser.schedule([0] * models))
            program.advance()
            standing.noted.zero_()
        return iterations

    return run


def torch_training(case: Case, *, fresh: bool) -> Program:
    """What one would write for one network: nn.RNN, Adam and a clip.

    On data drawn once, or by torch in every iteration.
    """
    model = Plain(case)
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    first = case.input_steps % case.steps
    inputs, targets = _drawn(case)

    def run(iterations: int) -> int:
        heard, wanted = inputs, targets
        for _ in range(iterations):
            if fresh:
                heard, wanted = _drawn(case)
            optimiser.zero_grad()
            (model(heard)[:, first:] - wanted).square().mean().backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
        return iterations

    return run


def _drawn(case: Case) -> tuple[Tensor, Tensor]:
    """Inputs B T I and the targets of the scored steps, of the two tasks of `cells`."""
    shape = (case.batch, case.input_steps, case.channels)
    if case.input_steps == case.steps:
        heard = torch.rand(shape) * (torch.rand(shape) < DENSITY)
        wanted = torch.zeros_like(heard)
        wanted[:, DELAY:] = heard[:, :-DELAY]
        return heard, wanted
    start = torch.randint(0, 2, shape) * 2.0 - 1.0
    rounds = -(-case.steps // case.input_steps)
    wanted = start.repeat(1, rounds, 1)[:, : case.steps - case.input_steps]
    return torch.cat([start, torch.zeros_like(wanted)], 1), wanted


def products_alone(case: Case, models: int) -> Program:
    """The matrix products of an iteration of the dense tier, in its shapes, and nothing else."""
    hidden, channels, many = case.hidden, case.channels, case.batch
    heard = torch.randn(case.steps + 1, models, channels + hidden, many) * 0.1
    forward = torch.randn(models, hidden, channels + hidden) / hidden**0.5
    readout = torch.randn(models, channels, hidden) / hidden**0.5
    back = torch.randn(models, hidden, channels + hidden) / hidden**0.5
    slopes = torch.randn(models, channels + hidden, many)
    state, read = heard.new_empty(models, hidden, many), heard.new_empty(models, channels, many)
    total, by_readout = torch.zeros_like(forward), torch.zeros_like(readout)
    silent = torch.zeros_like(forward[:, :, channels:])
    given, delta = slopes[:, :channels], slopes[:, channels:]
    first = case.input_steps % case.steps

    def run(iterations: int) -> int:
        for _ in range(iterations):
            for t in range(case.steps):
                skip = 0 if t < case.input_steps else channels
                torch.bmm(forward[:, :, skip:], heard[t][:, skip:], out=state)
            for t in reversed(range(case.steps)):
                if t >= first:
                    seen = heard[t + 1][:, channels:]
                    torch.bmm(readout, seen, out=read)
                    by_readout.baddbmm_(given, seen.transpose(1, 2))
                    torch.bmm(back, slopes, out=state)
                else:
                    torch.bmm(back[:, :, channels:], delta, out=state)
                if t < case.input_steps:
                    total.baddbmm_(delta, heard[t].transpose(1, 2))
                else:
                    silent.baddbmm_(delta, heard[t][:, channels:].transpose(1, 2))
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
    first = case.input_steps % case.steps
    inputs = jax.random.normal(keys[3], (models, case.input_steps, case.batch, width))
    targets = jnp.zeros((models, case.steps - first, case.batch, width))

    def loss(w, heard, wanted):
        def hear(state, u):
            state = jnp.tanh(state @ w["W_hh"] + u @ w["W_uh"])
            return state, state

        def go_on(state, _):
            state = jnp.tanh(state @ w["W_hh"])
            return state, state

        state, states = jax.lax.scan(hear, jnp.zeros((case.batch, size)), heard)
        if case.input_steps < case.steps:
            _, states = jax.lax.scan(go_on, state, None, length=case.steps - case.input_steps)
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
