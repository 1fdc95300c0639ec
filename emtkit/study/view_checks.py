"""Whether the columns of tables, figures and claims exist, and no two networks are mixed."""

from collections.abc import Iterable

from emtkit.study.axes import Condition
from emtkit.study.checked import Problems
from emtkit.study.file import Study
from emtkit.study.pair_checker import PairChecker
from emtkit.study.resolve import Setting
from emtkit.study.scalars import ScalarColumns
from emtkit.study.view_checker import Checker
from emtkit.study.views import Claim, Figure, Table, speaks_of_pairs


def check_views(
    study: Study,
    groups: tuple[Condition, ...],
    scalars: ScalarColumns,
    analyses: Iterable[Setting],
    problems: Problems,
    *,
    complete: bool,
) -> None:
    """Note every column that does not exist, and every varying axis that a view leaves out.

    `groups` are the conditions of the rows. With `complete` False some entries are missing from
    them, because they are wrong; what can then not be decided is left alone.
    """
    given = study, groups, scalars, analyses, problems, complete
    checker, of_pairs = Checker(*given), PairChecker(*given)
    checker.labels(study)
    checker.tunings(study)
    compared = [entry.label for entry in study.comparisons]

    def of(view: Table | Figure | Claim) -> Checker:
        return of_pairs if speaks_of_pairs(view, compared) else checker

    for path, table in study.tables.items():
        of(table).table(path, table)
    for path, figure in study.figures.items():
        of(figure).figure(path, figure)
    for path, claim in study.claims.items():
        of(claim).claim(path, claim)
