"""A dozen kinds of tables, and more, each from its file to a forecast."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests import made_tables
from tests.from_file import Way
from tests.made_tables import KINDS, MadeTable

CLOCK_KEYS = {"time", "zone", "dates", "gaps", "duplicates", "encoding"}


@pytest.fixture
def way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Way:
    monkeypatch.chdir(tmp_path)
    return Way(capsys)


@pytest.mark.parametrize("build", KINDS, ids=lambda build: build.__name__)
def test_a_table_leads_to_a_forecast(way: Way, build: Callable[[], MadeTable]) -> None:
    right = build()
    right.write(right.files)
    space = way.propose(right.name, right.target, "--horizon", "2", *right.options)
    for sentence in right.told:
        assert sentence in way.said.out
    assert space.data.model_dump(include=CLOCK_KEYS, exclude_defaults=True) == right.keys
    table = way.train(space)
    times = pd.DatetimeIndex(table.frame.index)
    assert table.step.name == right.step
    # On UTC: Python calls no time of an hour that comes twice the same as another zone's.
    clock = None if right.times[0].tzinfo is None else "UTC"
    assert list(times if clock is None else times.tz_convert(clock)) == list(right.times)
    np.testing.assert_array_equal(table.frame[right.target], right.values)
    for files in (right.files, right.recent):
        right.write(files)
        forecasts = way.forecast(right.name)
        assert list(forecasts["lead_time"]) == [1, 2]
        assert list(forecasts["valid_time"]) == list(right.ahead)
        assert np.isfinite(forecasts["forecast"]).all()


def test_zones_that_a_table_cannot_tell_apart_are_named(way: Way) -> None:
    right = made_tables.new_york()
    right.write(right.files)
    message = way.refusal(right.name, right.target)
    assert "as in several zones (America/New_York, America/Chicago, " in message
    assert "say which with --zone" in message


def test_a_part_of_a_clock_tells_no_series_apart(way: Way) -> None:
    """Quarters without their Q are refused; of the first quarters alone nobody has a use."""
    rows = "".join(f"{1980 + row // 4},{row % 4 + 1},{100 + row}\n" for row in range(120))
    Path("gdp.csv").write_text(f"Year,Quarter,gdp\n{rows}")
    message = way.refusal("gdp.csv", "gdp")
    assert "90 of its 120 rows have the time of another, and no column tells them" in message


def test_files_of_one_table_are_in_the_order_of_their_times(way: Way) -> None:
    """Whatever their names say."""
    right = made_tables.yearly_files()
    first, last = right.files.values()
    Path("load-b.csv").write_bytes(first)
    Path("load-a.csv").write_bytes(last)
    table = way.train(way.propose(right.name, right.target))
    assert list(table.frame.index) == list(right.times)
    assert list(table.frame[right.target]) == list(right.values)
