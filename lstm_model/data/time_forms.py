"""Texts as times: the forms that a clock's texts have, and how each is read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from lstm_model.arrays import IntArray, Mask, Times

CLOCK_PARTS = ("year", "month", "day", "hour", "minute", "second")
MIN_YEAR = 1000  # a year before it has lost its century
DAY_FIRST, MONTH_FIRST = "day_first", "month_first"
# Two digits of a year: strptime's rule.
FIRST_YEAR_OF_1900 = 69

_OFFSET = r"(?: ?(?P<offset>[Zz]|UTC|GMT|[+-]\d\d(?::?\d\d)?))?"
_TIME = (
    r"(?:[T _]+(?P<hour>\d\d?):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?"
    rf"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?{_OFFSET})?"
)
_DAY, _MONTH, _YEAR = r"(?P<day>\d\d?)", r"(?P<month>\d\d?)", r"(?P<year>\d{4}|\d\d)"
_COMPACT_TIME = rf"(?:[T _]?(?P<hour>\d\d):?(?P<minute>\d\d)?:?(?P<second>\d\d)?{_OFFSET})?"
YEAR_FIRST, COMPACT, MONTHS, QUARTERS, YEARS, WEEKS = (
    "year_first",
    "compact",
    "months",
    "quarters",
    "years",
    "weeks",
)
QUARTERS_FIRST = "quarters_first"
EPOCH_SECONDS, EPOCH_MILLISECONDS = "seconds", "milliseconds"
EPOCH_MICROSECONDS, EPOCH_NANOSECONDS = "microseconds", "nanoseconds"
EPOCH_UNITS = {
    EPOCH_SECONDS: "s",
    EPOCH_MILLISECONDS: "ms",
    EPOCH_MICROSECONDS: "us",
    EPOCH_NANOSECONDS: "ns",
}
# Each form of a clock's texts; those of day and month only where `dates` says so.
FORMS: Mapping[str, str] = {
    YEAR_FIRST: rf"(?P<year>\d{{4}})[-/.]{_MONTH}[-/.]{_DAY}{_TIME}",
    EPOCH_SECONDS: r"(?P<count>-?\d{9,10})(?:\.0+)?",
    EPOCH_MILLISECONDS: r"(?P<count>-?\d{12,13})(?:\.0+)?",
    EPOCH_MICROSECONDS: r"(?P<count>-?\d{15,16})(?:\.0+)?",
    EPOCH_NANOSECONDS: r"(?P<count>-?\d{18,19})(?:\.0+)?",
    COMPACT: rf"(?P<year>\d{{4}})(?P<month>\d\d)(?P<day>\d\d){_COMPACT_TIME}",
    MONTHS: rf"(?P<year>\d{{4}})[-/.Mm]{_MONTH}",
    QUARTERS: r"(?P<year>\d{4})[-/. ]?[Qq](?P<quarter>[1-4])",
    QUARTERS_FIRST: r"[Qq](?P<quarter>[1-4])[-/. ]?(?P<year>\d{4})",
    YEARS: r"(?P<year>\d{4})",
    WEEKS: r"(?P<year>\d{4})-?W(?P<week>\d\d)",
    DAY_FIRST: rf"{_DAY}[-/. ]{_MONTH}[-/. ]{_YEAR}{_TIME}",
    MONTH_FIRST: rf"{_MONTH}[-/. ]{_DAY}[-/. ]{_YEAR}{_TIME}",
}
NEEDS_DATES = (DAY_FIRST, MONTH_FIRST)
OFFSET_RULE = "must have an offset from UTC, as other rows have, such as +01:00 or Z"
PART = 100_000  # rows
MICROSECOND = np.timedelta64(1, "us")


class WrongTime(Exception):
    """A text that is no time: its row's number, and the rule that it breaks; None of its form."""

    def __init__(self, row: int, rule: str | None = None) -> None:
        super().__init__(row, rule)
        self.row, self.rule = row, rule


@dataclass(frozen=True)
class Clock:
    """What a table's clock says.

    Attributes:
        times: (T,) of the rows: on UTC where `is_utc`, else as the wall clock shows them.
        is_utc: whether the texts say where on UTC they lie.
    """

    times: Times
    is_utc: bool


def parse_form(column: "pd.Series[Any]", form: str) -> Clock:
    """The times of texts that all have one form; raises WrongTime at the first that is none."""
    clocks: list[Clock] = []
    # By parts: their digits take ten times as much memory as the times.
    for start in range(0, len(column), PART):
        try:
            clocks.append(_parse_part(column.iloc[start : start + PART], form))
        except WrongTime as error:
            raise WrongTime(start + error.row, error.rule) from error
        if clocks[-1].is_utc is not clocks[0].is_utc:
            raise WrongTime(start if clocks[0].is_utc else 0, OFFSET_RULE)
    return Clock(np.concatenate([clock.times for clock in clocks]), clocks[0].is_utc)


