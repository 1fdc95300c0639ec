"""Say the values that belong to keys, many of them asked for in one sequence."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from emtkit import (
    Batch,
    Channels,
    EmtkitError,
    Fact,
    ScalarInfo,
    Scalars,
    Since,
    Stream,
    Task,
    hookimpl,
)
from emtkit_std._theory.facts import PairsLaw


class AssociativeRecall(Task):
    """Hear P pairs of a key and a value, then answer Q of the keys with their values.

    Keys are one-hot among K, no key twice; values are d signs. u_t = (key_t, value_t) for
    t < P; then Q of these keys in a random order, none twice, with value 0:

        y_t = the value of the key of u_t,   scored for t >= P.

    With `apart` a key comes a step before its value, u_2p = (key_p, 0), u_2p+1 = (0, value_p): to
    belong together is then to follow, and queries begin at step 2 P in the place of P.

    Inputs B T (K + d), targets B T d, T = P + Q, or 2 P + Q. Loss per step: the mean square of
    e_i over d; the answer 0 has loss 1.

    Chance: half of the signs. A state of fixed size must hold P d signs and where they
    belong; attention looks the key up.

    References: Arora et al. 2024, Zoology (arXiv:2312.04927), multi-query associative
    recall, with tokens and an order of queries by a power law; here signs and a uniform one.
    """

    name = "associative_recall"
    offers = (PairsLaw,)
    draws_anywhere = True
    scalars: ClassVar[Scalars] = {
        "accuracy": ScalarInfo("share of right signs of the queries", better="higher"),
    }

    def __init__(
        self,
        *,
        pairs: Annotated[int, Field(ge=1, description="Number of pairs P.")] = 4,
        queries: Annotated[int, Field(ge=1, description="Number of queries Q, at most P.")] = 4,
        keys: Annotated[int, Field(ge=1, description="Number of keys K there are.")] = 8,
        dimension: Annotated[int, Field(ge=1, description="Signs d of a value.")] = 2,
        apart: Annotated[
            bool, Since.LATER, Field(description="Whether a value comes a step after its key.")
        ] = False,
    ) -> None:
        if not queries <= pairs <= keys:
            raise EmtkitError(
                f"associative_recall: {queries} queries of {pairs} pairs among {keys} keys; there "
                "are at most as many queries as pairs, and as many pairs as keys"
            )
        self.pairs, self.queries, self.keys, self.dimension = pairs, queries, keys, dimension
        self.apart, self.heard = apart, 2 * pairs if apart else pairs

    @property
    def channels(self) -> Channels:
        """A key and the signs of a value; the signs of a value."""
        return Channels(inputs=self.keys + self.dimension, outputs=self.dimension)

    @property
    def chance(self) -> float:
        """The loss of the answer 0."""
        return 1.0

    def sample(self, batch: int, stream: Stream, horizon: int | None = None) -> Batch:
        """Pairs, then queries."""
        values = stream.signs((batch, self.pairs, self.dimension))
        heard = stream.uniform((batch, self.keys)).argsort(1)[:, : self.pairs]
        order = stream.uniform((batch, self.pairs)).argsort(1)[:, : self.queries]
        number = torch.cat([heard, heard.gather(1, order)], 1)
        keys = (number[..., None] == torch.arange(self.keys, device=number.device)).to(values)
        steps, first = self.heard + self.queries, self.heard
        inputs = values.new_zeros(batch, steps, self.keys + self.dimension)
        inputs[:, first:, : self.keys] = keys[:, self.pairs :]
        inputs[:, self._keyed, : self.keys] = keys[:, : self.pairs]
        inputs[:, self._valued, self.keys :] = values
        mask = (torch.arange(steps, device=number.device) >= first).to(values)
        return Batch(inputs, self._answers(inputs), mask, steps)

    def targets(self, inputs: Tensor) -> Tensor:
        """The sum of the values that came with the key of each query; 0 before them."""
        return self._answers(inputs)

    def facts(self, kind: type[Fact]) -> Fact:
        """The law of its pairs."""
        if kind is not PairsLaw:
            return super().facts(kind)
        return PairsLaw(self.pairs, self.queries, self.keys, self.dimension, self.apart)

    @property
    def _keyed(self) -> slice:
        """The steps of keys that are heard."""
        return slice(0, self.heard, 2 if self.apart else 1)

    @property
    def _valued(self) -> slice:
        """Those of their values."""
        return slice(1, self.heard, 2) if self.apart else self._keyed

    def _answers(self, inputs: Tensor) -> Tensor:
        keys, values = inputs.split([self.keys, self.dimension], -1)
        asked = keys[:, self.heard :] @ keys[:, self._keyed].mT @ values[:, self._valued]
        return torch.cat([torch.zeros_like(values[:, : self.heard]), asked], 1)

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Mean squared error over the signs of a value (B T)."""
        return torch.square(outputs - batch.targets).mean(-1)

    def squares(self) -> tuple[float, ...]:
        """1 / d per output."""
        return (1.0 / self.dimension,) * self.dimension

    def metrics(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """`accuracy` by the signs of the outputs."""
        right = ((outputs >= 0) == (batch.targets > 0)).to(outputs).mean((0, 2))
        return {"accuracy": (right * batch.mask).sum() / batch.mask.sum()}


@hookimpl
def emtkit_tasks() -> list[type[Task]]:
    """The task of this module."""
    return [AssociativeRecall]
