"""What a table's values suggest that its columns do not say: numbers for missing, empty cells."""

import re
from typing import Any

import numpy as np
import pandas as pd

from lstm_model.metrics import Doubles
from lstm_model.wording import exact, yaml_text

DAY = pd.Timedelta(days=1)
# A number that stands for missing is there this often or more.
LEAST_REPEATS = 3
# A column with no more different numbers may hold codes, of which each stands apart.
MOST_CODES = 12
# -999, 9999, 99.9: of these a smaller distance from all others is enough.
NINES = re.compile(r"-?9+(\.9+)?")
NEAR, FAR = 0.2, 1.0
# Of nothing but empty cells: more rows than this, or a day, repeat the last value.
MOST_REPEATED = 24
# What comes at such a share of equal intervals, as a survey does, holds until the next one.
MOSTLY_REGULAR = 0.9


def stand_ins(values: Doubles) -> dict[float, int]:
    """Numbers that may stand for missing, and how often: far outside the rest, and repeated.

    A number is far outside where its distance from the nearest other one is longer than the span
    that holds 98% of the rest; a fifth of it where it is all nines. A single negative number is,
    where it is five times as far below zero as the others are apart.

    Args:
        values: (T,) NaN where missing.
    """
    levels, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    suspects: dict[float, int] = {}
    while len(levels) > MOST_CODES:
        for end in (0, -1):
            rest = np.delete(levels, end)
            if counts[end] >= LEAST_REPEATS and _apart(levels[end], rest, np.delete(counts, end)):
                suspects[float(levels[end])] = int(counts[end])
                levels, counts = rest, np.delete(counts, end)
                break
        else:
            break
    return suspects


def _apart(number: float, rest: Doubles, counts: "np.ndarray[Any, Any]") -> bool:
    """Whether a number lies far outside the others, of which each is there so often."""
    gap = float(np.abs(rest - number).min())
    shares = np.cumsum(counts) / counts.sum()
    low, high = rest[np.searchsorted(shares, [0.01, 0.99])]
    if gap > (NEAR if NINES.fullmatch(f"{number:g}") else FAR) * (high - low) > 0:
        return True
    return number < 0 <= rest[0] and gap > 5 * float(np.median(np.diff(rest)))


def longest_repeat(column: "pd.Series[Any]") -> int:
    """The most rows in succession in which the last value would stand for an empty cell."""
    empty = column.isna() & column.notna().cummax()
    return int(empty.groupby((~empty).cumsum()).sum().max())


def mostly_empty(column: "pd.Series[Any]", step: pd.Timedelta) -> bool:
    """Whether more than half of the cells are empty, and repeat the last value for long."""
    rows = longest_repeat(column)
    return bool(column.isna().mean() > 0.5 and (rows > MOST_REPEATED or rows * step > DAY))


def meaning_of_empty(column: "pd.Series[Any]", step: pd.Timedelta) -> float | str | None:
    """What an empty cell seems to mean: 0 or `none`, where nothing happened; None where it doesn't.

    That is so where a column is mostly empty, what is known comes in short stretches at irregular
    times, and nowhere says itself that nothing happened.
    """
    known = column.notna()
    if not mostly_empty(column, step) or not known.any():
        return None
    # Stretches of known cells and of empty ones take turns.
    stretch = (known != known.shift()).cumsum()
    lengths, kinds = known.groupby(stretch).size(), known.groupby(stretch).first()
    starts = np.flatnonzero(known & ~known.shift(fill_value=False))
    intervals = pd.Series(np.diff(starts))
    regular = len(intervals) > 0 and (intervals == intervals.mode()[0]).mean() > MOSTLY_REGULAR
    if regular or lengths[kinds].mean() > lengths[~kinds].mean() / 2:
        return None
    if pd.api.types.is_numeric_dtype(column.dtype):
        return 0 if column.min() > 0 else None
    return None if {"none", "no"} & {str(each).casefold() for each in column.dropna()} else "none"


def doubts(frame: pd.DataFrame, step: pd.Timedelta, target: str) -> list[str]:
    """What may not mean what it is read as, a sentence for each column.

    Args:
        frame: the features by time, as they are read.
        step: time between rows.
    """
    sentences = []
    for name, column in frame.items():
        numeric, key = pd.api.types.is_numeric_dtype(column.dtype), yaml_text(str(name))
        suspects = stand_ins(column.to_numpy(np.float64)) if numeric else {}
        sentences += [
            f"{name} is {exact(number)} in {count:,} rows, far from all its other values: if that "
            f"stands for missing, say so in the data block: missing: {{{key}: [{exact(number)}]}}"
            for number, count in suspects.items()
        ]
        if name != target and mostly_empty(column, step):
            sentences.append(
                f"{name} is empty in {column.isna().mean():.0%} of the rows, where the last value "
                f"is repeated, for up to {longest_repeat(column):,} rows: if empty means that "
                f"nothing happened, say so in the data block: fill: {{{key}: "
                f"{'0' if numeric else 'none'}}}"
            )
    return sentences
