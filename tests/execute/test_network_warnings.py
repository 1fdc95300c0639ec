"""Warnings of architectures, before anything is trained."""

import pytest

from emtkit import PluginError, Registry
from emtkit.execute.network_warnings import network_warnings
from emtkit.study.plan import plan_study
from tests.train.fakes import REGISTRY, Tanh


class Warning_(Tanh):
    name = "warning_fake"

    @classmethod
    def warns(cls, task, parameters):
        return "it is known to sulk" if parameters["gain"] > 1 else None


class Raising(Tanh):
    name = "raising_warning_fake"

    @classmethod
    def warns(cls, task, parameters):
        return parameters["none"]


def warned(name: str, steps: int = 5) -> list[str]:
    registry = Registry([*REGISTRY.all(), *Registry.of(Warning_, Raising).all()])
    network = {"use": name, "grid": {"gain": [0.5, 2.0, 3.0]}, "label": "sulky"}
    study = {"seeds": 3, "training": {"steps": steps}, "tasks": ["repeat_fake"]}
    return list(network_warnings(plan_study({**study, "architectures": [network]}, registry)))


def test_what_an_architecture_warns_of_is_said_once_with_a_count():
    assert warned("warning_fake") == ["6 networks 'sulky': it is known to sulk"]


def test_nothing_is_said_of_networks_that_are_not_trained_or_have_no_warning():
    assert warned("warning_fake", steps=0) == warned("tanh_fake") == []


def test_a_warning_that_raises_is_its_authors():
    with pytest.raises(PluginError, match=r"raising_warning_fake.*`warns` \(KeyError"):
        warned("raising_warning_fake")
