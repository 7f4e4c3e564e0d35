"""Which rows of a table are of which series: those of one stand together, in the order of time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from lstm_model.arrays import IntArray

ONE_SERIES = ""  # the name of a table's only series, where no column names it


@dataclass(frozen=True)
class SeriesIndex:
    """The series of a table with R rows, one after the other.

    Attributes:
        names: of the N series, each once, in the order of their rows.
        bounds: (N + 1,) where each one's rows begin; the last one is R.
    """

    names: tuple[str, ...]
    bounds: tuple[int, ...]

    @classmethod
    def of_one(cls, rows: int) -> "SeriesIndex":
        """Of a table that is one series."""
        return cls((ONE_SERIES,), (0, rows))

    @classmethod
    def of_lengths(cls, names: Iterable[str], lengths: Iterable[int]) -> "SeriesIndex":
        """Of series with so many rows each."""
        return cls(tuple(names), tuple(np.cumsum([0, *lengths]).tolist()))

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[tuple[str, slice]]:
        """Each series' name and rows."""
        for name, start, stop in zip(self.names, self.bounds, self.bounds[1:], strict=False):
            yield name, slice(start, stop)

    @property
    def numbers(self) -> IntArray:
        """(R,) the number of each row's series."""
        return np.repeat(np.arange(len(self)), np.diff(self.bounds))
