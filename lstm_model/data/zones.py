"""A wall clock's times on UTC, where the clock is put forward and back."""

from collections.abc import Callable
from datetime import timedelta
from typing import Literal
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pandas as pd

from lstm_model.arrays import Times
from lstm_model.data.step import DAY, NOTHING, to_ticks
from lstm_model.errors import TableError

# Rows that are not one step apart: with more, something else is wrong.
MOST_ODD = 2000
LONGEST_MOVE = timedelta(days=2)  # of a clock that is changed, and a step
# What is named of zones that show the same times.
WELL_KNOWN = (
    "Europe/Berlin",
    "Europe/London",
    "Europe/Athens",
    "Europe/Moscow",
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Sao_Paulo",
    "America/Santiago",
    "Australia/Sydney",
    "Australia/Adelaide",
    "Pacific/Auckland",
    "Asia/Jerusalem",
)


def on_zone(times: Times, zone: str) -> pd.DatetimeIndex:
    """Times on UTC, as the clocks of a zone show them."""
    return pd.DatetimeIndex(times, tz="UTC", name="time").tz_convert(zone)


def localize(
    times: Times, zone: str, locate: Callable[[int], str], *, days: bool = False
) -> tuple[pd.DatetimeIndex, list[int]]:
    """What a zone's wall clock shows, as times of that zone.

    Of an hour that comes twice the first row is the first, and a row is the second where it would
    not come after the row before it, or where only so it is followed as closely as all others.

    Args:
        times: (T,) in the order of the rows.
        locate: where a row stands, by its number.
        days: whether rows are days or longer: one whose midnight is left out begins an hour later.

    Returns:
        The times, and the rows that could be of either hour, and were taken for the first.

    Raises:
        TableError: a time is left out in that zone, or rows of an hour that comes twice are mixed.
    """
    wall = pd.DatetimeIndex(times, name="time")
    first = np.ones(len(wall), bool)
    missing: Literal["shift_forward", "NaT"] = "shift_forward" if days else "NaT"
    early = wall.tz_localize(zone, ambiguous=first, nonexistent=missing)
    never = np.asarray(early.isna())
    if never.any():
        row = int(never.argmax())
        raise TableError(
            f"{locate(row)}: {wall[row]} is never shown by a wall clock in {zone}, where the clock "
            f"is put forward over it ({never.sum()} such rows); if the table has "
            "another zone, or standard time all year, set zone in the data block to that, such as "
            "Etc/GMT-1, or leave it out"
        )
    late = wall.tz_localize(zone, ambiguous=~first, nonexistent=missing)
    twice = np.flatnonzero(early != late)
    if days or not len(twice):
        return early, []
    utc_early, utc_late = to_ticks(early), to_ticks(late)
    usual = _usual_gap(utc_early)
    chosen = utc_early.copy()
    once: list[int] = []
    for stretch in np.split(twice, np.flatnonzero(np.diff(twice) != 1) + 1):
        steps = np.diff(times[stretch])
        # Where rows run back once, those that stand still are doubled ones.
        back = np.flatnonzero(steps < NOTHING if (steps < NOTHING).any() else steps == NOTHING)
        if len(back) > 1:
            raise TableError(
                f"{locate(int(stretch[0]))}: the hour of {wall[stretch[0]]}, which comes twice in "
                f"{zone}, must be there once after the other, but its rows are mixed; sort the "
                "table by UTC, or write the offset"
            )
        start, end = int(stretch[0]), int(stretch[-1]) + 1
        if len(back):
            second = start + int(back[0]) + 1
        else:
            before = chosen[start - 1] if start > 0 else None
            after = utc_early[end] if end < len(wall) else None
            is_first = before is not None and utc_early[start] - before == usual
            is_second = after is not None and after - utc_late[end - 1] == usual
            if before is None and after is not None:
                is_first = after - utc_early[end - 1] == usual
            # Rows are missing between these; the row before and the one after speak for the ends.
            pieces = np.split(stretch, np.flatnonzero(steps != usual) + 1)
            is_clear = len(pieces) > 1 or is_first != is_second
            second = int(pieces[-1][0]) if is_second and is_clear else end
            known = start + len(pieces[0]) if is_first and is_clear else start
            if len(pieces) > 1 or not is_clear:
                once += range(known, second)
        chosen[second:end] = utc_late[second:end]
    return on_zone(chosen, zone), once


def _usual_gap(times: Times) -> np.timedelta64:
    """What most times and the next ones are apart; nothing where there is one time alone."""
    values, counts = np.unique(np.diff(times), return_counts=True)
    return values[counts.argmax()] if len(values) else NOTHING


def fitting_zones(times: Times) -> list[list[str]]:
    """The zones whose wall clock explains why rows are not all one step apart, the best alone.

    A zone is one of them where every row that stands still or runs back does not on its clock, and
    more rows are a step apart than without it.

    Returns:
        The zones in groups that show the same times, the best known name of each group first.
    """
    gaps, usual = np.diff(times), _usual_gap(times)
    odd = np.flatnonzero(gaps != usual)
    if usual >= DAY.to_timedelta64() or not 0 < len(odd) <= MOST_ODD:
        return []
    back = gaps[odd] <= NOTHING
    before, after = (pd.DatetimeIndex(times[rows]) for rows in (odd, odd + 1))
    is_first = np.ones(len(odd), bool)
    fewest = len(odd)
    groups: dict[bytes, list[str]] = {}
    alike: dict[bytes, list[str]] = {}  # zones by what they make of the odd rows
    for zone in _zones_that_change(before, after):
        start = before.tz_localize(zone, ambiguous=is_first, nonexistent="NaT")
        end = after.tz_localize(zone, ambiguous=~is_first, nonexistent="NaT")
        explained = np.asarray(end - start == pd.Timedelta(usual))
        if not explained.any() or not explained[back].all():
            continue
        key = start.asi8.tobytes() + end.asi8.tobytes()
        if key in alike:
            alike[key].append(zone)
            continue
        alike[key] = [zone]
        try:
            index, _ = localize(times, zone, str)
        except TableError:
            continue
        left = int((np.diff(to_ticks(index)) != usual).sum())
        if left < fewest:
            fewest, groups = left, {}
        if left == fewest < len(odd):
            groups[key] = alike[key]
    return list(groups.values())


def _zones_that_change(before: pd.DatetimeIndex, after: pd.DatetimeIndex) -> list[str]:
    """The zones whose clock is changed between a time and the next one, the best known first."""
    pairs = [
        (start, end.replace(fold=1))  # of an hour that comes twice the second
        for start, end in zip(before.to_pydatetime(), after.to_pydatetime(), strict=True)
        if abs(end - start) <= LONGEST_MOVE
    ]
    names = sorted(available_timezones() if pairs else (), key=lambda name: (_rank(name), name))
    zones = {name: ZoneInfo(name) for name in names}
    return [
        name
        for name, zone in zones.items()
        if any(zone.utcoffset(start) != zone.utcoffset(end) for start, end in pairs)
    ]


def _rank(zone: str) -> int:
    """Well-known names first, then those of places, then all others."""
    if zone in WELL_KNOWN:
        return WELL_KNOWN.index(zone)
    return len(WELL_KNOWN) + ("/" not in zone or zone.startswith(("Etc/", "US/", "posix")))
