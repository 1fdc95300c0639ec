"""Networks of torch's own layers become emtkit's, output for output; the rest is told in words."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import emtkit
from emtkit import EmtkitError, Registry
from emtkit.execute.foreign import analyze, load_weights
from tests.rounding import assert_rounded, rounding

TASK = {"use": "hds", "rule": "repeat", "history": 3, "dimension": 2, "horizon": 6}
LAYERS = {"elman": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class Network(nn.Module):
    """A layer of torch's with a linear readout, as people write it."""

    def __init__(self, layer: type[nn.Module], hidden: int = 7, **options: object) -> None:
        super().__init__()
        self.rnn = layer(2, hidden, batch_first=True, **options)
        self.out = nn.Linear(hidden, 2, bias=False)

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
def test_torch_layers_are_recognised_output_for_output(
    name: str, bias: bool, installed: Registry
) -> None:
    network = seeded(name, bias=bias)
    found = analyze(network, task=TASK, analyses=[], registry=installed)
    assert found.model.name == name
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
    asked = ["spectrum", {"use": "spectrum", "of": "jacobian", "label": "local"}, "conjugacy"]
    found = emtkit.analyze(seeded("gru"), task=TASK, analyses=asked, registry=installed)
    assert set(found.findings) == {"local"}
    assert 0 < found.findings["local"].scalars["radius"] < 2
    assert "no single recurrent matrix" in found.refused["spectrum"]
    assert "PulseCircuit" in found.refused["conjugacy"]


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
        ({"out.bias": torch.ones(2)}, {}, "no place for out.bias"),
        ({"out.bias": torch.ones(2)}, {"drop": ["outbias"]}, "did you mean 'out.bias'"),
        ({"more.weight": torch.ones(2, 7)}, {}, "2 weights could be the readout"),
        ({"rnn.weight_hh_l1": torch.ones(7, 7)}, {}, "more than one layer"),
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


def test_unknown_weights_ask_what_they_are(installed: Registry) -> None:
    with pytest.raises(EmtkitError, match=r"recognised by: none. Say it with `as`"):
        analyze({"A": torch.ones(3, 3)}, task=TASK, analyses=[], registry=installed)


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
