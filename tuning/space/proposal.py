"""What a table holds: its clock, its series, what can help a forecast, and its splits."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from lstm_model.arrays import Mask
from lstm_model.configuration import Reading
from lstm_model.data.columns import Repair
from lstm_model.data.rows import Rows, count_steps_left
from lstm_model.data.series_index import SeriesIndex
from lstm_model.data.step import DAY, WEEK, YEAR, Step, on_wall, rows_before
from lstm_model.data.table import read_rows
from lstm_model.data.table_file import guess_encoding, read_files
from lstm_model.data.time_forms import CLOCK_PARTS, FORMS, YEAR_FIRST, Clock
from lstm_model.errors import InputError, TableError
from lstm_model.series_rules import FILE
from lstm_model.wording import shorten
from tuning.space.clock_proposal import ClockProposal, FindSeries, find_clocks, propose_clock
from tuning.space.column_proposal import ColumnReader
from tuning.space.series_proposal import (
    SeriesProposal,
    find_likes,
    find_series,
    match_columns,
    melt_columns,
    never_changes_within,
    read_named_series,
    reason_static_is_useless,
)
from tuning.wording import closest_match

# With fewer rows a search would choose by luck; and validation and test shall hold three horizons.
LEAST_ROWS, LEAST_HORIZONS = 100, 25
# Training, validation and test as shares of the rows: what is aimed at, and the least to be taken
# where they then begin with a year, a month, a day or an hour.
SHARES, LEAST_SHARES = (0.6, 0.2, 0.2), (0.45, 0.12, 0.12)
# Series have neighbours where more of their rows than this share a time.
MOSTLY_COMMON = 0.5


@dataclass(frozen=True)
class Proposal:
    """What a table holds, and how it would be forecast.

    Attributes:
        clock: its columns, the keys that read it, and why.
        target: the column that is forecast: of a wide table, what its values are called.
        frame: the features by time, the target first, and static columns behind them, as
            load_dataset() has them. Of many series one stands behind the other.
        static: the columns of `frame` that never change within a series.
        reading: what its clock and its cells mean.
        repairs: how many cells that concerns.
        left_out: the other columns, and in a sentence why they are none of the features.
        likes: the other columns that are called as the target is, but for their digits.
        validation_from, test_from: where the splits meet, on the wall clock.
    """

    clock: ClockProposal
    target: str
    frame: pd.DataFrame
    static: tuple[str, ...]
    reading: Reading
    repairs: Sequence[Repair]
    left_out: Mapping[str, str]
    likes: Sequence[str]
    validation_from: pd.Timestamp
    test_from: pd.Timestamp

    @property
    def step(self) -> Step:
        """The time between rows."""
        return self.clock.rows.step

    @property
    def index(self) -> SeriesIndex:
        """Which rows of `frame` are of which series."""
        return self.clock.rows.index

    @property
    def features(self) -> list[str]:
        """The columns that are read at each time."""
        return [str(name) for name in self.frame if name not in self.static]

    @property
    def training(self) -> Mask:
        """(R,) the rows that lie before validation."""
        return rows_of_training(self.clock.rows, self.validation_from)

    @property
    def have_common_times(self) -> bool:
        """Whether most observed rows have the time of another series' observed row."""
        times = pd.DatetimeIndex(self.frame[self.target].dropna().index)
        return len(self.index) > 1 and bool(times.duplicated(keep=False).mean() > MOSTLY_COMMON)


