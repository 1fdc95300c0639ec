"""Say the values that belong to keys, many of them asked for in one sequence."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from emtkit import Batch, Channels, EmtkitError, ScalarInfo, Scalars, Stream, Task, hookimpl


class AssociativeRecall(Task):
    """Hear P pairs of a key and a value, then answer Q of the keys with their values.

    Keys are one-hot among K, no key twice; values are d signs. u_t = (key_t, value_t) for
    t < P; then Q of these keys in a random order, none twice, with value 0:

        y_t = the value of the key of u_t,   scored for t >= P.

    Inputs B T (K + d), targets B T d, T = P + Q. Loss per step: the mean square of e_i
    over d; the answer 0 has loss 1.

    Chance: half of the signs. A state of fixed size must hold P d signs and where they
    belong; attention looks the key up.

    References: Arora et al. 2024, Zoology (arXiv:2312.04927), multi-query associative
    recall, with tokens and an order of queries by a power law; here signs and a uniform one.
    """

    name = "associative_recall"
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
    ) -> None:
        if not queries <= pairs <= keys:
            raise EmtkitError(
                f"associative_recall: {queries} queries of {pairs} pairs among {keys} keys; there "
                "are at most as many queries as pairs, and as many pairs as keys"
            )
        self.pairs, self.queries, self.keys, self.dimension = pairs, queries, keys, dimension

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
        silence = values.new_zeros(batch, self.queries, self.dimension)
        inputs = torch.cat([keys, torch.cat([values, silence], 1)], -1)
        steps = self.pairs + self.queries
        mask = (torch.arange(steps, device=number.device) >= self.pairs).to(values)
        return Batch(inputs, self._answers(inputs), mask, steps)

    def targets(self, inputs: Tensor) -> Tensor:
        """The sum of the values that came with the key of each query; 0 before them."""
        return self._answers(inputs)

    def _answers(self, inputs: Tensor) -> Tensor:
        keys, values = inputs.split([self.keys, self.dimension], -1)
        first = self.pairs
        asked = keys[:, first:] @ keys[:, :first].mT @ values[:, :first]
        return torch.cat([torch.zeros_like(values[:, :first]), asked], 1)

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
