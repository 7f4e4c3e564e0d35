"""Steps of time: their names, what they are counted on, and what is found in times."""

import numpy as np
import pandas as pd
import pytest

from lstm_model.data.step import DAY, WEEK, YEAR, Step, find_step, off_grid, rows_before


@pytest.mark.parametrize(
    ("step", "name"),
    [
        ("1h", "1 h"),
        ("24h", "1 day"),
        ("7D", "7 days"),
        ("36h", "36 h"),
        ("15min", "15 min"),
        ("90s", "90 s"),
    ],
)
def test_a_span_is_named_in_its_largest_unit(step: str, name: str) -> None:
    assert Step.of(pd.Timedelta(step)).name == name


@pytest.mark.parametrize(
    ("freq", "name"),
    [
        ("MS", "1 month"),
        ("ME", "1 month (month end)"),
        ("QS", "1 quarter"),
        ("QE", "1 quarter (month end)"),
        ("YS", "1 year"),
        ("2MS", "2 months"),
        ("BME", "1 month (last business day of the month)"),
        ("BMS", "1 month (first business day of the month)"),
        ("B", "1 business day"),
        ("D", "1 day"),
        ("W-MON", "7 days"),
        ("h", "1 h"),
        ("15min", "15 min"),
    ],
)
@pytest.mark.parametrize("zone", [None, "Europe/Berlin", "America/New_York"])
def test_pandas_frequency_is_found(freq: str, name: str, zone: str | None) -> None:
    """Held against pandas' own ranges, whole and with a third of the rows taken out."""
    times = pd.date_range("2010-01-01 00:00", periods=70, freq=freq, tz=zone)
    step = find_step(times)
    assert step is not None
    assert step.name == name
    assert step.grid(times[0], times[-1]).equals(times)
    assert step.after(times[:-3], 3).equals(times[3:])
    assert step.after(times[3:], -3).equals(times[:-3])
    kept = times[np.sort(np.random.default_rng(1).permutation(70)[:46])]
    assert find_step(kept) == step
    moved = kept.delete(20).insert(20, kept[20] + pd.Timedelta("37s"))
    assert off_grid(moved, step) == 20


@pytest.mark.parametrize(
    ("step", "day", "week", "year"),
    [
        (Step(3600), 24, 168, 8760),
        (Step(86400), 1, 7, 365),
        (Step(7 * 86400), 0, 1, None),
        (Step(1, "business day"), None, 5, None),
        (Step(1, "month"), None, None, 12),
        (Step(3, "month end"), None, None, 4),
        (Step(12, "month"), None, None, 1),
        (Step(5, "month"), None, None, None),
    ],
)
def test_rows_of_a_period(step: Step, day: int | None, week: int | None, year: int | None) -> None:
    assert [step.rows_per(period) for period in (DAY, WEEK, YEAR)][1:] == [week, year]
    if day:
        assert step.rows_per(DAY) == day


def test_a_day_is_as_long_as_the_wall_clock_says() -> None:
    days = pd.date_range("2021-03-26", periods=5, freq="D", tz="Europe/Berlin")
    assert find_step(days) == Step(86400)
    assert Step(86400).after(days[:1], 3)[0] == pd.Timestamp("2021-03-29", tz="Europe/Berlin")
    hours = pd.date_range("2021-03-27", periods=3, freq="24h", tz="Europe/Berlin")
    assert str(Step(3600).after(hours[:1], 48)[0]) == "2021-03-29 01:00:00+02:00"


def test_a_split_lies_on_the_wall_clock() -> None:
    times = pd.date_range("2021-01-01", periods=48, freq="h", tz="Europe/Berlin")
    assert rows_before(times, pd.Timestamp("2021-01-02")) == 24
    assert rows_before(times, pd.Timestamp("0001-01-01")) == 0
    assert rows_before(times, pd.Timestamp("9999-12-31 23:59:59.999999")) == 48