def _parse_part(column: "pd.Series[Any]", form: str) -> Clock:
    fields = pc.extract_regex(pa.array(column), f"^(?:{FORMS[form]})$")
    if isinstance(fields, pa.ChunkedArray):
        fields = fields.combine_chunks()
    if fields.null_count:
        row = int(np.argmax(np.asarray(fields.is_null())))
        raise WrongTime(row)
    names = [field.name for field in fields.type]
    parts = {name: fields.field(number) for number, name in enumerate(names)}
    if "count" in parts:
        counts = _whole(parts["count"]).astype(f"datetime64[{EPOCH_UNITS[form]}]")
        return Clock(counts.astype("datetime64[us]"), is_utc=True)
    whole = {
        name: _whole(parts[name]) for name in (*CLOCK_PARTS, "quarter", "week") if name in parts
    }
    if form in NEEDS_DATES:
        short = np.asarray(pc.utf8_length(parts["year"])) == 2
        century = np.where(whole["year"] < FIRST_YEAR_OF_1900, 2000, 1900)
        whole["year"] = np.where(short, century + whole["year"], whole["year"])
    if "quarter" in whole:
        whole["month"] = 3 * whole.pop("quarter") - 2
    if "half" in parts:
        whole["hour"] = _of_24_hours(whole["hour"], parts["half"])
    if form == YEARS and (wrong := (whole["year"] < 1500) | (whole["year"] > 2500)).any():
        raise WrongTime(int(wrong.argmax()), "a year alone must be from 1500 to 2500")
    weeks = whole.pop("week", None)
    times = compose(whole)
    if weeks is not None:
        times = _add_weeks(times, weeks)
    if "fraction" in parts:
        digits = pc.utf8_rpad(pc.utf8_slice_codeunits(parts["fraction"], 0, 6), 6, "0")
        times = times + _whole(digits) * MICROSECOND
    if "offset" not in parts or not (has := np.asarray(pc.utf8_length(parts["offset"])) > 0).any():
        return Clock(times, is_utc=False)
    if not has.all():
        raise WrongTime(int(np.argmin(has)), OFFSET_RULE)
    return Clock(times - _offsets(parts["offset"]), is_utc=True)


def _whole(texts: pa.Array) -> IntArray:
    """Texts of digits as numbers; an empty one is 0."""
    filled = pc.if_else(pc.equal(texts, ""), "0", texts)
    return np.asarray(filled.cast(pa.int64()))


def compose(parts: Mapping[str, IntArray]) -> Times:
    """Times of whole parts; 24:00 is the next midnight. A part that is not there is its first."""
    year = parts["year"]
    month, day = (parts.get(name, np.ones_like(year)) for name in ("month", "day"))
    hour, minute, second = (parts.get(name, np.zeros_like(year)) for name in CLOCK_PARTS[3:])
    months = (year - 1970).astype("datetime64[Y]").astype("datetime64[M]") + (month - 1)
    last_day = ((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(int)
    midnight = (hour == 24) & (minute == 0) & (second == 0)
    rules: tuple[tuple[Mask, str], ...] = (
        (year < MIN_YEAR, "the year must have four digits"),
        ((month < 1) | (month > 12), "the month must be from 1 to 12"),
        ((day < 1) | (day > last_day), "the month has no such day"),
        ((hour > 23) & ~midnight, "the hour must be from 0 to 23, or 24:00"),
        (minute > 59, "the minute must be from 0 to 59"),
        (second > 59, "the second must be from 0 to 59"),
    )
    for wrong, rule in rules:
        if wrong.any():
            raise WrongTime(int(wrong.argmax()), rule)
    seconds = 3600 * hour + 60 * minute + second
    days = months.astype("datetime64[D]") + (day - 1)
    return np.asarray(days.astype("datetime64[us]") + 1_000_000 * seconds * MICROSECOND)


def _of_24_hours(hour: IntArray, half: pa.Array) -> IntArray:
    """Hours of AM and PM: 12 AM is midnight, 12 PM noon."""
    has = np.asarray(pc.utf8_length(half)) > 0
    if not has.any():
        return hour
    if (wrong := has & ((hour < 1) | (hour > 12))).any():
        rule = "an hour with AM or PM must be from 1 to 12"
        raise WrongTime(int(wrong.argmax()), rule)
    afternoon = np.asarray(pc.equal(pc.utf8_upper(half), "P"))
    return np.where(has, hour % 12 + 12 * afternoon, hour)


def _add_weeks(times: Times, weeks: IntArray) -> Times:
    """The Monday of each ISO week: week 1 holds the fourth of January."""
    fourth = times.astype("datetime64[D]") + 3
    monday = fourth - (fourth.astype(np.int64) + 3) % 7
    days = monday + 7 * (weeks - 1)
    thursday_year = (days + 3).astype("datetime64[Y]")
    if (wrong := (weeks < 1) | (thursday_year != times.astype("datetime64[Y]"))).any():
        raise WrongTime(int(wrong.argmax()), "the year has no such week")
    return np.asarray(days.astype("datetime64[us]"))


def _offsets(texts: pa.Array) -> npt.NDArray[np.timedelta64]:
    """How far a clock is ahead of UTC."""
    kinds = texts.dictionary_encode()
    seconds = []
    for text in kinds.dictionary.to_pylist():
        digits = re.sub(r"\D", "", text)
        sign = -1 if text.startswith("-") else 1
        seconds.append(sign * (int(digits[:2] or 0) * 3600 + int(digits[2:] or 0) * 60))
    ahead: npt.NDArray[np.timedelta64] = np.array(seconds, "timedelta64[s]")
    return ahead.take(np.asarray(kinds.indices))
