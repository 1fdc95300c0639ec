"""What the scalars of tasks and analyses mean: declared once, for plans, reports and help."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ScalarInfo:
    """What one scalar means; it becomes a column of the results.

    `meaning` in one line, `unit` in a word (`radians`), `better` where one of two values is better
    whatever the study, `undefined` when it is NaN.
    """

    meaning: str
    unit: str = ""
    better: Literal["", "lower", "higher"] = ""
    undefined: str = ""

    def __str__(self) -> str:
        unit = f", in {self.unit}" if self.unit else ""
        better = f"; {self.better} is better" if self.better else ""
        undefined = f"; undefined {self.undefined}" if self.undefined else ""
        return f"{self.meaning}{unit}{better}{undefined}"


Scalars = Mapping[str, ScalarInfo]
"""By name. `{...}` in a name stands for any text: `phi_error_{method}` declares a family."""


def info_of(declared: Scalars, name: str) -> ScalarInfo | None:
    """What `name` was declared to mean, by itself or in a family."""
    if name in declared:
        return declared[name]
    families = (one for one in declared if "{" in one and re.fullmatch(_pattern(one), name))
    return next((declared[one] for one in families), None)


def _pattern(family: str) -> str:
    return ".+".join(map(re.escape, re.split(r"\{[^{}]*\}", family)))
