"""Networks of torch's own layers become emtkit's, output for output; the rest is told in words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import emtkit
from emtkit import Channels, EmtkitError, Registry
from emtkit.execute.foreign import analyze
from emtkit.study.weights import load_weights
from emtkit_std.tasks.hds import HistoryDependentSystem
from tests.rounding import assert_rounded, rounding

TASK = {"use": "hds", "rule": "repeat", "history": 3, "dimension": 2, "horizon": 6}
LAYERS = {"elman": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class Uneven(HistoryDependentSystem):
    """Three outputs of two inputs, so that no two weights have one shape; only ever built."""

    name = "uneven_fake"

    def __init__(self) -> None:
        super().__init__(rule="repeat", history=3, dimension=2, horizon=6)

    @property
    def channels(self) -> Channels:
        return Channels(2, 3)


class Network(nn.Module):
    """A layer of torch's with a linear readout, as people write it."""

    def __init__(
        self, layer: type[nn.Module], hidden: int = 7, shift: bool = False, **options: object
    ) -> None:
        super().__init__()
        self.rnn = layer(2, hidden, batch_first=True, **options)
        self.out = nn.Linear(hidden, 2, bias=shift)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.out(self.rnn(inputs)[0])


@pytest.fixture(scope="module")
def installed() -> Registry:
    return Registry.installed()


def seeded(name: str, **options: object) -> Network:
    torch.manual_seed(3)
    return Network(LAYERS[name], **options).double()


# Sums of 7 states, 2 inputs and 2 biases at each of 6 steps, by what enters a unit at most: a
# weight is below 7^-1/2, a state below 1 and an input below 4.
ROUNDED = {"size": 6 * 11, "condition": (7 + 2 * 4 + 2) / 7**0.5}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shift", [True, False])
def test_torch_layers_are_recognised_output_for_output(
    name: str, bias: bool, shift: bool, installed: Registry
) -> None:
    network = seeded(name, bias=bias, shift=shift)
    found = analyze(network, task=TASK, analyses=[], registry=installed)
    assert found.model.name == name
    assert ("b_r" in found.model.state_dict()) == shift
    inputs = torch.randn(4, 6, 2, dtype=torch.float64)
    ours = found.model.trace(inputs, 6).outputs
    assert_rounded(ours, network(inputs), **ROUNDED)


def test_the_nonlinearity_of_a_module_is_kept(installed: Registry) -> None:
    network = seeded("elman", nonlinearity="relu")
    found = analyze(network, task=TASK, analyses=[], registry=installed)
    inputs = torch.randn(4, 6, 2, dtype=torch.float64)
    ours = found.model.trace(inputs, 6).outputs
    assert_rounded(ours, network(inputs), **ROUNDED)


def test_findings_and_refusals(installed: Registry) -> None:
    matrix, local = ({"use": "spectrum", "of": of, "label": of} for of in ("recurrent", "jacobian"))
    asked = [matrix, local, "feature_geometry"]
    found = emtkit.analyze(seeded("gru"), task=TASK, analyses=asked, registry=installed)
    assert set(found.findings) == {"jacobian"}
    assert 0 < found.findings["jacobian"].scalars["radius"] < 2
    assert "no single recurrent matrix" in found.refused["recurrent"]
    assert "PulseCircuit" in found.refused["feature_geometry"]


def test_files_and_maps(tmp_path: Path, installed: Registry) -> None:
    network = seeded("elman")
    state = {name: value.detach() for name, value in network.state_dict().items()}
    save_file(state, tmp_path / "net.safetensors")
    torch.save(state, tmp_path / "net.pt")
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "checkpoint.pt")
    values, vectors = torch.linalg.eig(state["rnn.weight_hh_l0"])
    radius, limit = float(values.abs().max()), rounding(7, float(torch.linalg.cond(vectors)))
    names = {
        "W_hh": "rnn.weight_hh_l0",
        "W_uh": "rnn.weight_ih_l0",
        "b": "rnn.bias_ih_l0 + rnn.bias_hh_l0",
        "W_r": "out.weight",
    }
    for file in ("net.safetensors", "net.pt", "checkpoint.pt"):
        for given in (None, names):
            found = analyze(
                tmp_path / file,
                as_="elman",
                map=given,
                task=TASK,
                analyses=["spectrum"],
                registry=installed,
            )
            assert found.findings["spectrum"].scalars["radius"] == pytest.approx(radius, abs=limit)


def test_transposed_weights(installed: Registry) -> None:
    torch.manual_seed(0)
    state = {"V": torch.randn(2, 5), "U": torch.randn(5, 5), "out": torch.randn(5, 2)}
    names = {"W_uh": "V.T", "W_hh": "U.T", "W_r": "out.T"}
    found = analyze(state, as_="elman", map=names, task=TASK, analyses=[], registry=installed)
    assert torch.equal(found.model.get_parameter("W_hh"), state["U"].T)


