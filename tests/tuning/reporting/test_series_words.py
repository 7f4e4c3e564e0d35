"""What is said of a table's series."""

import numpy as np
import pytest

from lstm_model.data.encoded_table import LeftOut
from lstm_model.data.series_index import SeriesIndex
from tuning.reporting.series_words import (
    describe_left_out,
    describe_series,
    rank_series,
    rows_by_rank,
)
from tuning.wording import list_names


def test_series_are_counted_with_their_rows() -> None:
    index = SeriesIndex(("a", "b", "c"), (0, 10, 1510, 1530))
    assert describe_series(index) == "3, of 10 rows at least, 20 in the median and 1,500 at most"


def test_what_is_left_out_is_told_by_split_and_reason() -> None:
    constant = [LeftOut(f"s{n}", "training", "it never changes") for n in range(5)]
    unseen = [LeftOut(name, "validation", "none is observed") for name in ("s9", "s1")]
    assert describe_left_out([constant[0], *unseen, *constant[1:]]) == [
        "s0, s1, s2 and 2 more (training): it never changes",
        "s9 and s1 (validation): none is observed",
    ]
    assert describe_left_out([]) == []


@pytest.mark.parametrize(
    ("names", "text"),
    [("a", "a"), ("ab", "a and b"), ("abc", "a, b and c"), ("abcd", "a, b, c and 1 more")],
)
def test_names_are_listed_in_short(names: str, text: str) -> None:
    assert list_names(list(names)) == text


def test_series_without_skill_have_no_rank() -> None:
    assert rank_series({"a": 0.1, "b": np.nan, "c": 0.3, "d": -1.0}) == ["c", "a", "d"]


@pytest.mark.parametrize(("count", "shown"), [(3, 3), (30, 30), (31, 21), (300, 21)])
def test_of_many_the_first_and_the_last_are_shown(count: int, shown: int) -> None:
    ranked = [f"s{n}" for n in range(count)]
    rows = list(rows_by_rank(ranked))
    assert len(rows) == shown
    assert rows[0] == (1, "s0")
    assert rows[-1] == (count, ranked[-1])
    assert rows.count(None) == (shown < count)
    if shown < count:
        assert rows[9:12] == [(10, "s9"), None, (count - 9, f"s{count - 10}")]
