"""The clock of a table: its cells as times, on UTC or on a wall.

A text is taken for a time where it can be read in one way. What has two ways is refused with both,
until `dates` says which it is.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lstm_model.arrays import Times
from lstm_model.data.columns import format_code
from lstm_model.data.places import Places
from lstm_model.data.table_file import TEXT
from lstm_model.data.time_forms import (
    CLOCK_PARTS,
    DAY_FIRST,
    EPOCH_UNITS,
    FORMS,
    NEEDS_DATES,
    YEAR_FIRST,
    Clock,
    WrongTime,
    compose,
    parse_form,
)
from lstm_model.errors import TableError

TIME_OF_DAY = re.compile(r"\d\d?:\d\d(:\d\d([.,]\d+)?)?( ?[AaPp]\.?[Mm]\.?)?")
HOURS, HOURS_AND_MINUTES = re.compile(r"\d\d?(\.0+)?"), re.compile(r"\d{1,4}(\.0+)?")
MOSTLY = 0.5  # share of cells that are alike where one may be wrong
# What `dates` is for texts of digits that could be seconds too, by their length.
COMPACT_FORMATS = {10: "%Y%m%d%H", 12: "%Y%m%d%H%M"}


def clock_columns(time: str | Sequence[str] | None) -> Sequence[str]:
    """The clock's columns, of what a space says of it.

    Raises:
        TableError: they are neither one column, nor date and time, nor the parts of a date.
    """
    if time is None:
        return CLOCK_PARTS[:4]
    names = (time,) if isinstance(time, str) else tuple(time)
    if len(names) <= 2 or _are_parts(names):
        return names
    raise TableError(
        "time must name one column, or one with the date and one with the time of day, or year, "
        f"month, day and then any of hour, minute, second, in this order, but got "
        f"[{', '.join(names)}]"
    )


def _are_parts(names: Sequence[str]) -> bool:
    parts = tuple(name.casefold() for name in names)
    return len(names) >= 2 and parts == CLOCK_PARTS[: len(names)]


def read_clock(cells: pd.DataFrame, dates: str | None, places: Places) -> Clock:
    """The times of the rows.

    Args:
        cells: the clock's columns, as a table has them.
        dates: `day_first`, `month_first`, or a format of strptime, where it is none of ISO 8601.

    Raises:
        TableError: a row has no time, or can be read in two ways.
    """
    names = tuple(map(str, cells.columns))
    if len(names) == 1 and pd.api.types.is_datetime64_any_dtype(cells.iloc[:, 0].dtype):
        return _typed_times(cells.iloc[:, 0], places)
    for name in names if len(names) == 2 else ():
        _check_dates_alone(cells[name], places)
    texts = {name: to_texts(cells[name]) for name in names}
    if _are_parts(names):
        return Clock(_of_parts(texts, cells, places), is_utc=False)
    column = texts[names[0]]
    if len(names) == 2:
        column = column + " " + spell_times_of_day(texts[names[1]])
    column = column.fillna("")
    if dates is not None and "%" in dates:
        return _of_format(column, dates, cells, places)
    forms = [dates] if dates is not None else find_forms(column)
    if len(forms) > 1:
        raise _ambiguous(column, forms, cells, places)
    form = forms[0] if forms else YEAR_FIRST
    try:
        return parse_form(column, form)
    except WrongTime as error:
        raise _no_time(cells, error.row, error.rule or _rule(column, form), places) from error


def _check_dates_alone(column: "pd.Series[Any]", places: Places) -> None:
    """Typed dates, with times of day beside them, must have none of their own, nor a zone."""
    if not pd.api.types.is_datetime64_any_dtype(column.dtype):
        return
    known = column.dropna()
    if known.dt.tz is not None or (known != known.dt.normalize()).any():
        raise TableError(
            f"{places.prefix}{column.name} must be dates alone beside a column of times of day, "
            f"but is times such as {known.iloc[0]}; name it alone, or write the dates"
        )


def to_texts(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Cells as texts: a number without a fraction as a whole one."""
    if pd.api.types.is_datetime64_any_dtype(column.dtype):  # a date, with its time beside it
        return pd.Series(column.dt.strftime("%Y-%m-%d")).astype(TEXT)
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.map(format_code, na_action="ignore").astype(TEXT)
    return column


def find_forms(column: "pd.Series[Any]") -> list[str]:
    """The forms that every text has, those that need no `dates`; or where there is none, the one
    that the first text has.
    """
    first = str(column.iloc[0])
    forms = [form for form in FORMS if form not in NEEDS_DATES and re.fullmatch(FORMS[form], first)]
    whole = [form for form in forms if column.str.fullmatch(FORMS[form]).all()]
    readable = [form for form in whole if len(whole) == 1 or _is_readable(column, form)]
    return readable or whole[:1] or _usual_form(column) or forms[:1]


def _usual_form(column: "pd.Series[Any]") -> list[str]:
    """The form that most texts have, though not all, as where the first one is wrong."""
    for form in FORMS:
        if form not in NEEDS_DATES and column.str.fullmatch(FORMS[form]).mean() > MOSTLY:
            return [form]
    return []


def _is_readable(column: "pd.Series[Any]", form: str) -> bool:
    try:
        parse_form(column, form)
    except WrongTime:
        return False
    return True


