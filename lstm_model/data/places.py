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
        python: how pandas reads the table, or empty where it is not one file.
    """

    name: str
    locate: Callable[[Any], str]
    python: str = ""

    def row(self, label: Any) -> str:
        """A row within a message that has named the file: `line 12`."""
        where = self.locate(label)
        number = where.removeprefix(f"{self.name}:")
        return where if number == where else f"line {number}"

    @property
    def prefix(self) -> str:
        """Before a message on a whole column."""
        return f"{self.name}: " if self.name else ""


IN_MEMORY = Places("", lambda label: f"at {label}")
