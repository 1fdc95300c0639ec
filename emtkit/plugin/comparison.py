"""What a comparison is: it looks at two networks on one task and says how far apart they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Generic, Literal, TypeVar, final

from emtkit.plugin.analysis import Findings, Subject
from emtkit.plugin.architecture import SequenceModel
from emtkit.plugin.inherited import forget_inherited
from emtkit.plugin.scalars import Scalars

Observed = TypeVar("Observed")

Change = Literal["order", "signs", "rotation", "scale", "linear"]
"""Other coordinates of the state, h -> A h: A permutes the units, flips signs, is orthogonal, a
positive number, or any invertible matrix. What the network answers is the same."""


class Comparison(ABC, Generic[Observed]):
    """One way to compare two networks; an instance is one setting of its parameters.

        measure(a, b) = compare(observe(a), observe(b))

    `observe` is called once for each network, however many it is compared with. Both are on one
    task, and their streams give both the same draws.

    `models` is SequenceModel (any network) or RecurrentModel (those with a state map); `requires`
    are types of facts, of both. `scalars` says what each scalar of its findings means.
    `symmetric`: exchanging the two changes no scalar. `identity` has the scalars of a network
    compared with itself, and `unchanged_by` the coordinates that do not matter: of either network
    alone, not of both together. `emtkit check` holds all three.

    A subclass that writes `compare` anew does not inherit `scalars`, `identity`, nor `symmetric`.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    models: ClassVar[type[SequenceModel]] = SequenceModel
    requires: ClassVar[tuple[type, ...]] = ()
    scalars: ClassVar[Scalars] = {}
    symmetric: ClassVar[bool] = True
    identity: ClassVar[Mapping[str, float]] = {}
    unchanged_by: ClassVar[tuple[Change, ...]] = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        told = ("scalars", "symmetric", "identity")
        forget_inherited(cls, Comparison, {(name,): ("compare",) for name in told})

    @abstractmethod
    def observe(self, subject: Subject) -> Observed:
        """What is compared of one network.

        Raises:
            NotApplicable: there is nothing to see in it; the reason is stored.
        """

    @abstractmethod
    def compare(self, first: Observed, second: Observed) -> Findings:
        """Compare what was seen of two networks; neither is changed.

        Raises:
            NotApplicable: these two cannot be compared; the reason is stored.
        """

    @final
    def measure(self, first: Subject, second: Subject) -> Findings:
        """Compare two networks.

        Raises:
            NotApplicable: the comparison does not apply to them.
        """
        return self.compare(self.observe(first), self.observe(second))
