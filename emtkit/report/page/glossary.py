"""What the columns mean that a study shows, by their names."""

from collections.abc import Iterable, Iterator

from emtkit.study.plan import Plan
from emtkit.study.quantity import Quantity


def glossary(plan: Plan) -> dict[str, str]:
    """The meaning of every scalar behind the tables, figures and claims, as its plugin says it."""
    return meanings(plan, sorted(set(_shown(plan))))


def meanings(plan: Plan, columns: Iterable[str]) -> dict[str, str]:
    """The meaning of those columns that are declared."""
    found = {column: plan.scalars.info(column) for column in columns}
    return {column: str(info) for column, info in found.items() if info is not None}


def _shown(plan: Plan) -> Iterator[str]:
    study = plan.study
    for table in study.tables.values():
        for value in table.shown:
            yield from _behind(value)
    for figure in study.figures.values():
        yield from filter(None, (figure.x, *figure.y, figure.value, figure.cells.by))
    for claim in study.claims.values():
        for side in filter(None, (claim.expect, claim.expect.other)):
            yield from _behind(side)
        yield from claim.given


def _behind(quantity: Quantity) -> Iterator[str]:
    yield from filter(None, (quantity.column, quantity.by))
    yield from quantity.where
