"""A table's bytes, or a DataFrame, as features by a regular clock; or what is wrong with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from lstm_model.arrays import IntArray
from lstm_model.configuration import REPEAT, KeptReading, Kind, Reading
from lstm_model.data.clock import clock_columns, read_clock
from lstm_model.data.columns import Column, Repair, has_grouped_points, read_column
from lstm_model.data.diagnosis import diagnose_rows
from lstm_model.data.frames import CLOCK, clock_cells
from lstm_model.data.neighbours import mean_of_others
from lstm_model.data.panel import (
    SeriesRows,
    arrange_series,
    find_targets,
    melt,
    read_cells,
    read_series,
    repeat_static,
)
from lstm_model.data.places import Places
from lstm_model.data.rows import RowRepair, Rows, arrange_rows, count_steps_left
from lstm_model.data.series_index import SeriesIndex
from lstm_model.data.step import Step
from lstm_model.data.table_file import Table, read_files
from lstm_model.data.time_forms import Clock
from lstm_model.errors import TableError
from lstm_model.series_rules import NEIGHBOURS
from lstm_model.wording import yaml_text

LONGEST_STEP = np.timedelta64(292 * 365, "D")  # that pandas can count in nanoseconds


@dataclass(frozen=True)
class ParsedTable:
    """What a table says.

    Attributes:
        frame: the features by time, in the order asked for: float64, or `str` of a category. Their
            clock is regular, and has a zone where the table's has one. Of many series one stands
            behind the other; behind the features are static columns, and `neighbours`.
        step: time between rows.
        reading: as asked for, with what the table itself decided: the same texts have the same
            meaning in a later one.
        repairs: rows and cells that were read as something else than stands in them.
        notes: what a reader should look at, a sentence each.
        index: which rows are of which series.
    """

    frame: pd.DataFrame
    step: Step
    reading: KeptReading
    repairs: tuple[Repair | RowRepair, ...]
    notes: tuple[str, ...]
    index: SeriesIndex


def parse_table(
    files: Mapping[str, bytes],
    reading: Reading,
    *,
    target: str,
    features: Sequence[str],
    horizon: int,
    kinds: Mapping[str, Kind] | None = None,
    step: Step | None = None,
    static: Sequence[str] = (),
    neighbours: bool = False,
) -> ParsedTable:
    """The features of a table's bytes; a problem of each column, all at once.

    Args:
        files: the bytes of one file, or of several that are one table, by the names that messages
            have for them.
        horizon: rows after the last one that will be forecast, and must have a time.
        kinds: of the features and static columns, where they are known, as of a table to forecast
            from: a feature other than the target may have no values there.
        step: time between rows, where it is known.
        static: columns that do not change within a series.
        neighbours: whether the mean of the other series' target is a column.

    Raises:
        TableError: it breaks a rule, or can be read in two ways.
    """
    clock = clock_columns(reading.time)
    named = (*features, *static)
    try:
        table, series = read_cells(
            files, reading, (*clock, *named), target, trained=kinds is not None
        )
    except TableError as error:
        if reading.time is None and any(f"no column {name!r}" in str(error) for name in clock):
            rule = "the clock must be the columns that `time` names, or year, month, day, hour"
            raise TableError(f"{error}\n{next(iter(files))}: {rule}") from error
        raise
    problems: list[str] = []
    rows = None
    try:
        rows = read_rows(table, files, reading, horizon, step, series)
    except TableError as error:
        problems.append(str(error))
    columns = read_columns(table.cells, table.places, reading, target, named, kinds, problems)
    frame = arrange_columns(rows, columns, reading, table.places, problems, static, series)
    if rows is None or problems:
        raise TableError("\n".join(problems))
    if neighbours:
        if len(rows.index) == 1 and kinds is None:
            raise TableError(
                f"{table.places.prefix}neighbours must be false for one series, but there is no "
                f"other than {rows.index.names[0]}; set it so, or give more series"
            )
        frame[NEIGHBOURS] = mean_of_others(frame[target].to_numpy(), rows.times, rows.index)
    return ParsedTable(
        frame,
        rows.step,
        _settle(columns, reading, rows, static, neighbours),
        (*rows.repairs, *(repair for column in columns.values() for repair in column.repairs)),
        (
            *(column.note for column in columns.values() if column.note),
            *_doubtful_points(table.cells, columns, reading),
        ),
        rows.index,
    )


def read_rows(
    table: Table,
    files: Mapping[str, bytes],
    reading: Reading,
    horizon: int,
    step: Step | None = None,
    series: SeriesRows | None = None,
) -> Rows:
    """The rows of a table on a regular clock.

    Args:
        files: what the table comes from, for what a refused one is.
        horizon: rows after the last one that will be forecast, and must have a time.
        series: whose each row is, where the table holds several.

    Raises:
        TableError: the clock breaks a rule; with what the table is, where that can be seen.
    """
    names = list(clock_columns(reading.time))
    places = table.places
    clock = read_clock(table.cells[names], reading.dates, places)
    check_times(clock, table.cells[names], reading, places, series)
    if step is not None:
        check_offsets(clock, reading, places, places.locate(table.cells.index[0]))

    def advise(chosen: IntArray) -> str | None:
        every = read_files(files, None, reading.encoding).cells
        cells = every.iloc[chosen % len(every)]  # of a wide table its rows come once for each
        of_chosen = Clock(clock.times[chosen], clock.is_utc)
        starts = table.first_rows if series is None else (0,)
        return diagnose_rows(places, cells, names, of_chosen, reading, starts)

    if series is not None:
        rows = arrange_series(clock, series, reading, places, step, table.first_rows, advise)
    else:
        try:
            rows = arrange_rows(clock, reading, places, table.cells.index, step, table.first_rows)
        except TableError as error:
            advice = advise(np.arange(len(table.cells)))
            raise TableError("\n".join(filter(None, (str(error), advice)))) from error
    at = int(rows.times.argmax())
    last = rows.times[at]
    if count_steps_left(last, rows.step) < horizon:
        row = rows.taken[np.flatnonzero(rows.at == at)[-1]]
        raise TableError(
            f"{places.locate(table.cells.index[row])}: the clock must end "
            f"{horizon} rows or more before the year 10000, as what is forecast has no time then, "
            f"but ends at {last} with rows {rows.step.name} apart; correct its years, or end the "
            "table earlier"
        )
    return rows


@dataclass(frozen=True)
class SeriesTable:
    """The features as ParsedTable.frame has them, and whose its rows are."""

    frame: pd.DataFrame
    index: SeriesIndex


def parse_frame(
    frame: pd.DataFrame,
    reading: Reading,
    *,
    target: str,
    kinds: Mapping[str, Kind],
    step: Step,
    static: Sequence[str] = (),
    neighbours: bool = False,
) -> SeriesTable:
    """The features of a DataFrame as parse_table() has them.

    Args:
        frame: the features as columns: numbers, texts or booleans; and the columns that
            `reading.series` names, or those of its `targets` that are there, for the target. Its
            clock is its index, where that is a DatetimeIndex, else the columns that a CSV would
            have it in.
        kinds: of the features and static columns, in the order asked for.
        step: time between rows.
        static: those of them that do not change within a series.
        neighbours: whether the mean of the other series' target is a column.

    Raises:
        TableError: it breaks a rule; every problem at once.
    """
    wide = find_targets(reading, frame.columns) if reading.targets else ()
    if not len(frame):  # how many rows it takes is the model's to say
        names = [*kinds, *((NEIGHBOURS,) if neighbours else ())]
        empty = frame.reindex(columns=names).set_axis(pd.DatetimeIndex([], name=CLOCK))
        return SeriesTable(empty, SeriesIndex.of_one(0))
    if isinstance(frame.index, pd.DatetimeIndex):
        cells = pd.DataFrame({CLOCK: frame.index})
    else:
        cells = clock_cells(frame, clock_columns(reading.time))
    table = Table(frame.reset_index(drop=True), Places("", lambda row: f"at row {row}"), ())
    series = None
    if wide:
        names = [*(name for name in kinds if name != target), *wide]
        table, series = melt(replace(table, cells=table.cells[names]), wide, target)
        cells = pd.concat([cells] * len(wide), ignore_index=True)
    elif reading.series:
        series = read_series(table, reading)
    clock = read_clock(cells, reading.dates, table.places)
    check_times(clock, cells, reading, table.places, series)
    features = table.cells[[*kinds]]
    texts = [name for name in kinds if isinstance(features.dtypes[name], pd.StringDtype)]
    features = features.assign(**{name: features[name].str.strip() for name in texts})
    places = Places("", lambda row: f"at {str(clock.times[row])[:19].replace('T', ' ')}")
    check_offsets(clock, reading, places, places.locate(0))
    if series is None:
        rows = arrange_rows(clock, reading, places, features.index, step)
    else:
        places = series.label(places)
        rows = arrange_series(clock, series, reading, places, step)
    problems: list[str] = []
    read = read_columns(features, places, reading, target, tuple(kinds), kinds, problems)
    arranged = arrange_columns(rows, read, reading, places, problems, static, series)
    if problems:
        raise TableError("\n".join(problems))
    if neighbours:
        arranged[NEIGHBOURS] = mean_of_others(arranged[target].to_numpy(), rows.times, rows.index)
    return SeriesTable(arranged, rows.index)


def check_times(
    clock: Clock,
    cells: pd.DataFrame,
    reading: Reading,
    places: Places,
    series: SeriesRows | None = None,
) -> None:
    """Raises TableError where there are no such times, on UTC or on a wall, or steps as long."""
    has_zone = clock.is_utc or reading.zone is not None
    end = np.datetime64("9999-12-30" if has_zone else "10000-01-01")
    order = np.arange(len(clock.times)) if series is None else series.order
    late, far = clock.times >= end, np.abs(np.diff(clock.times[order])) > LONGEST_STEP
    if series is not None:  # from one to the next it may be as long as it likes
        far &= np.diff(series.numbers[order]) == 0
    if late.any():
        row = int(late.argmax())
        none = "times of zones" if has_zone else "times"
        rule = f"the clock must lie before {end}, as there are no {none} from then on"
    elif far.any():
        row = int(order[int(far.argmax()) + 1])
        rule = "the clock must go on by less than 292 years; correct the times"
    else:
        return
    got = ", ".join(repr(str(cell)[:60]) for cell in cells.iloc[row])
    names = ", ".join(map(str, cells.columns))
    raise TableError(f"{places.locate(cells.index[row])}: {names} = {got}: {rule}")


def check_offsets(clock: Clock, reading: Reading, places: Places, first: str) -> None:
    """Raises TableError where times have an offset, and those that a model was trained on had none,
    or the other way round: an hour's shift would go unseen.

    Args:
        first: where the first row stands.
    """
    if clock.is_utc and reading.zone is None:
        raise TableError(
            f"{places.prefix}times must have no offset from UTC, as those that the model was "
            "trained on, but they have one; write them as the clock there shows them"
        )
    if isinstance(reading, KeptReading) and reading.offsets and not clock.is_utc:
        raise TableError(
            f"{first}: times must have an offset from UTC, such as +01:00 or Z, as those that the "
            "model was trained on: without one nobody knows their zone"
        )


def read_columns(
    cells: pd.DataFrame,
    places: Places,
    reading: Reading,
    target: str,
    features: Sequence[str],
    kinds: Mapping[str, Kind] | None,
    problems: list[str],
) -> dict[str, Column]:
    """Each feature; what is wrong with one goes to `problems`."""
    columns = {}
    for name in features:
        try:
            kind = None if kinds is None else kinds[name]
            columns[name] = read_column(
                cells[name], reading, places, target=name == target, kind=kind
            )
        except TableError as error:
            problems.append(str(error))
    return columns


def arrange_columns(
    rows: Rows | None,
    columns: Mapping[str, Column],
    reading: Reading,
    places: Places,
    problems: list[str],
    static: Sequence[str] = (),
    series: SeriesRows | None = None,
) -> pd.DataFrame:
    """The columns by the regular clock; what is wrong with one goes to `problems`."""
    arranged: dict[str, pd.Series[Any]] = {}
    if rows is None:
        return pd.DataFrame()
    for name, column in columns.items():
        try:
            if name in static and series is not None:
                arranged[name] = repeat_static(column.values, series, rows, places)
                continue
            values = rows.arrange(column.values, places)
        except TableError as error:
            problems.append(str(error))
            continue
        fill = reading.fill_of(name)
        if reading.fills_gaps(name) and fill != REPEAT:
            text = isinstance(values.dtype, pd.StringDtype)
            values = values.mask(rows.without_a_row, str(fill) if text else fill)
        arranged[name] = values
    return pd.DataFrame(arranged)


def _doubtful_points(
    cells: pd.DataFrame, columns: Mapping[str, Column], reading: Reading
) -> list[str]:
    """Points that may stand before thousands in one column, where another has decimal commas."""
    with_commas = [name for name, column in columns.items() if column.decimal == ","]
    return [
        f"{name} has a point before three digits in each of its numbers, and {with_commas[0]} has "
        f"decimal commas: if these points are for thousands, say so in the data block: decimal: "
        f"{{{yaml_text(name)}: ','}}"
        for name, column in columns.items()
        if with_commas
        and reading.decimal_of(name) is None
        and column.values.dtype == np.float64
        and isinstance(cells[name].dtype, pd.StringDtype)
        and has_grouped_points(cells[name].dropna())
    ]


def _settle(
    columns: Mapping[str, Column],
    reading: Reading,
    rows: Rows,
    static: Sequence[str],
    neighbours: bool,
) -> KeptReading:
    """How a later table is read: as this one was, whatever its own texts say."""
    numbers = [name for name, column in columns.items() if column.decimal]
    marks = {name: column.decimal or reading.decimal_of(name) for name, column in columns.items()}
    return KeptReading.model_validate(
        reading.model_dump()
        | {
            "offsets": rows.has_offsets,
            "zone": rows.zone,
            "types": {**reading.types, **dict.fromkeys(numbers, "number")},
            "decimal": {name: mark for name, mark in marks.items() if mark} or None,
            "static": tuple(static),
            "neighbours": neighbours,
        }
    )
