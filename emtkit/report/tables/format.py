"""What a format of tables is: a way to write a drawn table as text."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from emtkit.methods.folder import Methods

if TYPE_CHECKING:
    from emtkit.report.tables.drawn import DrawnTable

FORMATS = Methods("emtkit.report.tables.formats", "format")


class Format(ABC):
    """A report keeps a file of each table with this `suffix`; without one it keeps none."""

    suffix: ClassVar[str] = ""

    @abstractmethod
    def text(self, table: DrawnTable) -> str:
        """The table, its last line ended."""
