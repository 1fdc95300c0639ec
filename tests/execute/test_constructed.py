"""Networks that are constructed: each once, in the order of their settings, and loaded after."""

from __future__ import annotations

from dataclasses import replace

from emtkit.execute.monitor import Quiet
from emtkit.execute.run import Options, run
from emtkit.plugin.registry import Registry
from emtkit.store.store import Store
from emtkit.study.cells import Row, cell_key, evaluation_spec
from emtkit.study.settings import Evaluation
from tests.inline_engine import InlineEngine
from tests.train import fakes

SEARCHES = []


class Searched(fakes.Tanh):
    """A constructed network that notes whenever its weights are searched."""

    name = "searched_fake"

    def __init__(self, task, *, hidden: int = 6, gain: float = 0.5) -> None:
        super().__init__(task, hidden=hidden, gain=gain)
        for name, value in list(self.named_parameters()):
            delattr(self, name)
            self.register_buffer(name, value.detach())
        SEARCHES.append(task.gain)

    @classmethod
    def trains(cls, parameters):
        return False

    @classmethod
    def empty(cls, task, parameters):
        model = cls(task, **parameters)
        SEARCHES.pop()
        return model


def row(gain):
    made = fakes.cell(0, "searched_fake", {"gain": gain})
    key = cell_key(made.task, made.architecture, made.training, 0, False)
    asked = evaluation_spec(key, Evaluation(sequences=8), 8, 4)
    made = replace(made, key=key, trains=False)
    return Row("", "repeat_fake", "searched_fake", made, asked, ())


def test_each_is_made_once_next_to_those_most_like_it(tmp_path):
    SEARCHES.clear()
    registry = Registry.of(fakes.Repeat, Searched)
    rows = [row(gain) for gain in (1.0, 0.25, 0.5)]
    with Store.open(tmp_path / "s.sqlite", writer=True) as store:
        found = run(rows, registry, store, InlineEngine(registry), Quiet(), Options())
    assert (found.done, found.clean) == (3, True)
    assert SEARCHES == [0.25, 0.5, 1.0]
