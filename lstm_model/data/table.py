"""A table's bytes, or a DataFrame, as features by a regular clock; or what is wrong with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lstm_model.configuration import REPEAT, DataSettings, KeptReading, Kind, Reading
from lstm_model.data.clock import clock_columns, read_clock
from lstm_model.data.columns import Column, Repair, has_grouped_points, read_column
from lstm_model.data.diagnosis import diagnose_rows
from lstm_model.data.frames import CLOCK
from lstm_model.data.places import IN_MEMORY, Places
from lstm_model.data.rows import RowRepair, Rows, arrange_rows, count_steps_left
from lstm_model.data.step import Step, rows_until
from lstm_model.data.table_file import Table, read_files
from lstm_model.data.time_forms import Clock
from lstm_model.errors import TableError
from lstm_model.wording import yaml_text

LONGEST_STEP = np.timedelta64(292 * 365, "D")  # that pandas can count in nanoseconds


@dataclass(frozen=True)
class ParsedTable:
    """What a table says.

    Attributes:
        frame: the features by time, in the order asked for: float64, or `str` of a category. Their
            clock is regular, and has a zone where the table's has one.
        step: time between rows.
        reading: as asked for, with what the table itself decided: the same texts have the same
            meaning in a later one.
        repairs: rows and cells that were read as something else than stands in them.
        notes: what a reader should look at, a sentence each.
    """

    frame: pd.DataFrame
    step: Step
    reading: KeptReading
    repairs: tuple[Repair | RowRepair, ...]
    notes: tuple[str, ...]


def parse_table(
    files: Mapping[str, bytes],
    reading: Reading,
    *,
    target: str,
    features: Sequence[str],
    horizon: int,
    kinds: Mapping[str, Kind] | None = None,
    step: Step | None = None,
) -> ParsedTable:
    """The features of a table's bytes; a problem of each column, all at once.

    Args:
        files: the bytes of one file, or of several that are one table, by the names that messages
            have for them.
        horizon: rows after the last one that will be forecast, and must have a time.
        kinds: of the features, where they are known, as of a table to forecast from: a feature
            other than the target may have no values there.
        step: time between rows, where it is known.

    Raises:
        TableError: it breaks a rule, or can be read in two ways.
    """
    clock = clock_columns(reading.time)
    try:
        table = read_files(files, (*clock, *features), reading.encoding)
    except TableError as error:
        if reading.time is None and any(f"no column {name!r}" in str(error) for name in clock):
            rule = "the clock must be the columns that `time` names, or year, month, day, hour"
            raise TableError(f"{error}\n{next(iter(files))}: {rule}") from error
        raise
    problems: list[str] = []
    rows = None
    try:
        rows = read_rows(table, files, reading, horizon, step)
    except TableError as error:
        problems.append(str(error))
    columns = _read_columns(table.cells, table.places, reading, target, features, kinds, problems)
    frame = _arrange(rows, columns, reading, table.places, problems)
    if rows is None or problems:
        raise TableError("\n".join(problems))
    return ParsedTable(
        frame,
        rows.step,
        _settle(columns, reading, rows),
        (*rows.repairs, *(repair for column in columns.values() for repair in column.repairs)),
        (
            *(column.note for column in columns.values() if column.note),
            *_doubtful_points(table.cells, columns, reading),
        ),
    )


def read_rows(
    table: Table,
    files: Mapping[str, bytes],
    reading: Reading,
    horizon: int,
    step: Step | None = None,
) -> Rows:
    """The rows of a table on a regular clock.

    Args:
        files: what the table comes from, for what a refused one is.
        horizon: rows after the last one that will be forecast, and must have a time.

    Raises:
        TableError: the clock breaks a rule; with what the table is, where that can be seen.
    """
    names = list(clock_columns(reading.time))
    clock = read_clock(table.cells[names], reading.dates, table.places)
    _check_times(clock, table.cells[names], reading, table.places)
    if step is not None:
        _check_offsets(clock, reading, table.places, table.places.locate(table.cells.index[0]))
    try:
        rows = arrange_rows(clock, reading, table.places, table.cells.index, step, table.first_rows)
    except TableError as error:
        every = read_files(files, None, reading.encoding).cells
        advice = diagnose_rows(table.places, every, names, clock, reading)
        raise TableError("\n".join(filter(None, (str(error), advice)))) from error
    last = rows.times[-1]
    if count_steps_left(last, rows.step) < horizon:
        raise TableError(
            f"{table.places.locate(table.cells.index[rows.taken[-1]])}: the clock must end "
            f"{horizon} rows or more before the year 10000, as what is forecast has no time then, "
            f"but ends at {last} with rows {rows.step.name} apart; correct its years, or end the "
            "table earlier"
        )
    return rows


def parse_frame(
    frame: pd.DataFrame,
    reading: Reading,
    *,
    target: str,
    kinds: Mapping[str, Kind],
    step: Step,
) -> pd.DataFrame:
    """The features of a DataFrame as parse_table() has them.

    Args:
        frame: the features as columns: numbers, texts or booleans. Its clock is its index, where
            that is a DatetimeIndex, else the columns that a CSV would have it in.
        kinds: of the features, in the order asked for.
        step: time between rows.

    Raises:
        TableError: it breaks a rule; every problem at once.
    """
    if not len(frame):  # how many rows it takes is the model's to say
        return frame[list(kinds)].set_axis(pd.DatetimeIndex([], name=CLOCK))
    if isinstance(frame.index, pd.DatetimeIndex):
        cells = pd.DataFrame({CLOCK: frame.index})
    else:
        cells = _clock_cells(frame, clock_columns(reading.time))
    by_row = Places("", lambda row: f"at row {row}")
    clock = read_clock(cells, reading.dates, by_row)
    _check_times(clock, cells, reading, by_row)
    labels = [str(time)[:19].replace("T", " ") for time in clock.times]
    _check_offsets(clock, reading, IN_MEMORY, IN_MEMORY.locate(labels[0]))
    rows = arrange_rows(clock, reading, IN_MEMORY, labels, step)
    problems: list[str] = []
    features = frame[list(kinds)].set_axis(labels)
    columns = _read_columns(features, IN_MEMORY, reading, target, tuple(kinds), kinds, problems)
    arranged = _arrange(rows, columns, reading, IN_MEMORY, problems)
    if problems:
        raise TableError("\n".join(problems))
    return arranged


def _check_times(clock: Clock, cells: pd.DataFrame, reading: Reading, places: Places) -> None:
    """Raises TableError where there are no such times, on UTC or on a wall, or steps as long."""
    has_zone = clock.is_utc or reading.zone is not None
    end = np.datetime64("9999-12-30" if has_zone else "10000-01-01")
    late, far = clock.times >= end, np.abs(np.diff(clock.times)) > LONGEST_STEP
    if late.any():
        row = int(late.argmax())
        none = "times of zones" if has_zone else "times"
        rule = f"the clock must lie before {end}, as there are no {none} from then on"
    elif far.any():
        row = int(far.argmax()) + 1
        rule = "the clock must go on by less than 292 years; correct the times"
    else:
        return
    got = ", ".join(repr(str(cell)[:60]) for cell in cells.iloc[row])
    names = ", ".join(map(str, cells.columns))
    raise TableError(f"{places.locate(cells.index[row])}: {names} = {got}: {rule}")


def _check_offsets(clock: Clock, reading: Reading, places: Places, first: str) -> None:
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


def _clock_cells(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The clock's columns of a DataFrame."""
    if lacking := [name for name in names if name not in frame.columns]:
        raise TableError(
            f"the table must be indexed by time, or have the clock's columns "
            f"({', '.join(names)}), but has a {type(frame.index).__name__} and no "
            f"{', '.join(lacking)}"
        )
    return frame[list(names)].reset_index(drop=True)


