"""Networks trained elsewhere as architectures of a study, beside networks trained here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import emtkit
from emtkit import StudyError
from emtkit.study.plan import Plan, plan_study

TASK = {"use": "hds", "rule": "repeat", "history": 3, "dimension": 2, "horizon": 6}


def state(seed: int, layer: type[nn.Module] = nn.GRU, hidden: int = 5) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    network = nn.ModuleDict({"rnn": layer(2, hidden), "fc": nn.Linear(hidden, 2)})
    return {name: value.detach() for name, value in network.state_dict().items()}


def study(*architectures: Any, **more: Any) -> dict[str, Any]:
    return {
        "seeds": 2,
        "training": {"steps": 3, "batch": 4},
        "evaluation": {"sequences": 32},
        "tasks": [TASK],
        "architectures": list(architectures),
        "analyses": [{"use": "spectrum", "of": "jacobian", "label": "local"}],
        "tables": [
            {"name": "radii", "rows": "architecture", "over": "seed", "values": ["local.radius"]}
        ],
        **more,
    }


def planned(*architectures: Any, **more: Any) -> Plan:
    return plan_study(study(*architectures, **more))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_checkpoints_of_every_format_stand_beside_trained_networks(tmp_path: Path) -> None:
    for seed, name in enumerate(("a", "b")):
        torch.save({"epoch": 3, "state_dict": state(seed)}, f"{name}.pt")
    save_file(state(0), "a.safetensors")
    np.savez("a.npz", **{name: value.numpy() for name, value in state(0).items()})
    theirs = {"use": "gru", "checkpoint": ["a.pt", "b.pt"], "label": "theirs"}
    again = {"use": "gru", "checkpoint": "a.safetensors", "label": "again"}
    arrays = {"use": "gru", "checkpoint": "a.npz", "label": "arrays"}
    plan = planned(theirs, again, arrays, {"use": "gru", "hidden": 5})
    found = {(row.architecture, row.cell.seed): row.cell for row in plan.rows}
    assert sorted(found) == [
        *(("again", 0), ("arrays", 0), ("gru", 0), ("gru", 1), ("theirs", 0), ("theirs", 1)),
    ]
    assert found["theirs", 0].key == found["again", 0].key == found["arrays", 0].key
    assert not found["theirs", 0].trains
    assert found["gru", 0].trains

    session = emtkit.run(study(theirs, {"use": "gru", "hidden": 5}), jobs=1)
    frame = session.frame().set_index(["architecture", "seed"])
    inputs = torch.randn(3, 6, 2)
    for seed in (0, 1):
        held = state(seed)
        twin = nn.GRU(2, 5, batch_first=True)
        twin.load_state_dict({k.removeprefix("rnn."): v for k, v in held.items() if "rnn." in k})
        shown = twin(inputs)[0] @ held["fc.weight"].T + held["fc.bias"]
        ours = session.model(found["theirs", seed].key)
        torch.testing.assert_close(ours.trace(inputs, 6).outputs, shown)
        assert np.isfinite(frame.loc[("theirs", seed), "test.loss"])
    assert frame.loc["theirs", "train.steps"].eq(0).all()
    assert frame.loc["gru", "train.steps"].eq(3).all()
    radii = str(session.table("radii"))
    assert "theirs" in radii
    assert "gru" in radii


def test_a_file_that_is_replaced_makes_a_new_network() -> None:
    entry = {"use": "gru", "checkpoint": "net.pt"}
    torch.save(state(0), "net.pt")
    first = set(planned(entry, seeds=1).cells)
    torch.save(state(0), "net.pt")
    assert set(planned(entry, seeds=1).cells) == first
    torch.save(state(1), "net.pt")
    assert set(planned(entry, seeds=1).cells).isdisjoint(first)


def test_names_of_ones_own_are_mapped() -> None:
    held = state(0, nn.RNN)
    torch.save(
        {
            "A": held["rnn.weight_hh_l0"],
            "B": held["rnn.weight_ih_l0"].T,
            "C": held["fc.weight"],
            "rest": torch.ones(1),
        },
        "net.pt",
    )
    names = {"W_hh": "A", "W_uh": "B.T", "W_r": "C"}
    checkpoint = {"files": ["net.pt"], "map": names, "drop": ["rest"]}
    plan = planned({"use": "elman", "checkpoint": checkpoint, "activation": "relu"}, seeds=1)
    (cell,) = plan.cells.values()
    assert dict(cell.architecture.parameters) == {
        **{"hidden": 5, "activation": "relu", "bias": False},
        **{"init": "uniform", "readout_bias": False, "noise": 0.0},
    }


class Sleeper:
    """Pickles as a call; must never be called by reading a file."""

    def __reduce__(self):
        return (Path("called").touch, ())


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"checkpoint": "absent.pt"}, "'absent.pt'; there is no such file"),
        ({"checkpoint": "pickled.pt"}, "pickled.pt cannot be read as weights alone"),
        ({"checkpoint": "wide.pt"}, r"W_uh is \(15, 3\), needed \(15, 2\)"),
        ({"checkpoint": "net.pt", "use": "lstm"}, "not those of lstm .*it has no .fc.bias"),
        ({"checkpoint": "net.pt", "hidden": 4}, r"W_hh is \(15, 5\), needed \(12, 4\)"),
        ({"checkpoint": ["net.pt", "small.pt"]}, "networks of one size"),
        ({"checkpoint": ["net.pt"] * 3}, "3 checkpoints for 2 seeds"),
        ({"checkpoint": []}, "checkpoint"),
        ({"checkpoint": {"files": ["net.pt"], "drp": []}}, "did you mean 'drop'"),
        ({"checkpoint": {"files": ["net.pt"], "drop": ["fc.bis"]}}, "did you mean 'fc.bias'"),
        ({"checkpoint": {"files": ["net.pt"], "map": {"W_hh": "rnn.w"}}}, "there is no weight"),
    ],
)
def test_what_does_not_fit_is_a_mistake_of_the_study(entry: dict[str, Any], said: str) -> None:
    torch.save(state(0), "net.pt")
    torch.save(state(0, hidden=4), "small.pt")
    torch.save({**state(0), "rnn.weight_ih_l0": torch.ones(15, 3)}, "wide.pt")
    torch.save({"W": Sleeper()}, "pickled.pt")
    with pytest.raises(StudyError, match=said) as told:
        planned({"use": "gru", **entry})
    assert re.search(r"architectures\[0\].*checkpoint", str(told.value))
    assert not Path("called").exists()


def test_only_architectures_are_read_from_files() -> None:
    with pytest.raises(StudyError, match="`checkpoint` belongs to architectures"):
        planned("gru", tasks=[{**TASK, "checkpoint": "net.pt"}])
