"""Which columns of a table are its clock, and the keys of the data block that read it."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np
import pandas as pd

from lstm_model.arrays import IntArray
from lstm_model.configuration import Reading
from lstm_model.data.clock import read_clock, to_texts
from lstm_model.data.diagnosis import diagnose_rows, is_time_of_day, series_keys
from lstm_model.data.panel import arrange_series
from lstm_model.data.places import Places
from lstm_model.data.rows import Rows, arrange_rows
from lstm_model.data.table_file import Table
from lstm_model.data.time_forms import (
    CLOCK_PARTS,
    COMPACT,
    EPOCH_UNITS,
    FORMS,
    NEEDS_DATES,
    YEARS,
    Clock,
)
from lstm_model.data.zones import WELL_KNOWN, fitting_zones
from lstm_model.errors import InputError, TableError
from lstm_model.wording import yaml_text
from tuning.space.series_proposal import SeriesProposal

# Columns of digits are clocks where they are called so: else they may be counts or ids.
NAMES_A_CLOCK = re.compile(
    r"(?<![a-z])((date|unix)?_?time(_?stamp)?|date|stamp|epoch|clock|year|yyyy[a-z]*|jahr|datum"
    r"|(uhr)?zeit(stempel)?|[td]s?|dt)(?![a-z])",
    re.IGNORECASE,
)
DIGITS_ALONE = (*EPOCH_UNITS, COMPACT, YEARS)
SAMPLED_ROWS = 1000  # that a format must read before all are tried
# Forms with months in words, and what else is common, as strptime has them.
FORMATS = (
    "%Y%m%d%H",
    "%Y%m%d%H%M",
    "%Y%m%d %H%M",
    "%Y%m",
    "%d %b %Y",
    "%d %B %Y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%b %Y",
    "%B %Y",
    "%b-%y",
    "%b-%Y",
    "%d %b %Y %H:%M",
    "%d-%b-%Y %H:%M",
    "%d-%b-%Y %H:%M:%S",
    "%d/%b/%Y:%H:%M:%S %z",
    "%a %b %d %H:%M:%S %Y",
    "%m/%Y",
    "%m.%Y",
    "%m/%d/%Y %I %p",
    "%d.%m.%Y %H.%M",
    "%Y-%m-%d-%H",
    "%Y-%m-%d %H",
    "%Y-%m-%d %H.%M",
)
# More rows than this share that have the time of another are no accident.
FEW_TWICE, FEWEST_TWICE = 0.05, 3
MAX_NAMED = 4
TOLERANT = {"gaps": "fill", "duplicates": "last"}
# Which series a table holds, of the clock's columns and its times.
FindSeries = Callable[[Sequence[str], Clock], SeriesProposal | None]
Value = str | tuple[str, ...]


class _SeveralZones(TableError):
    """A wall clock's zone is one of several."""


@dataclass(frozen=True)
class ClockProposal:
    """A table's clock.

    Attributes:
        names: its columns.
        keys: of the data block, each with a value and why it is proposed.
        rows: where the table's rows lie by it.
        series: which of them are of which series; None where the table is one.
    """

    names: tuple[str, ...]
    keys: Mapping[str, tuple[Value, str]]
    rows: Rows
    series: SeriesProposal | None = None

    @property
    def reading(self) -> Reading:
        """How a table is read whose clock has these keys."""
        values = {key: value for key, (value, _) in self.keys.items()}
        return Reading.model_validate({"time": self.names, **values})


def propose_clock(
    table: Table,
    named: Sequence[str] | None,
    zone: str | None,
    encoding: str | None,
    series_of: FindSeries = lambda names, clock: None,
) -> ClockProposal:
    """The clock of a table of which every column was read.

    Args:
        named: its columns, where they are known.
        zone: of its wall clock, where that is known.

    Raises:
        InputError: there is none, or there are several readings of it.
    """
    candidates = [tuple(named)] if named else list(find_clocks(table))
    if not candidates:
        cells = ", ".join(
            f"{name} = {str(table.cells[name].iloc[0])[:60]!r}" for name in table.cells
        )
        raise InputError(
            f"{table.places.name}: the clock must be a column of times such as 2013-01-31 13:00, "
            "or one of dates and one of times of day, or the columns year, month, day and then any "
            f"of hour, minute, second, but the first row has {cells}; --time names a column, and "
            "where its form is another one, the data block needs dates: a format as strptime has it"
        )
    proposals: list[ClockProposal] = []
    errors: list[TableError] = []
    for names in candidates:
        try:
            proposals.append(_propose(table, names, zone, encoding, series_of))
        except TableError as error:
            errors.append(error)
            continue
        if not proposals[-1].rows.repairs:
            break
    if not proposals:
        raise errors[0]
    return min(proposals, key=lambda each: sum(repair.rows for repair in each.rows.repairs))


