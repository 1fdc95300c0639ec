"""Tables as an element of a page."""

from emtkit.report.tables.drawn import DrawnTable, to_html
from emtkit.report.tables.format import Format


class Html(Format):
    """A table element with its notes; every number carries its account."""

    def text(self, table: DrawnTable) -> str:
        """The table as text."""
        return to_html(table)
