"""The time from one row to the next: a fixed span, or a step of the calendar."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Self

import numpy as np
import pandas as pd
from pandas.tseries.offsets import BaseOffset

from lstm_model.arrays import Times

DAY, WEEK, YEAR = pd.Timedelta(days=1), pd.Timedelta(days=7), pd.Timedelta(days=365)
MONTH = pd.Timedelta(days=365.25 / 12)
SHORTEST_MONTH = pd.Timedelta(days=28)
NOTHING = np.timedelta64(0, "us")
ALMOST_A_DAY = pd.Timedelta(hours=22).to_timedelta64()
MOSTLY = 0.5  # share of steps that are alike where a table has gaps
FIXED = "s"  # the unit of a span
MONTH_UNIT, BUSINESS_DAY = "month", "business day"
# The calendar's units: one as pandas has it, and how long it is on average. A "month" goes from a
# day of the month to the same one of the next, up to the 28th, which each month has.
CALENDAR_UNITS: dict[str, tuple[BaseOffset, pd.Timedelta]] = {
    MONTH_UNIT: (pd.DateOffset(months=1), MONTH),
    "month end": (pd.offsets.MonthEnd(), MONTH),
    "last business day of the month": (pd.offsets.BMonthEnd(), MONTH),
    "first business day of the month": (pd.offsets.BMonthBegin(), MONTH),
    BUSINESS_DAY: (pd.offsets.BDay(), WEEK / 5),
}
SPAN_NAMES = (("day", 86400), ("h", 3600), ("min", 60), ("s", 1))


@dataclass(frozen=True)
class Step:
    """The time from one row to the next.

    Spans of whole days and the calendar's steps are counted on the wall clock: a day is 23 hours
    long where the clock is put forward. Shorter spans are counted in UTC.

    Attributes:
        count: how many of `unit`; of the calendar's a whole number.
        unit: 's', or a key of CALENDAR_UNITS.

    >>> Step.of(pd.Timedelta(hours=6)).name, Step(3, "month").name, Step(1, "business day").name
    ('6 h', '1 quarter', '1 business day')
    >>> Step(1, "business day").after(pd.DatetimeIndex(["2021-01-01"]), 1)[0].day_name()
    'Monday'
    """

    count: float
    unit: str = FIXED

    @classmethod
    def of(cls, span: pd.Timedelta) -> Self:
        """A fixed span."""
        return cls(span.total_seconds())

    @cached_property
    def duration(self) -> pd.Timedelta:
        """How long a step is; of the calendar's, on average."""
        if self.is_fixed:
            return pd.Timedelta(seconds=self.count).as_unit("us")
        return self.count * CALENDAR_UNITS[self.unit][1]

    @property
    def is_fixed(self) -> bool:
        """Whether it is a span, and none of the calendar's steps."""
        return self.unit == FIXED

    @property
    def on_the_wall(self) -> bool:
        """Whether it is counted on the wall clock."""
        return not self.is_fixed or self.duration % DAY == pd.Timedelta(0)

    def is_even(self, times: pd.DatetimeIndex) -> bool:
        """Whether it is the same span at all of these times, as no zone makes a day longer."""
        return self.is_fixed and (times.tz is None or not self.on_the_wall)

    @property
    def _offset(self) -> pd.Timedelta | BaseOffset:
        return self.duration if self.is_fixed else CALENDAR_UNITS[self.unit][0] * int(self.count)

    def after(self, times: pd.DatetimeIndex, steps: int) -> pd.DatetimeIndex:
        """The times so many steps after these, or before them where `steps` is negative."""
        if steps == 0:
            return times
        if not self.on_the_wall:
            return pd.DatetimeIndex(times + steps * self.duration)
        return put_on_clock(pd.DatetimeIndex(dates_on_wall(times) + steps * self._offset), times)

    def grid(self, first: pd.Timestamp, last: pd.Timestamp) -> pd.DatetimeIndex:
        """Every time from the first one up to the last."""
        ends = pd.DatetimeIndex([first, last], name="time")
        wall = dates_on_wall(ends) if self.on_the_wall else ends
        times = pd.date_range(wall[0], wall[1], freq=self._offset, name="time", unit=ends.unit)
        times = pd.DatetimeIndex(times.to_numpy() if times.tz is None else times).rename("time")
        if not self.on_the_wall:
            return times
        put = put_on_clock(times, ends)
        # A day that a zone leaves out, as Apia did, is none.
        return put[put.tz_localize(None).normalize() == times.normalize()]

    def rows_per(self, period: pd.Timedelta) -> int | None:
        """How many rows a period has, such as WEEK or YEAR; None where that is no whole number.

        A week has five business days. A year has twelve months; of no other step is it a period,
        but for the 365 days that YEAR is.
        """
        if self.is_fixed or (self.unit == BUSINESS_DAY and period == WEEK):
            rows, rest = divmod(period, self.duration)
            return int(rows) if rest == pd.Timedelta(0) else None
        if self.unit == BUSINESS_DAY or period != YEAR or 12 % self.count:
            return None
        return int(12 // self.count)

    @property
    def name(self) -> str:
        """Such as 1 h, 15 min, 2 days, 1 month, 1 quarter."""
        if self.is_fixed:
            units = ((unit, self.count / long) for unit, long in SPAN_NAMES)
            unit, count = next(
                ((unit, count) for unit, count in units if count.is_integer()), ("s", self.count)
            )
            return f"{count:g} {unit}{'s' if unit == 'day' and count > 1 else ''}"
        count = int(self.count)
        if self.unit == BUSINESS_DAY:
            return f"{count} {self.unit}{'s' if count > 1 else ''}"
        span = {1: "1 month", 3: "1 quarter", 12: "1 year"}.get(count, f"{count} months")
        return span if self.unit == MONTH_UNIT else f"{span} ({self.unit})"


def to_ticks(times: pd.DatetimeIndex) -> Times:
    """Times on UTC, or on the wall where there is no zone, as numpy has them."""
    return np.asarray(times.to_numpy("datetime64[us]"))


def lead_name(step: str, steps: int) -> str:
    """A lead time in steps of that name.

    >>> lead_name("1 h", 3), lead_name("15 min", 3)
    ('3 h', '3 steps of 15 min')
    """
    return f"{steps} h" if step == "1 h" else f"{steps} step{'s' if steps > 1 else ''} of {step}"


def put_on_clock(wall: pd.DatetimeIndex, clock: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """What a wall clock shows, as times of another index's zone.

    Of a time that comes twice it is the first, and of one that is left out the next that there is.
    """
    if clock.tz is None:
        return wall
    return wall.tz_localize(
        clock.tz, ambiguous=np.ones(len(wall), bool), nonexistent="shift_forward"
    )


def dates_on_wall(times: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """What the wall clock shows, but midnight where each time is the first of its day: one that a
    zone leaves out stands an hour later.
    """
    wall = times.tz_localize(None)
    midnights = wall.normalize()
    is_first = times.tz is not None and put_on_clock(midnights, times).equals(times)
    return midnights if is_first else wall


def on_wall(times: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """What the wall clock shows at these times, without its zone."""
    return times.tz_localize(None)


def format_times(times: pd.DatetimeIndex) -> list[str]:
    """As files have them: 2021-03-28 03:00, and +02:00 behind it where the clock has a zone.

    >>> format_times(pd.DatetimeIndex(["2021-03-28 01:00"], tz="UTC").tz_convert("Europe/Berlin"))
    ['2021-03-28 03:00+02:00']
    """
    has_seconds = bool((times.second != 0).any())
    return [time.isoformat(" ", "seconds" if has_seconds else "minutes") for time in times]


def rows_before(times: pd.DatetimeIndex, time: datetime) -> int:
    """How many of these rising times lie before the one that their wall clock shows."""
    if not len(times):
        return 0
    stamp, ends = pd.Timestamp(time), times[[0, -1]].tz_localize(None)
    # First without the zone: of the year 9999, which stands for no end, none is to be worked out.
    if stamp <= ends[0] or stamp > ends[1]:
        return 0 if stamp <= ends[0] else len(times)
    return int(times.searchsorted(put_on_clock(pd.DatetimeIndex([stamp]), times)[0]))


def rows_until(frame: pd.DataFrame, time: datetime) -> pd.DataFrame:
    """The rows of a table by its clock that lie before a time."""
    return frame.iloc[: rows_before(pd.DatetimeIndex(frame.index), time)]


def find_step(times: pd.DatetimeIndex) -> Step | None:
    """The step that all of these times are whole numbers of apart; None where there is none.

    Args:
        times: two or more, rising.
    """
    wall = times.tz_localize(None)
    if times.tz is not None and np.diff(wall.to_numpy()).min() >= ALMOST_A_DAY:
        wall = dates_on_wall(times)
    shortest = pd.Timedelta(np.diff(wall.to_numpy()).min())
    candidates = []
    if shortest >= SHORTEST_MONTH:
        count = int(np.gcd.reduce(np.diff(wall.year.to_numpy() * 12 + wall.month.to_numpy())))
        if count:
            candidates += [Step(count, unit) for unit in CALENDAR_UNITS if "month" in unit]
    elif shortest == DAY and bool((wall.day_of_week < 5).all()) and wall[-1] - wall[0] >= WEEK:
        candidates.append(Step(1, BUSINESS_DAY))
    # A day that the clock changes in is a day, where rows are days.
    clock = wall if shortest >= DAY else times
    gaps, counts = np.unique(np.diff(to_ticks(clock)), return_counts=True)
    candidates += [Step.of(pd.Timedelta(gap)) for gap in (gaps[counts.argmax()], gaps[0])]
    return next((step for step in candidates if off_grid(times, step) is None), None)


def likely_months(times: pd.DatetimeIndex) -> Step | None:
    """The step of months that most of these rising times are on, or None."""
    months = np.diff(times.year.to_numpy() * 12 + times.month.to_numpy())
    kinds, counts = np.unique(months, return_counts=True)
    if not (count := int(kinds[counts.argmax()])):
        return None
    steps = [Step(count, unit) for unit in CALENDAR_UNITS if "month" in unit]
    on = [float(times.isin(step.grid(times[0], times[-1])).mean()) for step in steps]
    return steps[int(np.argmax(on))] if max(on) > MOSTLY else None


def off_grid(times: pd.DatetimeIndex, step: Step) -> int | None:
    """The first of these rising times that is no whole number of steps after the first one."""
    if step.is_even(times):
        ticks = to_ticks(times)
        off = (ticks - ticks[0]) % step.duration.to_timedelta64() != NOTHING
    else:
        off = ~times.isin(step.grid(times[0], times[-1]))
    return int(off.argmax()) if off.any() else None