@pytest.mark.parametrize(
    ("changes", "options", "said"),
    [
        ({}, {"map": {"W_hh": "rnn.weight_hh"}}, "did you mean 'rnn.weight_hh_l0'"),
        ({}, {"map": {"W_hh": "rnn.weight_hh_l0"}}, "no place for rnn.weight_ih_l0"),
        (
            {},
            {
                "map": {
                    "W_hh": "rnn.weight_hh_l0",
                    "W_uh": "rnn.weight_ih_l0",
                    "W_r": "out.weight.T",
                    "b": "rnn.bias_ih_l0 + rnn.bias_hh_l0",
                }
            },
            r"W_r is \(7, 2\), needed \(2, 7\)",
        ),
        (
            {"more": torch.ones(3), "rest": torch.ones(1)},
            {},
            "no place for more, rest.*`--drop more --drop rest`",
        ),
        ({"out.bias": torch.ones(3)}, {}, r"b_r is \(3,\), needed \(2,\)"),
        ({"out.bias": torch.ones(2)}, {"drop": ["outbias"]}, "did you mean 'out.bias'"),
        ({"more.weight": torch.ones(2, 7)}, {}, "2 weights could be the readout"),
        ({"rnn.weight_hh_l1": torch.ones(7, 7)}, {}, "second layer .*num_layers=1"),
        ({"rnn.weight_hh_l0_reverse": torch.ones(7, 7)}, {}, "second direction .*bidirectional="),
        ({}, {"as_": "elmann"}, "did you mean 'elman'"),
        ({}, {"as_": "emt_circuit"}, "no place|not those of emt_circuit"),
        ({}, {"as_": {"use": "elman", "hiden": 3}}, "did you mean 'hidden'"),
        ({}, {"task": {"use": "k_delay", "features": 3}}, r"W_uh is \(7, 2\), needed \(7, 3\)"),
        ({}, {"analyses": ["spectrumm"]}, "did you mean 'spectrum'"),
    ],
)
def test_what_does_not_fit_is_told(
    changes: dict[str, Tensor], options: dict[str, object], said: str, installed: Registry
) -> None:
    state = {**seeded("elman").state_dict(), **changes}
    asked = {"task": TASK, "as_": "elman", "analyses": [], "registry": installed, **options}
    with pytest.raises(EmtkitError, match=said):
        analyze(state, **asked)


def test_a_readout_bias_can_be_dropped_knowingly(installed: Registry) -> None:
    state = {**seeded("elman").state_dict(), "out.bias": torch.ones(2)}
    found = analyze(state, task=TASK, analyses=[], drop=["out.bias"], registry=installed)
    assert found.model.name == "elman"
    assert "b_r" not in found.model.state_dict()


def test_unknown_weights_ask_what_they_are(installed: Registry) -> None:
    asked = r"recognised by: none. Say it with `as` .*`map` \(--map\)$"
    with pytest.raises(EmtkitError, match=asked):
        analyze({"A": torch.ones(3, 3)}, task=TASK, analyses=[], registry=installed)


@pytest.mark.parametrize("shift", [True, False])
@pytest.mark.parametrize("turned", [True, False])
def test_every_suggestion_works_as_it_is(shift: bool, turned: bool, installed: Registry) -> None:
    """Of names that nobody knows: each option that the error offers leads to a network."""
    torch.manual_seed(0)
    held = {"U": torch.randn(5, 5), "V": torch.randn(5, 2), "out": torch.randn(3, 5)}
    state = {name: value.T if turned else value for name, value in held.items()}
    state |= {"c": torch.randn(3)} if shift else {}
    task = {"use": "uneven_fake"}
    known = Registry.of(Uneven, *installed.architectures.values())
    with pytest.raises(EmtkitError, match="by their shapes") as told:
        analyze(state, task=task, analyses=[], registry=known)
    options = re.findall(r"`--as (\w+) --map ([^`]+)`", str(told.value))
    assert "elman" in {name for name, _ in options}
    for name, pairs in options:
        names = dict(pair.split("=") for pair in pairs.split(","))
        found = analyze(state, as_=name, map=names, task=task, analyses=[], registry=known)
        assert torch.equal(found.model.get_parameter("W_r"), held["out"])
        assert ("b_r" in found.model.state_dict()) == shift


@pytest.mark.parametrize("name", LAYERS)
def test_of_two_readouts_one_is_dropped_as_suggested(name: str, installed: Registry) -> None:
    state = {**seeded(name).state_dict(), "aux.weight": torch.ones(2, 7)}
    with pytest.raises(EmtkitError, match="2 weights could be the readout") as told:
        analyze(state, task=TASK, analyses=[], registry=installed)
    (dropped,) = re.findall(r"`--drop (\S+)`", str(told.value))
    found = analyze(state, drop=[dropped], task=TASK, analyses=[], registry=installed)
    assert torch.equal(found.model.get_parameter("W_r"), state["out.weight"])


def test_a_linear_network_says_its_bias_by_the_weights(installed: Registry) -> None:
    """`bias` of `linear_rnn` is that of the outputs."""
    state = {"A": torch.eye(3), "B": torch.ones(3, 2), "C": torch.ones(2, 3), "d": torch.ones(2)}
    names = {"W_hh": "A", "W_uh": "B", "W_r": "C", "b_r": "d"}
    found = analyze(state, as_="linear_rnn", map=names, task=TASK, analyses=[], registry=installed)
    assert torch.equal(found.model.get_parameter("b_r"), torch.ones(2))


class Sleeper:
    """Pickles as a call; must never be called by reading a file."""

    def __reduce__(self):
        return (Path("called").touch, ())


def test_no_file_runs_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"W": Sleeper()}, tmp_path / "bad.pt")
    (tmp_path / "bad.safetensors").write_bytes(b"no tensors here")
    torch.save([1, 2], tmp_path / "list.pt")
    (tmp_path / "text.pt").write_text("hello")
    for name, said in (
        ("bad.pt", "cannot be read as weights alone"),
        ("bad.safetensors", "is not a safetensors file"),
        ("list.pt", "holds no state dict"),
        ("text.pt", "cannot be read as weights alone"),
        ("absent.pt", "there is no such file"),
    ):
        with pytest.raises(EmtkitError, match=said):
            load_weights(tmp_path / name)
    assert not (tmp_path / "called").exists()
