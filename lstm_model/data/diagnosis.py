"""What a table that was refused seems to be, and the key that reads it.

The reader has said which rule the table breaks, and where: this may be slow, and guess.
"""

import re
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from lstm_model.arrays import Times
from lstm_model.configuration import Reading
from lstm_model.data.clock import TIME_OF_DAY, read_clock, spell_times_of_day, to_texts
from lstm_model.data.places import Places
from lstm_model.data.step import ALMOST_A_DAY
from lstm_model.data.time_forms import CLOCK_PARTS, Clock
from lstm_model.data.zones import fitting_zones
from lstm_model.errors import TableError
from lstm_model.series_rules import FILE
from lstm_model.wording import yaml_text

FEW_ROWS = 100
MAX_NAMED = 4  # series, or zones, that are named
# Numbers of a column are hours, or hours and minutes, where its name says so: else they may be ids.
NAMES_A_TIME = re.compile(r"time|hour|hh|stunde|zeit|uhr|tod|^hr?$|^hrmn$", re.IGNORECASE)
# A column of such a name tells no series apart.
PARTS_OF_A_CLOCK = {*CLOCK_PARTS, "quarter", "week", "period", "time"}
# In a table of several series, this share of each one's rows is one step after the row before.
MOSTLY = 0.9
# Of the rows of several series as many or more have the time of another.
SHARED = 1 / 3


def diagnose_rows(
    places: Places,
    cells: pd.DataFrame,
    names: Sequence[str],
    clock: Clock,
    reading: Reading,
    first_rows: Sequence[int] = (0,),
) -> str | None:
    """What a table is whose rows are not one step apart in the order of time.

    Args:
        cells: every column, as the table has it.
        names: the clock's.
        first_rows: where each of several files begins.
    """
    others = cells.drop(columns=[*names, *(set(reading.series_columns) & set(cells))])
    times = pd.Series(clock.times, index=cells.index)
    if len(names) == 1 and (part := find_time_of_day(cells, names[0], clock.times, reading)):
        both = ", ".join(map(yaml_text, (*names, part)))
        return (
            f"{places.prefix}the time of day is in another column, {part}: in the data block, "
            f"time: [{both}]"
        )
    if columns := series_keys(others, times):
        kinds = cells[columns].drop_duplicates()
        examples = [" ".join(map(str, row)) for row in kinds[:MAX_NAMED].to_numpy()]
        more = ", ..." if len(kinds) > MAX_NAMED else ""
        keys = [*reading.series_columns, *columns]
        series = yaml_text(keys[0]) if len(keys) == 1 else f"[{', '.join(map(yaml_text, keys))}]"
        return (
            f"{places.prefix}it holds {len(kinds)} series, one for each {' and '.join(columns)} "
            f"({', '.join(examples)}{more}): in the data block, series: {series}"
        )
    if are_files_series(times, first_rows) and not reading.series:
        return (
            f"{places.prefix}its files seem to be {len(first_rows)} series, as they have the same "
            f"times: in the data block, series: {FILE}"
        )
    if reading.zone is None and not clock.is_utc and (zones := fitting_zones(clock.times)):
        best = [group[0] for group in zones]
        ways = ", or ".join(f"zone: {zone}" for zone in best[:MAX_NAMED])
        more = ", or another with such changes" if len(best) > MAX_NAMED else ""
        return (
            f"{places.prefix}it seems to have a wall clock, which leaves out an hour in one season "
            f"and repeats one in another: in the data block, {ways}{more}"
        )
    if (behind := times < times.cummax()).any():
        if times.duplicated()[behind].all():
            return (
                f"{places.prefix}its rows that come late are there twice: in the data block, "
                "duplicates: first, last or mean says which of them counts"
            )
        if swapped := _count_swapped(times):
            return (
                f"{places.prefix}day and month seem to be swapped in {swapped:,} of its rows, as "
                "where a program has taken one for the other up to the 12th: export the table "
                "anew, and do not sort it"
            )
        return f"{places.prefix}its rows are out of order; sort them by {' and '.join(names)}"
    gaps = times.diff().iloc[1:]
    if reading.zone is None and clock.is_utc and gaps.min() >= ALMOST_A_DAY:
        return (
            f"{places.prefix}its days or months seem to be those of a zone, and are not of one "
            "length on UTC: in the data block, zone: its name, such as Europe/Berlin"
        )
    return None


def are_files_series(times: "pd.Series[pd.Timestamp]", first_rows: Sequence[int]) -> bool:
    """Whether several files have the same times, and each of them once."""
    if len(first_rows) < 2 or times.duplicated(keep=False).mean() < SHARED:
        return False
    ends = (*first_rows[1:], len(times))
    files = (times.iloc[first:end] for first, end in zip(first_rows, ends, strict=True))
    return not any(file.duplicated().any() for file in files)


def _count_swapped(times: "pd.Series[pd.Timestamp]") -> int:
    """In how many rows day and month have to change places for the clock to be in order."""
    early = times.dt.day <= 12
    other = pd.to_datetime(
        pd.DataFrame({"year": times.dt.year, "month": times.dt.day, "day": times.dt.month}),
        errors="coerce",
    )
    changed = times.where(~early, other + (times - times.dt.normalize()))
    in_order = bool((changed.diff().iloc[1:] > pd.Timedelta(0)).all())
    return int((changed != times).sum()) if in_order else 0


def find_time_of_day(cells: pd.DataFrame, date: str, times: Times, reading: Reading) -> str | None:
    """The column with the time of day, where the clock's own has dates alone."""
    dates = pd.Series(times)
    stands_still = (dates.diff() == pd.Timedelta(0)).mean() > 1 / 3
    if not stands_still or (dates != dates.dt.normalize()).any():
        return None
    for name in map(str, cells.columns.drop(date)):
        if not is_time_of_day(cells[name]):
            continue
        try:
            both = read_clock(cells[[date, name]], reading.dates, Places("", str)).times
        except TableError:
            continue
        if (pd.Series(both).diff().iloc[1:] > pd.Timedelta(0)).mean() >= MOSTLY:
            return name
    return None


def is_time_of_day(column: "pd.Series[Any]") -> bool:
    """Whether a column's cells are times of the day: 13:00, or 13 where its name says so."""
    for cells in (column.iloc[:FEW_ROWS], column):  # a million rows only where the first are some
        texts = to_texts(cells)
        if not isinstance(texts.dtype, pd.StringDtype):
            return False
        if NAMES_A_TIME.search(str(column.name)):
            texts = spell_times_of_day(texts)
        if not texts.str.fullmatch(TIME_OF_DAY.pattern).all():
            return False
    return True


def series_keys(
    others: pd.DataFrame, times: "pd.Series[pd.Timestamp]", twice: float = 0.0
) -> list[str]:
    """The column, or the two, that tell several series apart; none where there is one series.

    Of each there is one row a time at most, and there are few more of them than rows of a time.

    Args:
        twice: the share of rows that may have the time of another of their series all the same.
    """
    most = int(times.value_counts().iloc[0])
    if times.duplicated(keep=False).mean() < SHARED:
        return []
    highest = min(2 * most, len(times) // 2)  # two rows or more of each
    names = [name for name in others if str(name).casefold().strip("<> ") not in PARTS_OF_A_CLOCK]
    few = {str(name): n for name in names if 1 < (n := others[name].nunique()) <= highest}
    single = sorted(([name] for name in few), key=lambda keys: few[keys[0]])
    for keys in (*single, *map(list, combinations(few, 2))):
        if others[keys].assign(time=times).duplicated().mean() <= twice:
            return keys
    return []
