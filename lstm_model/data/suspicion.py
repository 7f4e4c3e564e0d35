"""What a table's values suggest that its columns do not say: numbers for missing, empty cells."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lstm_model.arrays import Float64Array
from lstm_model.data.step import DAY, Step
from lstm_model.wording import exact, yaml_text

# A number that stands for missing is there this often or more.
MIN_REPEATS = 3
# A column with no more different numbers may hold codes, of which each stands apart.
MAX_CODES = 12
# -999, 9999, 99.9: of these a smaller distance from all others is enough.
NINES = re.compile(r"-?99+(\.9+)?")
NEAR, FAR, RARE = 0.2, 1.0, 5.0
# How many of the smallest and of the largest numbers are looked at.
OUTERMOST = 20
BEYOND_REASON = 1e9
# Up to this many columns have a sentence each; more share one.
FEW_COLUMNS = 5
# The last value is repeated for long where it stands for more rows than this, or a day.
MAX_REPEATED = 24
# A column observed at equal intervals this often, as a survey is, holds until the next value.
MOSTLY_REGULAR = 0.9


def find_sentinels(values: Float64Array) -> dict[float, int]:
    """Numbers that may stand for missing, and how often: far outside the rest, and repeated.

    A number is far outside where its distance from the nearest one further in is longer than the
    span that holds 98% of those. Of nothing but nines a fifth of the span is enough, or, where it
    is not repeated, five spans. A single negative number is, where it is five times as far below
    zero as the others are apart.

    Args:
        values: (T,) NaN where missing.
    """
    levels, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    suspects: dict[float, int] = {}
    while len(levels) > 2:
        # From each end inwards, since a spike may lie beyond what stands for missing.
        ends = [
            *range(min(OUTERMOST, len(levels) - 1)),
            *range(-1, -min(OUTERMOST, len(levels)), -1),
        ]
        at = next((at for at in ends if _stands_apart(levels, counts, at)), None)
        if at is None:
            break
        suspects[float(levels[at])] = int(counts[at])
        levels, counts = np.delete(levels, at), np.delete(counts, at)
    return suspects


def _stands_apart(levels: Float64Array, counts: "np.ndarray[Any, Any]", at: int) -> bool:
    """Whether a number lies far outside those that lie further in."""
    number, count = float(levels[at]), int(counts[at])
    nines = bool(NINES.fullmatch(f"{number:g}"))
    if count < MIN_REPEATS and not nines:  # as most are: not worth a look at all the others
        return False
    inner, often = (a[at + 1 :] if at >= 0 else a[:at] for a in (levels, counts))
    if not len(inner):
        return False
    gap = float(np.abs(inner - number).min())
    shares = np.cumsum(often) / often.sum()
    low, high = inner[np.searchsorted(shares, [0.01, 0.99])]
    if nines:
        # So rare a number as nothing but nines is no accident, where it is far enough away.
        least = NEAR if count >= MIN_REPEATS else RARE
        return bool(gap > least * (high - low) and (high > low or abs(number) > 100))
    if len(inner) < MAX_CODES:
        return False
    if gap > FAR * (high - low) > 0:
        return True
    return number < 0 <= inner[0] and gap > 5 * float(np.median(np.diff(inner)))


def is_sentinel(number: float) -> bool:
    """Whether a number that stands apart is no measurement: nines, below zero, or beyond reason. A
    zero may be one where something is off, and a large one where it is at its limit.
    """
    return number < 0 or bool(NINES.fullmatch(f"{number:g}")) or abs(number) >= BEYOND_REASON


def longest_repeat(column: "pd.Series[Any]") -> int:
    """The most rows in succession in which the last value would stand for an empty cell."""
    empty = column.isna() & column.notna().cummax()
    return int(empty.groupby((~empty).cumsum()).sum().max())


def is_mostly_empty(column: "pd.Series[Any]", step: Step) -> bool:
    """Whether more than half of the cells are empty, and repeat the last value for long."""
    if not column.isna().mean() > 0.5:  # of no rows the mean is no number
        return False
    rows = longest_repeat(column)
    return bool(rows > MAX_REPEATED or rows * step.duration > DAY)


def meaning_of_empty(column: "pd.Series[Any]", step: Step) -> float | str | None:
    """What an empty cell seems to mean: 0 or `none`, where nothing happened; None where it doesn't.

    That is so where a column is mostly empty, what is known comes in short stretches at irregular
    times, and nowhere says itself that nothing happened.
    """
    known = column.notna()
    if not is_mostly_empty(column, step) or not known.any():
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
    return None if {"none", "no"} & {str(text).casefold() for text in column.dropna()} else "none"


def find_doubts(parts: Sequence[pd.DataFrame], step: Step, target: str) -> list[str]:
    """What may not mean what it is read as, a sentence for each column.

    Args:
        parts: the features of each series by time, as they are read. A number is held against the
            others of its series; a column is mostly empty where it is in most series.
        step: time between rows.
    """
    numbers: dict[float, dict[str, int]] = {}
    empty: dict[str, dict[str, int]] = {}
    for name in parts[0]:
        of_series = [part[name] for part in parts]
        numeric = pd.api.types.is_numeric_dtype(of_series[0].dtype)
        for column in of_series if numeric else ():
            for number, rows in find_sentinels(column.to_numpy(np.float64)).items():
                of_number = numbers.setdefault(number, {})
                of_number[str(name)] = of_number.get(str(name), 0) + rows
        if name == target:
            continue
        mostly = [column for column in of_series if is_mostly_empty(column, step)]
        if len(mostly) > len(of_series) / 2:
            rows = max(map(longest_repeat, mostly))
            empty.setdefault("0" if numeric else "none", {})[str(name)] = rows
    sentences = []
    for number, columns in numbers.items():
        sentences += _sentences(
            columns,
            f"{{}} is {exact(number)} in {{}} rows, far from all its other values: if that stands "
            f"for missing, say so in the data block: missing: {{}}",
            f"[{exact(number)}]",
        )
    for value, columns in empty.items():
        sentences += _sentences(
            columns,
            "{} is empty in most rows, where the last value is repeated, for up to {} rows: if "
            "empty means that nothing happened, say so in the data block: fill: {}",
            value,
        )
    return sentences


def _sentences(columns: Mapping[str, int], sentence: str, value: str) -> list[str]:
    """The sentence for each column and its number of rows; of many columns once for all of them."""
    keys = {name: f"{yaml_text(name)}: {value}" for name in columns}
    if len(columns) <= FEW_COLUMNS:
        return [
            sentence.format(name, f"{rows:,}", f"{{{keys[name]}}}")
            for name, rows in columns.items()
        ]
    first = ", ".join(list(columns)[:FEW_COLUMNS])
    names = f"each of {len(columns)} columns ({first}, ...)"
    block = f"{{{', '.join(keys.values())}}}"
    return [sentence.format(names, f"{max(columns.values()):,}", block)]
