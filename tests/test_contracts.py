"""Every built-in plugin keeps every rule that `emtkit check` holds a stranger's to."""

from __future__ import annotations

from functools import cache

import pytest

from emtkit import Registry
from emtkit.plugin.registry import Plugin
from emtkit.testing import check

HEAVY = {
    *("attractors", "basis_sensitivity", "fixed_points", "gradient_lag", "intervene"),
    *("dsa", "ends", "memory", "memory_map", "noise_horizon", "optimal_rectified", "superposition"),
    # Of one kind with networks that stay: gated, of units with inertia, with a memory of waves.
    *("diagonal_ssm", "irnn", "lstm", "memoryless", "twm_attention", "wave_rnn"),
    *(
        "dead",
        "exact_attention",
        "induction",
        "leaky_integrator",
        "magnitude_code",
        "random_reservoir",
    ),
}


@cache
def installed() -> Registry:
    return Registry.installed()


def built_in() -> list[object]:
    return [
        pytest.param(
            plugin,
            id=f"{plugin.kind}-{plugin.name}",
            marks=[pytest.mark.slow] if plugin.name in HEAVY else [],
        )
        for plugin in installed().all()
        if plugin.cls.__module__.startswith("emtkit_std.")
    ]


def test_every_built_in_module_loads() -> None:
    assert not installed().broken


@pytest.mark.parametrize("plugin", built_in())
def test_a_built_in_plugin_keeps_every_rule(plugin: Plugin) -> None:
    broken = [verdict for verdict in check(plugin, installed()) if verdict.state == "failed"]
    assert not broken, "\n" + "\n".join(str(verdict) for verdict in broken)