def find_clocks(table: Table) -> Iterator[tuple[str, ...]]:
    """What may be the clock: each column of times, alone or with one of times of day, and parts."""
    names = list(map(str, table.cells))
    days = [name for name in names if is_time_of_day(table.cells[name])]
    spelled = {name.casefold(): name for name in names}
    parts = tuple(spelled[part] for part in takewhile(spelled.__contains__, CLOCK_PARTS))
    parts = parts if len(parts) >= 2 else ()

    def alone(columns: Iterable[str]) -> Iterator[tuple[str, ...]]:
        for name in columns:
            if _may_be_clock(table.cells[name]):
                others = (day for day in days if day != name and _stands_still(table, name))
                yield from ((name, day) for day in others)
                yield (name,)

    yield from alone(name for name in names if name not in parts)
    if parts:
        yield parts
    if {"year", "quarter"} <= spelled.keys():  # 1980 and Q1
        yield spelled["year"], spelled["quarter"]
    yield from alone(parts)  # last: a year beside a month is no clock by itself, most likely


def _stands_still(table: Table, name: str) -> bool:
    return bool(table.cells[name].duplicated().mean() > 1 / 3)


def _may_be_clock(column: "pd.Series[Any]") -> bool:
    """Whether the first cell is a time."""
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return True
    if pd.api.types.is_numeric_dtype(column.dtype) and column.isna().any():
        return False
    texts = to_texts(column.iloc[:1])
    first = "" if texts.isna().any() else str(texts.iloc[0])
    named = bool(NAMES_A_CLOCK.search(str(column.name)))
    forms = [form for form in FORMS if re.fullmatch(FORMS[form], first)]
    if any(named or form not in DIGITS_ALONE for form in forms):
        return True
    return (named or not first.isdigit()) and any(_has_format(first, form) for form in FORMATS)


def _has_format(text: str, form: str) -> bool:
    return not pd.isna(pd.to_datetime(text, format=form, errors="coerce"))


def _propose(
    table: Table,
    names: tuple[str, ...],
    zone: str | None,
    encoding: str | None,
    series_of: FindSeries,
) -> ClockProposal:
    """The keys that read a clock; raises TableError where there are none, or several."""
    readings: list[tuple[str | None, Clock, SeriesProposal | None, str | None, Rows]] = []
    refused: list[TableError] = []
    for dates, clock in _readable(table, names):
        try:
            series = series_of(names, clock)
            readings.append((dates, clock, series, *_arranged(table, names, clock, series, zone)))
        except _SeveralZones:
            raise
        except TableError as error:  # by another reading the rows may be regular
            refused.append(error)
    if not readings:
        raise refused[0]
    regular = [each for each in readings if not each[-1].repairs] or readings
    fewest = min(sum(repair.rows for repair in each[-1].repairs) for each in regular)
    best = [e for e in regular if sum(repair.rows for repair in e[-1].repairs) == fewest]
    if len(best) > 1:
        first = ", ".join(str(table.cells[name].iloc[0]) for name in names)
        ways = " and ".join(
            f"{str(clock.times[0])[:16].replace('T', ' ')} with dates: {yaml_text(str(dates))}"
            for dates, clock, *_ in best
        )
        raise TableError(
            f"{table.places.name}: {first!r} in {', '.join(names)} can be read in two ways, "
            f"{ways}, and by each of them the rows are regular; write the year first: 2013-01-31"
        )
    dates, clock, series, found, rows = best[0]
    _check_duplicates(table, names, clock, series, rows)
    keys: dict[str, tuple[Value, str]] = {}
    if series is not None:
        keys[series.key] = (series.value, series.description)
    if encoding is not None:
        keys["encoding"] = (encoding, "its bytes are no UTF-8")
    if dates is not None:
        first = " ".join(str(table.cells[name].iloc[0]) for name in names)
        keys["dates"] = (dates, f"the first row, {first}, is {str(clock.times[0])[:10]}")
    if found is not None:
        why = "as was said" if zone else "it leaves out and repeats an hour as the clocks there"
        keys["zone"] = (found, why)
    for repair in rows.repairs:
        if repair.kind in ("gaps", "duplicates"):
            keys[repair.kind] = (repair.value, str(repair))
    return ClockProposal(names, keys, rows, series)