def propose(
    files: Mapping[str, bytes],
    target: str,
    clock: tuple[str, ...] | None = None,
    features: tuple[str, ...] | None = None,
    *,
    horizon: int = 1,
    zone: str | None = None,
    series: tuple[str, ...] | None = None,
) -> Proposal:
    """What a table's bytes hold, by the rules of the reader that studies have.

    Args:
        files: one file, or several that are one table, by the names that messages have.
        target: a column; or columns of a wide table that are a series each: `A,B` or `MT_*`.
        clock, features: the clock's columns and the columns to read; None to look for them.
        zone: of its wall clock, where the table can't tell it.
        series: the columns that say which series a row is of, `file` where each file is one, or
            none where the table is one series; None to look for them.

    Raises:
        InputError: it can't be forecast as it is.
    """
    encoding = next(filter(None, map(guess_encoding, files.values())), None)
    table = read_files(files, None, encoding)
    file, header = table.places.name, table.header
    targets = match_columns(target, header, file)
    keys = [name for name in series or () if name != FILE]
    named = dict.fromkeys((*targets, *(clock or ()), *(features or ()), *keys))
    if unknown := [name for name in named if name not in header]:
        raise InputError("\n".join(_no_column(file, name, header) for name in unknown))
    left_out: dict[str, str] = {}
    if len(targets) > 1:  # a pattern may be like the clock's name too
        first = clock or next(find_clocks(table), ())
        targets = tuple(name for name in targets if name not in first)
    likes = find_likes(targets, header)
    series_of: FindSeries
    if len(targets) > 1:
        if series:
            raise InputError(
                "--series must stay away where --target names several columns, each of which is a "
                f"series, but got {', '.join(series)}"
            )
        apart = likes if features is None else []
        if apart:
            verb = "are like the targets" if len(apart) > 1 else "is like the targets"
            left_out[apart[0]] = f"{shorten(apart)} {verb}, but not among them"
        shared = [name for name in header if name not in (*targets, *apart)]
        table, known, target = melt_columns(table, targets, shared)
        series_of = partial(_known, known)
    elif series is None:
        (target,) = targets
        series_of = partial(find_series, table, [*files], (target, *(features or ())))
    else:
        (target,) = targets
        series_of = partial(_known, read_named_series(table, [*files], series) if series else None)
    proposal = propose_clock(table, clock, zone, encoding, series_of)
    rows, parts, found = proposal.rows, proposal.names, proposal.series
    if found is not None:
        table = replace(table, places=found.rows.label(table.places))
        parts = (*parts, *found.columns)
    if count_steps_left(rows.times.max(), rows.step) < horizon:
        owners = None if found is None else found.rows
        read_rows(table, files, proposal.reading, horizon, series=owners)  # which says so
    reader = ColumnReader(table, rows, found)
    observed = reader.read(target, target=True)
    check_enough(observed, rows.index, horizon, file)
    times = pd.DatetimeIndex(observed.dropna().index)
    validation_from, test_from = propose_splits(on_wall(times.sort_values()))
    training = rows_of_training(rows, validation_from)
    chosen = []
    for name in map(str, table.cells) if features is None else features:
        if name in (target, *parts):
            continue
        try:
            column = reader.read(name)
        except TableError as error:
            if features is not None:
                raise
            left_out[name] = str(error).removeprefix(f"{file}: ")
            continue
        why = None
        if features is None and name in reader.static:
            why = reason_static_is_useless(column.iloc[list(rows.index.bounds[:-1])])
        elif features is None:
            why = reason_to_leave_out(column, training, rows.index)
        if why is None:
            chosen.append(name)
        else:
            left_out[name] = f"{name} {why}{reader.dropped(name)}"
    static = tuple(name for name in dict.fromkeys(chosen) if name in reader.static)
    names = dict.fromkeys((target, *(name for name in chosen if name not in static), *static))
    reading = proposal.reading.model_copy(
        update={
            "missing": {name: reader.missing[name] for name in names if name in reader.missing},
            "fill": {name: reader.fill[name] for name in names if name in reader.fill},
        }
    )
    return Proposal(
        clock=proposal,
        target=target,
        frame=pd.DataFrame({name: reader.columns[name] for name in names}),
        static=static,
        reading=reading,
        repairs=[repair for name in names for repair in reader.repairs[name]],
        left_out=left_out,
        likes=likes if found is None else (),
        validation_from=validation_from,
        test_from=test_from,
    )


def _known(
    series: SeriesProposal | None, names: Sequence[str], clock: Clock
) -> SeriesProposal | None:
    """The series that a table holds whatever its clock is."""
    return series


def rows_of_training(rows: Rows, validation_from: datetime) -> Mask:
    """(R,) which rows of all series lie before validation."""
    training = np.zeros(len(rows.times), bool)
    for _, part in rows.index:
        end = rows_before(rows.times[part], validation_from)
        training[part.start : part.start + end] = True
    return training


