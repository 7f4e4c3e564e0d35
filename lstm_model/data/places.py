"""Where the cells of a table stand, as messages say it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Places:
    """What messages call a table and its rows.

    Attributes:
        name: the file's, or empty where the table is a DataFrame.
        locate: a row's label, such as `load.csv:12`, from its label in the table's index.
        bare: the same without the series that the row is of, where `locate` names it.
    """

    name: str
    locate: Callable[[Any], str]
    bare: Callable[[Any], str] | None = None

    def row(self, label: Any) -> str:
        """A row within a message that has named the file: `line 12`."""
        where = (self.bare or self.locate)(label)
        number = where.removeprefix(f"{self.name}:")
        return where if number == where else f"line {number}"

    @property
    def prefix(self) -> str:
        """Before a message on a whole column."""
        return f"{self.name}: " if self.name else ""