def spell_times_of_day(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Hours (13), or hours and minutes (1300, 5 for 00:05 beside such) as 13:00."""
    fits = column.str.fullmatch(HOURS_AND_MINUTES.pattern).fillna(False).astype(bool)
    if fits.mean() <= MOSTLY:
        return column
    digits = column.str.replace(r"\.0+$", "", regex=True)
    if column[fits].str.fullmatch(HOURS.pattern).all():
        spelled = digits + ":00"
    else:
        digits = digits.str.zfill(4)
        spelled = digits.str[:2] + ":" + digits.str[2:]
    return spelled.where(fits, column)  # what is none stands as it is, and is told


def _typed_times(column: "pd.Series[Any]", places: Places) -> Clock:
    if (missing := column.isna()).any():
        row = column.index[int(missing.argmax())]
        raise TableError(f"{places.locate(row)}: {column.name} must be a time, but is empty")
    is_utc = column.dt.tz is not None
    naive = column.dt.tz_convert(None) if is_utc else column
    return Clock(naive.to_numpy("datetime64[us]"), is_utc)


def _of_parts(texts: Mapping[str, "pd.Series[Any]"], cells: pd.DataFrame, places: Places) -> Times:
    parts = {}
    for name, column in texts.items():
        column = column.str.replace(r"\.0+$", "", regex=True).fillna("")
        if (wrong := ~column.str.fullmatch(r"[0-9]{1,4}")).any():
            rule = "must be whole numbers of up to 4 digits"
            raise _no_time(cells, int(wrong.argmax()), rule, places)
        parts[name.casefold()] = column.to_numpy(np.int64)
    try:
        return compose(parts)
    except WrongTime as error:
        raise _no_time(cells, error.row, str(error.rule), places) from error


def _of_format(column: "pd.Series[Any]", form: str, cells: pd.DataFrame, places: Places) -> Clock:
    """The times of texts of a strptime format."""
    is_utc = "%z" in form
    try:
        times = pd.to_datetime(column, format=form, errors="coerce", utc=is_utc)
    except (ValueError, TypeError) as error:
        raise TableError(
            f"{places.prefix}dates must be a format as strptime has it, such as '%d.%m.%Y %H:%M', "
            f"but got {form!r}: {error}"
        ) from error
    if (wrong := times.isna()).any():
        raise _no_time(cells, int(wrong.argmax()), f"must have the format {form!r}", places)
    return _typed_times(times, places)


def _rule(column: "pd.Series[Any]", form: str) -> str:
    """What a text must be that is no time, with the ways that it could be read in."""
    rule = "must be a time such as 2013-01-31 13:00, year first"
    if form != YEAR_FIRST:
        alike = column.str.fullmatch(FORMS[form])
        if not alike.any():
            return f"must be a time as dates: {form} has it" if form in NEEDS_DATES else rule
        which = "the first row has" if alike.iloc[0] else "most rows have"
        return f"must be a time as {which} it, {str(column[alike].iloc[0])!r}"
    has_form = column.str.fullmatch(FORMS[DAY_FIRST])  # and that of the month first
    dates, ways = column[has_form], []
    if has_form.mean() >= MOSTLY:  # one row alone may be wrong
        ways = [key for key in NEEDS_DATES if _is_readable(dates, key)]
    if not ways:
        return f"{rule}; for other forms the data block has dates: a format as strptime has it"
    readings = " or ".join(f"dates: {key}" for key in ways)
    if len(ways) == 1:
        return f"{rule}, or with {readings} in the data block"
    first = str(dates.iloc[0])
    day, month = (parse_form(dates.iloc[:1], key).times[0] for key in NEEDS_DATES)
    return (
        f"{rule}; {first!r} can be read in two ways, {str(day)[:10]} with the day first, and "
        f"{str(month)[:10]} with the month first: say which in the data block, {readings}"
    )


def _ambiguous(
    column: "pd.Series[Any]", forms: Sequence[str], cells: pd.DataFrame, places: Places
) -> TableError:
    """Why texts of digits can't be read: each way gives another time."""
    first = str(column.iloc[0])
    ways = []
    for form in forms:
        time = parse_form(column.iloc[:1], form).times[0]
        ways.append(f"{str(time)[:16].replace('T', ' ')} as {_describe(form)}")
    form = COMPACT_FORMATS.get(len(first), "%Y%m%d")
    return TableError(
        f"{places.locate(cells.index[0])}: {', '.join(map(str, cells.columns))} = {first!r} can be "
        f"read in two ways, {' and '.join(ways)}: say which in the data block, dates: {form!r}, or "
        "write the seconds as a time"
    )


def _describe(form: str) -> str:
    """What a form is, in words."""
    if form in EPOCH_UNITS:
        return f"{form} since 1970"
    return "year, month, day and time without anything between"


def _no_time(cells: pd.DataFrame, row: int, rule: str, places: Places) -> TableError:
    got = ", ".join(f"{str(cell)[:60]!r}" for cell in cells.iloc[row].fillna(""))
    where = places.locate(cells.index[row])
    return TableError(f"{where}: {', '.join(map(str, cells.columns))} = {got}: {rule}")