def _read_columns(
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


def _arrange(
    rows: Rows | None,
    columns: Mapping[str, Column],
    reading: Reading,
    places: Places,
    problems: list[str],
) -> pd.DataFrame:
    """The columns by the regular clock; what is wrong with one goes to `problems`."""
    arranged: dict[str, pd.Series[Any]] = {}
    if rows is None:
        return pd.DataFrame()
    for name, column in columns.items():
        try:
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


def _settle(columns: Mapping[str, Column], reading: Reading, rows: Rows) -> KeptReading:
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
        }
    )


def check_splits(frame: pd.DataFrame, settings: DataSettings, file: str) -> None:
    """Training and validation must each have enough of a target that changes."""
    target, validation, test = settings.target, settings.validation_from, settings.test_from
    times = frame.index
    before_test = rows_until(frame, test)[target]
    observed = before_test.dropna()
    if observed.nunique() == 1:
        raise TableError(
            f"{file}: {target} must change, but before test_from ({test}) it is always "
            f"{observed.iloc[0]:g}"
        )
    needed = settings.horizon + 2  # an origin, the hours it forecasts, and one to spare
    training = int(rows_until(frame, validation)[target].count())
    if min(training, len(observed) - training) < needed:
        raise TableError(
            f"{file}: training and validation must each have {needed} rows with {target}, "
            f"horizon + 2, but training, before validation_from ({validation}), has {training}, "
            f"and validation, from then to before test_from ({test}), has "
            f"{len(observed) - training}; the table has {len(frame)} rows, from {times[0]} "
            f"to {times[-1]}"
        )