def check_enough(observed: "pd.Series[Any]", index: SeriesIndex, horizon: int, file: str) -> None:
    """Raises InputError where a table has too few rows with a target to be split.

    Args:
        observed: the target, NaN where it is missing.
    """
    name, total = observed.name, int(observed.count())
    smaller = ", or ask for a smaller --horizon"
    if len(index) == 1:
        least = max(LEAST_ROWS, LEAST_HORIZONS * horizon)
        if total < least:
            raise InputError(
                f"{file}: must have {least} rows or more with {name}, of which validation and test "
                f"take a fifth each, but has {total}; gather more"
                + (smaller if least > LEAST_ROWS else "")
            )
        return
    known = observed.notna().to_numpy()
    counts = {series: int(known[rows].sum()) for series, rows in index}
    longest, least = max(counts, key=counts.__getitem__), LEAST_HORIZONS * horizon
    if counts[longest] < least or total < LEAST_ROWS:
        raise InputError(
            f"{file}: must have {LEAST_ROWS} rows or more with {name}, and {least} of one series, "
            f"of which validation and test take a fifth each, but has {total}, and "
            f"{counts[longest]} of {longest}, which has most; gather more"
            + (smaller if horizon > 1 and counts[longest] < least else "")
        )


def _no_column(file: str, name: str, header: Sequence[str]) -> str:
    guess = closest_match(name, header)
    also = f"did you mean {guess!r}?" if guess else f"there are {', '.join(header)}"
    return f"{file}: no column {name!r}; {also}"


def reason_to_leave_out(column: "pd.Series[Any]", training: Mask, index: SeriesIndex) -> str | None:
    """Why a column can't help a forecast, or None.

    Args:
        training: (R,) the rows that lie before validation.
        index: which rows are of which series.
    """
    times, values = on_wall(pd.DatetimeIndex(column.index)), column.dropna()
    part, rows = str(column.name).casefold(), len(values)
    if column[training].isna().all():
        return "has no value before validation begins: nothing to learn from"
    if never_changes_within(column[training], index.numbers[training]):
        within = " within a series" if len(index) > 1 else ""
        return f"never changes{within} before validation begins: nothing to learn from"
    if values.dtype != np.float64:
        if re.fullmatch(FORMS[YEAR_FIRST], values.iloc[0]):
            return "holds times, but is not the clock"
        return "names its rows: most texts come once" if 2 * values.nunique() > rows else None
    steps = column.diff().to_numpy()
    if column.notna().all() and len(np.unique(np.delete(steps, index.bounds[:-1]))) == 1:
        return "counts the rows"
    if part in CLOCK_PARTS and (column == getattr(times, part)).all():
        return "is a part of the clock: calendar has what can be learned from it"
    return None


def propose_splits(observed: pd.DatetimeIndex) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Where validation and test begin, from the times with a target.

    With a year, else a month, a day or an hour, where that leaves each part long enough.
    """
    times = observed.to_numpy().astype("datetime64[s]")
    borders = ideal = times[[round(share * len(times)) for share in np.cumsum(SHARES)[:2]]]
    for unit in ("Y", "M", "D", "h"):
        before = ideal.astype(f"datetime64[{unit}]")
        start, end = before.astype(ideal.dtype), (before + 1).astype(ideal.dtype)
        nearest = np.where(ideal - start <= end - ideal, start, end)
        rows = np.diff([0, *np.searchsorted(times, nearest), len(times)])
        if (rows >= np.array(LEAST_SHARES) * len(times)).all():
            borders = nearest
            break
    validation_from, test_from = map(pd.Timestamp, borders)
    return validation_from, test_from


def propose_calendar(proposal: Proposal) -> list[str]:
    """The periods of two rows or more that training sees twice."""
    span = proposal.validation_from - on_wall(proposal.clock.rows.times).min()
    periods = {"hour_of_day": DAY, "day_of_week": WEEK, "day_of_year": YEAR}
    step = proposal.step.duration
    return [name for name, long in periods.items() if 2 * step <= long and 2 * long <= span]
