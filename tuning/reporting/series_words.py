"""What is said of a table of several series: which it has, and which are left out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median_low
from typing import TYPE_CHECKING

from lstm_model.data.series_index import SeriesIndex
from tuning.wording import group_left_out, list_names

if TYPE_CHECKING:
    from lstm_model.data.encoded_table import LeftOut
    from tuning.study.view import StudyView

# What a search minimises of several series, the mean of theirs: 1 - skill.
RELATIVE_RMSE = "RMSE / persistence's"
# Up to so many series a table has a row for each; of more the best and the worst ones.
MOST_ROWS, FROM_EACH_END = 30, 10


def has_several(study: "StudyView") -> bool:
    """Whether the study learns from several series: then trials are ranked by their skill."""
    return len(study.table.index) > 1


def describe_series(index: SeriesIndex) -> str:
    """
    >>> describe_series(SeriesIndex(("a", "b", "c"), (0, 10, 1510, 1530)))
    '3, of 10 rows at least, 20 in the median and 1,500 at most'
    """
    rows = [part.stop - part.start for _, part in index]
    if min(rows) == max(rows):
        return f"{len(rows):,}, of {rows[0]:,} rows each"
    return (
        f"{len(rows):,}, of {min(rows):,} rows at least, {median_low(rows):,} in the median and "
        f"{max(rows):,} at most"
    )


def describe_left_out(left_out: "Iterable[LeftOut]") -> list[str]:
    """A clause for each split and reason, with the names of the first series."""
    return [
        f"{list_names(names)} ({split}): {reason}"
        for (split, reason), names in group_left_out(left_out).items()
    ]


def rank_series(skill: Mapping[str, float]) -> list[str]:
    """The series that have a skill, the best first."""
    return sorted((name for name in skill if skill[name] == skill[name]), key=lambda n: -skill[n])


def rows_by_rank(ranked: Sequence[str]) -> Iterator[tuple[int, str] | None]:
    """The rank from 1 and the name of each series that a table shows; None where it skips some."""
    count = len(ranked)
    skipped = range(FROM_EACH_END, count - FROM_EACH_END if count > MOST_ROWS else 0)
    for at, name in enumerate(ranked):
        if at not in skipped:
            yield at + 1, name
        elif at == skipped[0]:
            yield None