def _readable(table: Table, names: tuple[str, ...]) -> Iterator[tuple[str | None, Clock]]:
    """Each way to read a clock's cells, with the value of `dates` for it."""
    cells = table.cells[list(names)]
    refused: TableError | None = None
    try:
        yield None, read_clock(cells, None, table.places)
        return
    except TableError as error:
        refused = error
    readable = False
    nowhere = Places("", str)
    some = cells.iloc[:: max(1, len(cells) // SAMPLED_ROWS)]
    for dates in (*NEEDS_DATES, *FORMATS):
        try:
            read_clock(some, dates, nowhere)  # most formats fail here, and soon
            clock = read_clock(cells, dates, nowhere)
        except TableError:
            continue
        readable = True
        yield dates, clock
    if not readable:
        raise refused


def _arranged(
    table: Table,
    names: tuple[str, ...],
    clock: Clock,
    series: SeriesProposal | None,
    zone: str | None,
) -> tuple[str | None, Rows]:
    """The rows with what it takes to make them regular, and the zone that is among that."""
    reading = Reading.model_validate({**TOLERANT, "zone": zone})

    def diagnose(chosen: IntArray) -> str | None:
        of_chosen = Clock(clock.times[chosen], clock.is_utc)
        within, first_rows = reading, table.first_rows
        if series is not None:
            within, first_rows = reading.model_copy(update={series.key: series.columns}), (0,)
        cells = table.cells.iloc[chosen]
        return diagnose_rows(table.places, cells, names, of_chosen, within, first_rows)

    def arrange(zone: str | None) -> Rows:
        within = reading.model_copy(update={"zone": zone})
        if series is None:
            labels = table.cells.index
            return arrange_rows(clock, within, table.places, labels, first_rows=table.first_rows)
        places = series.rows.label(table.places)
        return arrange_series(
            clock, series.rows, within, places, first_rows=table.first_rows, advise=diagnose
        )

    rows, refused = None, None
    try:
        rows = arrange(zone)
        if not rows.repairs or zone is not None or clock.is_utc:
            return zone, rows
    except TableError as error:
        refused = error
    times = clock.times if series is None else clock.times[series.longest]
    zones = [] if zone is not None or clock.is_utc else fitting_zones(times)
    known = [group for group in zones if group[0] in WELL_KNOWN] or zones
    if len(known) > 1:
        named = ", ".join(group[0] for group in known[:MAX_NAMED])
        more = ", ..." if len(known) > MAX_NAMED else ""
        raise _SeveralZones(
            f"{table.places.name}: its wall clock leaves out and repeats hours as in several zones "
            f"({named}{more}), which the table can't tell apart; say which with --zone"
        )
    if known:
        return known[0][0], arrange(known[0][0])
    if rows is not None:
        return zone, rows
    assert refused is not None
    advice = None if series is not None else diagnose(np.arange(len(clock.times)))
    raise TableError("\n".join(filter(None, (str(refused), advice)))) from refused


def _check_duplicates(
    table: Table,
    names: tuple[str, ...],
    clock: Clock,
    series: SeriesProposal | None,
    rows: Rows,
) -> None:
    """Many rows of one time are no accident: they may be several series."""
    twice = sum(repair.rows for repair in rows.repairs if repair.kind == "duplicates")
    count = len(table.cells)
    if twice <= max(FEW_TWICE * count, FEWEST_TWICE) or twice <= table.cells.duplicated().sum():
        return
    if series is not None and series.key == "series":
        # Who named some of the columns: others may tell the rest apart.
        times, _ = pd.factorize(clock.times)
        moments = pd.Series(times * len(series.rows.names) + series.rows.numbers)
        apart = [*names, *(name for name in series.columns if name in table.cells)]
        if found := series_keys(table.cells.drop(columns=apart), moments):
            raise TableError(
                f"{table.places.name}: {twice:,} of its {count:,} rows have the time of another of "
                f"their series, and {' and '.join(found)} tells them apart: ask for --series "
                f"{','.join((*series.columns, *found))}"
            )
    raise TableError(
        f"{table.places.name}: {twice:,} of its {count:,} rows have the time of another"
        f"{'' if series is None else ' of their series'}, and no column tells them apart; leave "
        "one row of each time, or say which columns name the series that a row is of with "
        "--series, or with duplicates: in the data block of a space which of them counts"
    )
