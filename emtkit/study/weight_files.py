"""`checkpoint:` of an architecture in a study: files that hold networks trained elsewhere."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from emtkit.errors import EmtkitError, did_you_mean
from emtkit.methods.settings import Settings
from emtkit.study.cells import GivenWeights
from emtkit.study.checked import Given

if TYPE_CHECKING:
    from emtkit.plugin.architecture import SequenceModel


class WeightFiles(Settings):
    """Networks that were trained elsewhere: state dicts in `.pt`, `.safetensors` or `.npz`."""

    files: Annotated[tuple[str, ...], Field(min_length=1)]
    """Paths relative to the study's folder: the first belongs to the first seed, and so on."""
    map: dict[str, str] | None = None
    """For each weight of the architecture, those elsewhere: `{W_hh: rnn.weight_hh_l0}`."""
    drop: tuple[str, ...] = ()
    """Weights that are left out knowingly."""


def read_weight_files(given: Given) -> WeightFiles | None:
    """`checkpoint:` as a path, a list of paths, or a mapping."""
    value = [given.value] if isinstance(given.value, str) else given.value
    value = {"files": value} if isinstance(value, list) else value
    return Given(value, given.path, given.problems).read_as(WeightFiles)


def read_given(
    cls: "type[SequenceModel]", asked: WeightFiles, folder: Path
) -> tuple[tuple[GivenWeights, ...], Mapping[str, Any]]:
    """The networks of an entry, and the parameters of `cls` that their weights tell.

    Raises:
        EmtkitError: a file is missing or holds more than weights, weights have no place in `cls`,
            or the files tell of networks of several sizes.
    """
    from safetensors.torch import save

    from emtkit.study.recognised import check_leftovers, recognised
    from emtkit.study.weights import load_weights

    found: list[GivenWeights] = []
    told: Mapping[str, Any] = {}
    for name in asked.files:
        path = folder / name
        weights = load_weights(path)
        for dropped in asked.drop:
            if dropped not in weights:
                raise EmtkitError(f"{path} has no '{dropped}'; {did_you_mean(dropped, weights)}")
            del weights[dropped]
        try:
            one = recognised(cls, weights, asked.map)
            check_leftovers(cls, weights, one)
        except EmtkitError as error:
            raise EmtkitError(f"{path}: {error}") from error
        if found and one.parameters != told:
            raise EmtkitError(
                f"{path} holds {cls.name} with {dict(one.parameters)}, and {found[0].file} one "
                f"with {dict(told)}; the files of one entry are networks of one size: "
                "write two entries"
            )
        told = one.parameters
        data = save({key: one.weights[key].clone().contiguous() for key in sorted(one.weights)})
        found.append(GivenWeights(str(path), hashlib.sha256(data).hexdigest()[:32], data))
    return tuple(found), told
