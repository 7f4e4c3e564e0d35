"""Wall clocks and their zones, held against the standard library's zoneinfo."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from lstm_model.configuration import Reading
from lstm_model.data.encoding import FeatureEncoder
from lstm_model.data.step import Step, format_times
from lstm_model.data.table import ParsedTable, parse_table
from lstm_model.data.zones import WELL_KNOWN, fitting_zones, localize
from lstm_model.errors import TableError
from lstm_model.inference.forecasts import Forecasts

BERLIN = "Europe/Berlin"
# A year of each, in which its clock changes if it ever does.
YEARS = {
    BERLIN: 2021,
    "America/New_York": 2021,
    "Asia/Kolkata": 2021,
    "Australia/Sydney": 2021,
    "America/Sao_Paulo": 2018,  # at midnight
}
RARE = {
    "America/Havana": 2021,  # midnight comes twice
    "Australia/Lord_Howe": 2021,  # by half an hour
    "Pacific/Apia": 2011,  # with a day that never was, 30 December
}
LEADS = (1, 2, 3)


def year_of(zone: str) -> int:
    return {**YEARS, **RARE}[zone]


def instants(zone: str, step: timedelta) -> list[datetime]:
    """A year of the zone's wall clock, in UTC."""
    first, end = (
        datetime(year, 1, 1, tzinfo=ZoneInfo(zone)).astimezone(UTC)
        for year in (year_of(zone), year_of(zone) + 1)
    )
    return [first + i * step for i in range((end - first) // step)]


def midnights(zone: str) -> list[datetime]:
    """When each day of the year begins, in UTC."""
    days = [date(year_of(zone), 1, 1) + timedelta(i) for i in range(365)]
    return [datetime(d.year, d.month, d.day, tzinfo=ZoneInfo(zone)).astimezone(UTC) for d in days]


def on_wall(times: Sequence[datetime], zone: str, form: str = "%Y-%m-%d %H:%M") -> list[str]:
    return [time.astimezone(ZoneInfo(zone)).strftime(form) for time in times]


def spell(times: Sequence[datetime], zone: str) -> list[str]:
    """As forecasts write them."""
    return [time.astimezone(ZoneInfo(zone)).isoformat(" ", "minutes") for time in times]


def read(texts: Sequence[str], **keys: object) -> ParsedTable:
    """A table with these texts as its clock, whose values count its rows."""
    lines = ["time,y", *(f"{text},{row}" for row, text in enumerate(texts))]
    reading = Reading.model_validate({"time": "time", **keys})
    raw = {"t.csv": "\n".join(lines).encode()}
    return parse_table(raw, reading, target="y", features=["y"], horizon=3)


def times_of(table: ParsedTable) -> pd.DatetimeIndex:
    assert isinstance(table.frame.index, pd.DatetimeIndex)
    return table.frame.index


def ticks(times: Sequence[datetime]) -> list[int]:
    return [round(time.timestamp()) for time in times]


def seconds(times: pd.DatetimeIndex) -> list[int]:
    return [int(tick) for tick in times.as_unit("s").asi8]


def phase(table: ParsedTable) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    """The hour of the day, of the inputs that a model gets."""
    encoder = FeatureEncoder((), (), ("hour_of_day",))
    sine, cosine = encoder.transform(table.frame).T.astype(np.float64)
    return np.asarray(np.arctan2(sine, cosine) / (2 * np.pi) % 1 * 24)


def forecasts_of(table: ParsedTable) -> Forecasts:
    return Forecasts(times_of(table), table.step, np.zeros((len(table.frame), len(LEADS))), {})


@pytest.mark.parametrize(
    ("zone", "minutes"),
    [*((zone, 60) for zone in (*YEARS, *RARE)), *((zone, 15) for zone in YEARS)],
)
def test_year_of_a_wall_clock(zone: str, minutes: int) -> None:
    """Every row's instant and hour, and every forecast's valid time."""
    step = timedelta(minutes=minutes)
    times = instants(zone, step)
    table = read(on_wall(times, zone), zone=zone)
    assert table.repairs == ()
    assert table.step == Step.of(pd.Timedelta(step))
    assert seconds(times_of(table)) == ticks(times)
    assert format_times(times_of(table)) == spell(times, zone)
    assert table.frame["y"].tolist() == list(range(len(times)))

    wall = [time.astimezone(ZoneInfo(zone)) for time in times]
    hours = np.array([time.hour + time.minute / 60 for time in wall])
    apart = np.abs(phase(table) - hours)
    assert np.minimum(apart, 24 - apart).max() < 1e-4

    forecasts = forecasts_of(table)
    written = forecasts.table()
    after = [times[-1] + lead * step for lead in LEADS]
    valid = pd.DatetimeIndex(written["valid_time"])
    assert str(valid.tz) == zone
    later = np.array(ticks([*times, *after]))
    for lead in LEADS:
        assert (
            np.array(seconds(valid))[lead - 1 :: len(LEADS)] == later[lead:][: len(times)]
        ).all()
    assert format_times(valid[len(LEADS) - 1 :: len(LEADS)]) == spell([*times, *after][3:], zone)
    assert written["lead_time"].tolist() == list(LEADS) * len(times)
    changes = [
        row for row, (a, b) in enumerate(pairwise(wall), 1) if a.utcoffset() != b.utcoffset()
    ]
    assert bool(changes) == (zone != "Asia/Kolkata")
    for row in (0, *changes):
        for origin in range(max(row - 4, 0), row + 3):
            expected = spell([times[origin] + lead * step for lead in LEADS], zone)
            assert format_times(forecasts.valid_times(origin)) == expected


@pytest.mark.parametrize("zone", [*YEARS, "America/Havana"])
def test_year_of_days(zone: str) -> None:
    """A day is a day, of 23 hours or 25; one whose midnight is left out begins with the next
    time that the clock shows.
    """
    begin = midnights(zone)
    dates = [time.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d") for time in begin]
    assert len(set(dates)) == 365
    table = read(dates, zone=zone)
    assert table.repairs == ()
    assert table.step.name == "1 day"
    assert seconds(times_of(table)) == ticks(begin)
    assert format_times(times_of(table)) == spell(begin, zone)
    rows = len(begin) - len(LEADS)
    valid = [begin[row + lead] for row in range(rows) for lead in LEADS]
    forecasts = forecasts_of(table)
    written = pd.DatetimeIndex(forecasts.table()["valid_time"])[: len(valid)]
    assert format_times(written) == spell(valid, zone)
    for row in range(0, rows, 3):  # of the three days before a change, one at least
        expected = spell([begin[row + lead] for lead in LEADS], zone)
        assert format_times(forecasts.valid_times(row)) == expected


def test_a_table_of_days_may_begin_or_end_where_midnight_is_left_out() -> None:
    """São Paulo, 4 November 2018: the first time of the day is 01:00."""
    zone, gap = "America/Sao_Paulo", 307
    begin = midnights("America/Sao_Paulo")
    assert spell(begin[gap : gap + 1], zone) == ["2018-11-04 01:00-02:00"]
    for rows in (slice(gap, gap + 9), slice(gap - 9, gap + 1)):
        table = read(on_wall(begin[rows], zone, "%Y-%m-%d"), zone=zone)
        assert (table.step.name, seconds(times_of(table))) == ("1 day", ticks(begin[rows]))
        after = begin[rows.stop : rows.stop + len(LEADS)]
        assert format_times(forecasts_of(table).valid_times()) == spell(after, zone)


@pytest.mark.parametrize("zone", [*YEARS, None])
def test_business_days_with_a_time_of_day(zone: str | None) -> None:
    """Closing prices, at 16:00: the row after Friday's is Monday's."""
    first = date(2018, 1, 1)
    days = [day for i in range(300) if (day := first + timedelta(i)).weekday() < 5]
    table = read([f"{day} 16:00" for day in days], **({"zone": zone} if zone else {}))
    assert (table.step.name, table.repairs) == ("1 business day", ())
    assert [str(time.date()) for time in times_of(table)] == list(map(str, days))
    friday = forecasts_of(table).valid_times(4)
    assert [time.strftime("%a %H:%M") for time in friday] == ["Mon 16:00", "Tue 16:00", "Wed 16:00"]


# Berlin's 31 October 2021, where 02:00 to 02:59 comes twice: +02:00, and then +01:00.


def localized(texts: str, zone: str = BERLIN, day: str = "2021-10-31") -> tuple[str, list[int]]:
    """The offsets of these times of one day, and the rows that could be of two hours."""
    times = np.array([f"{day}T{text}" for text in texts.split()], "datetime64[us]")
    index, once = localize(times, zone, lambda row: f"row {row}")
    assert [time.strftime("%H:%M") for time in index] == texts.split()
    return " ".join(time.strftime("%z")[:3] for time in index), once


@pytest.mark.parametrize(
    ("texts", "offsets"),
    [
        ("01:00 02:00 02:00 03:00", "+02 +02 +01 +01"),
        ("01:30 02:00 02:30 02:00 02:30 03:00", "+02 +02 +02 +01 +01 +01"),
        # two hours apart, in UTC
        ("00:00 02:00 03:00 05:00 07:00", "+02 +02 +01 +01 +01"),
        ("01:00 02:00 04:00 06:00 08:00", "+02 +01 +01 +01 +01"),
        # the table begins or ends within it
        ("02:00 03:00 04:00", "+01 +01 +01"),
        ("02:00 02:00 03:00", "+02 +01 +01"),
        ("02:30 02:45 02:00 02:15 02:30 02:45", "+02 +02 +01 +01 +01 +01"),
        ("02:30 02:45 03:00 03:15", "+01 +01 +01 +01"),
        ("00:00 01:00 02:00", "+02 +02 +02"),
        ("00:00 01:00 02:00 02:00", "+02 +02 +02 +01"),
        ("01:30 01:45 02:00 02:15", "+02 +02 +02 +02"),
        # rows are missing
        ("01:30 01:45 02:00 02:45 02:15 02:30 02:45", "+02 +02 +02 +02 +01 +01 +01"),
        ("01:00 01:15 02:30 02:45 03:00 03:15", "+02 +02 +01 +01 +01 +01"),
        ("01:30 01:45 02:00 02:15 03:15 03:30", "+02 +02 +02 +02 +01 +01"),
        ("01:30 01:45 02:00 02:30 02:45 03:00", "+02 +02 +02 +01 +01 +01"),
    ],
)
def test_hour_that_comes_twice(texts: str, offsets: str) -> None:
    assert localized(texts) == (offsets, [])


@pytest.mark.parametrize(
    ("texts", "rows"),
    [
        ("00:00 01:00 02:00 03:00 04:00", [2]),
        ("01:30 01:45 02:00 02:15 02:30 02:45 03:00 03:15", [2, 3, 4, 5]),
        # neither the row before nor the one after is a step away
        ("00:00 00:15 00:30 02:15 04:00 04:15", [3]),
        # what is missing within the hour may be an hour longer
        ("01:30 01:45 02:00 02:30 03:15 03:30", [3]),
        ("01:15 01:30 02:00 02:15 02:45 03:00", [2, 3]),
        ("01:15 01:30 02:00 02:30 03:30 03:45", [2, 3]),
    ],
)
def test_hour_that_is_there_once_is_told(texts: str, rows: list[int]) -> None:
    assert localized(texts)[1] == rows


def test_what_is_told_of_an_hour_that_is_there_once() -> None:
    times = [f"2021-10-31 {hour:02}:00" for hour in range(24)]
    table = read(times, zone=BERLIN, gaps="fill")
    assert list(map(str, table.repairs)) == [
        "1 row of an hour that comes twice and stands once, the first 2021-10-31 02:00:00: "
        "read as the first",
        "1 step without a row became rows without values, the first 2021-10-31 02:00:00+01:00",
    ]
    with pytest.raises(
        TableError, match=r"^t\.csv:5: the clock jumps from 2021-10-31 02:00:00\+02"
    ):
        read(times, zone=BERLIN)


def test_mixed_rows_of_an_hour_that_comes_twice_are_refused() -> None:
    mixed = ("01:00", "01:30", "02:00", "02:00", "02:30", "02:30", "03:00")
    times = [f"2021-10-31 {text}" for text in mixed]
    with pytest.raises(
        TableError, match=r"^t\.csv:4: the hour of 2021-10-31 02:00:00, which comes tw"
    ):
        read(times, zone=BERLIN)


def test_time_that_is_never_shown_is_refused_with_its_line() -> None:
    times = [f"2021-03-28 {hour:02}:00" for hour in range(9)]
    with pytest.raises(
        TableError, match=r"^t\.csv:4: 2021-03-28 02:00:00 is never shown"
    ) as refused:
        read(times, zone=BERLIN)
    assert "(1 such rows)" in str(refused.value)


@pytest.mark.parametrize(("zone", "minutes"), [(BERLIN, 60), (BERLIN, 15), ("Asia/Kolkata", 60)])
def test_table_of_the_last_row_first(zone: str, minutes: int) -> None:
    """Also where the clock is put back, or forward, between two of its rows."""
    times = instants(zone, timedelta(minutes=minutes))
    table = read(on_wall(times[::-1], zone), zone=zone)
    assert seconds(times_of(table)) == ticks(times)
    assert table.frame["y"].tolist() == list(range(len(times)))[::-1]
    assert [repair.kind for repair in table.repairs] == ["order"]


@pytest.mark.parametrize("zone", [BERLIN, None])
def test_iso_texts_with_offsets_that_change(zone: str | None) -> None:
    """They say where they lie on UTC; `zone` says which clock the hour of the day is of."""
    times = instants(BERLIN, timedelta(hours=1))
    texts = [time.astimezone(ZoneInfo(BERLIN)).isoformat() for time in times]
    table = read(texts, **({"zone": zone} if zone else {}))
    assert table.repairs == ()
    assert (table.reading.zone, str(times_of(table).tz)) == ((zone or "UTC",) * 2)
    assert seconds(times_of(table)) == ticks(times)
    assert format_times(times_of(table)) == spell(times, zone or "UTC")
    hours = [time.astimezone(ZoneInfo(zone or "UTC")).hour for time in times]
    assert (np.round(phase(table)) % 24 == hours).all()


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata"])
def test_utc_texts_on_a_zone(zone: str) -> None:
    times = instants(zone, timedelta(hours=1))
    table = read([f"{time:%Y-%m-%dT%H:%M:%SZ}" for time in times], zone=zone)
    assert format_times(times_of(table)) == spell(times, zone)


# Which zones a clock may be of


def zones_of(zone: str) -> list[list[str]]:
    times = on_wall(instants(zone, timedelta(hours=1)), zone, "%Y-%m-%dT%H:%M")
    return fitting_zones(np.array(times, "datetime64[us]"))


def test_zone_of_a_clock_is_found() -> None:
    best, *others = zones_of(BERLIN)
    assert best[0] == BERLIN
    assert {"Europe/Paris", "Europe/Rome", "Europe/Madrid"} < set(best)
    assert not {group[0] for group in others} & {*WELL_KNOWN}  # Moldova, in some years
    (group,) = zones_of("Australia/Lord_Howe")
    assert "Australia/Lord_Howe" in group


def test_a_clock_may_be_of_several_zones() -> None:
    """All of the United States change at 02:00 on their wall clocks."""
    first = [group[0] for group in zones_of("America/New_York")]
    assert len(first) == len(set(first))
    assert first[0] == "America/New_York"
    assert {"America/Chicago", "America/Denver", "America/Los_Angeles"} <= set(first)
    assert BERLIN not in first


def test_no_zone_fits_a_clock_that_does_not_change() -> None:
    assert zones_of("Asia/Kolkata") == []
    hours = np.arange("2021-03-01", "2021-12-01", dtype="datetime64[h]").astype("datetime64[us]")
    plain_gap = np.delete(hours, [1000, 1001])
    assert fitting_zones(plain_gap) == []
    twice = np.insert(hours, 500, hours[500])
    assert fitting_zones(twice) == []
