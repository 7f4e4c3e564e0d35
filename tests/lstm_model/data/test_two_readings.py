"""Tables that could be read in a way that nobody meant: each is refused, or told."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

import lstm_model
from lstm_model.configuration import KeptReading, Reading
from lstm_model.data.step import Step
from lstm_model.data.table import ParsedTable, parse_table
from lstm_model.errors import InputError
from tuning.space.proposal import propose

DAYS = pd.date_range("2020-01-01", periods=300)
HOURS = pd.date_range("2020-01-01", periods=300, freq="h")
VALUES = np.random.default_rng(0).normal(100, 5, 300).round(2)


def csv(frame: pd.DataFrame, **options: Any) -> dict[str, bytes]:
    return {"t.csv": frame.to_csv(index=False, **options).encode()}


def packed(table: pa.Table) -> dict[str, bytes]:
    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    return {"t.parquet": buffer.getvalue()}


def read(files: dict[str, bytes], *features: str, **keys: Any) -> ParsedTable:
    reading = Reading.model_validate({"time": "time", **keys})
    return parse_table(files, reading, target="y", features=("y", *features), horizon=1)


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        call()
    return str(caught.value)


def test_points_are_thousands_where_the_mark_is_a_comma() -> None:
    x = ["999", "1.036", *["14.763"] * 298]
    files = csv(pd.DataFrame({"time": HOURS, "y": VALUES, "x": x}), sep=";")
    table = read(files, "x", decimal={"x": ","})
    assert table.frame["x"].iloc[:3].tolist() == [999, 1036, 14763]
    assert [str(each) for each in table.repairs] == [
        "x: 299 cells with texts such as '1.036' read as numbers, 1036"
    ]
    half = csv(pd.DataFrame({"time": HOURS, "y": VALUES, "x": ["0.5", *["14.763"] * 299]}))
    assert read(half, "x", decimal={"x": ","}).frame["x"].iloc[1] == 14.763


def test_points_beside_commas_are_told() -> None:
    frame = pd.DataFrame({"time": HOURS, "y": VALUES, "x": "12.000", "z": "0,25"})
    frame.loc[5, "z"] = "0,5"
    table = read(csv(frame, sep=";"), "x", "z")
    (note,) = table.notes
    assert note.startswith("x has a point before three digits in each of its numbers, and z has ")
    assert note.endswith("decimal: {x: ','}")


@pytest.mark.parametrize("name", ["", "uptime", "runtime", "estimate"])
def test_count_of_rows_is_no_clock(name: str) -> None:
    frame = pd.DataFrame({name: np.arange(1700, 2000), "date": HOURS, "y": VALUES}).drop(index=40)
    proposal = propose(csv(frame), "y")
    assert proposal.clock.names == ("date",)
    assert proposal.step == Step(3600)


def test_model_of_offsets_wants_offsets() -> None:
    aware = pd.DataFrame({"time": HOURS.tz_localize("Etc/GMT-5"), "y": VALUES})
    kept = read(csv(aware)).reading
    assert (kept.offsets, kept.zone) == (True, "UTC")
    naive = csv(aware.assign(time=HOURS))
    asked: dict[str, Any] = {"target": "y", "features": ("y",), "horizon": 1}
    known: dict[str, Any] = {"kinds": {"y": "number"}, "step": Step(3600)}
    told = refusal(lambda: parse_table(naive, kept, **asked, **known))
    assert told.startswith("t.csv:2: times must have an offset from UTC, such as +01:00 or Z, as")
    chosen = KeptReading.model_validate({"time": "time", "zone": "UTC"})
    assert parse_table(naive, chosen, **asked, **known).frame.index[0] == HOURS[0].tz_localize(
        "UTC"
    )


def fit(frame: pd.DataFrame, **keys: Any) -> lstm_model.TrainedForecaster:
    split = str(frame.index[200])[:16]
    sizes: dict[str, Any] = {"hidden_size": 2, "max_epochs": 1, "chunk_length": 12}
    return lstm_model.fit(frame, target="y", validation_from=split, **sizes, **keys)


def test_what_is_said_of_a_frame_comes_first() -> None:
    frame = pd.DataFrame({"y": VALUES}, HOURS.tz_localize("UTC"))
    assert fit(frame).reading.zone == "UTC"
    assert fit(frame, reading=Reading(zone="Europe/Berlin")).reading.zone == "Europe/Berlin"
    told = refusal(lambda: fit(frame, reading=Reading(time="date")))
    assert "got a DatetimeIndex and time 'date'; leave time out, or reset the index" in told
    assert fit(frame.tz_convert("+01:00")).reading.zone == "UTC"
    told = refusal(lambda: fit(frame.tz_localize(None).to_period("h")))
    assert "frame.to_timestamp()" in told


def test_hour_behind_a_date_is_no_offset() -> None:
    files = csv(pd.DataFrame({"time": HOURS.strftime("%Y-%m-%d-%H"), "y": VALUES}))
    assert "must be a time" in refusal(lambda: read(files))
    proposal = propose(files, "y")
    assert proposal.reading.dates == "%Y-%m-%d-%H"
    assert proposal.frame.index.equals(HOURS.rename("time"))


def test_dates_of_a_zone_beside_times_of_day() -> None:
    midnights = HOURS.normalize().tz_localize("Europe/Berlin")
    table = pa.table({"day": midnights, "time": HOURS.time, "y": VALUES})
    told = refusal(lambda: read(packed(table), time=["day", "time"]))
    assert "day must be dates alone beside a column of times of day, but is times such as" in told


def test_swapped_days_and_months_are_not_to_be_sorted() -> None:
    days = pd.date_range("2020-01-01", periods=730)
    swapped = [day if day.day > 12 else day.replace(month=day.day, day=day.month) for day in days]
    files = csv(pd.DataFrame({"time": swapped, "y": np.arange(730.0)}))
    told = refusal(lambda: read(files))
    assert "day and month seem to be swapped in 264 of its rows" in told
    assert "do not sort it" in told


@pytest.mark.parametrize("freq", ["1ms", "1s"])
def test_events_do_not_fill_the_memory(freq: str) -> None:
    """Of the times between them, of which there are thousands of millions, none is made."""
    ticks = np.random.default_rng(1).integers(1, 86_400_000, 300).cumsum()
    times = (pd.Timestamp("2020-01-01") + pd.to_timedelta(ticks, unit="ms")).round(freq)
    files = csv(pd.DataFrame({"time": times, "y": VALUES}))
    assert "the clock jumps from" in refusal(lambda: read(files, gaps="fill"))


def test_what_nobody_asked_of_a_parquet_file() -> None:
    table = pa.table({"time": HOURS, "y": VALUES, "tags": [["a"]] * 300})
    assert read(packed(table)).frame["y"].tolist() == VALUES.tolist()
    told = refusal(lambda: read(packed(table), "tags"))
    assert told == "t.parquet: tags must have one value in each row, but has list<element: string>"
    assert propose(packed(table), "y").left_out.keys() == {"tags"}


def test_day_that_a_zone_left_out() -> None:
    """Apia went from 29 to 31 December 2011."""
    days = pd.date_range("2011-12-01", periods=60).delete(29)
    files = csv(pd.DataFrame({"time": days, "y": VALUES[:59]}))
    table = read(files, zone="Pacific/Apia")
    assert [f"{day:%d}" for day in table.frame.index[27:31]] == ["28", "29", "31", "01"]
    assert (pd.DatetimeIndex(table.frame.index).hour == 0).all()


def test_days_of_a_zone_on_utc() -> None:
    days = DAYS.tz_localize("Europe/Berlin")
    files = csv(pd.DataFrame({"time": [day.isoformat() for day in days], "y": VALUES}))
    assert "zone: its name, such as Europe/Berlin" in refusal(lambda: read(files))
    assert read(files, zone="Europe/Berlin").step == Step(86400)


def test_rows_that_gaps_puts_in_repeat_unless_fill_says_so() -> None:
    frame = pd.DataFrame({"time": HOURS, "y": VALUES, "rain": "2.5", "sky": "clear"})
    frame.loc[10, ["rain", "sky"]] = ""
    files = csv(frame.drop(index=[20, 21]))

    def columns(rain: object, sky: object) -> pd.DataFrame:
        table = read(files, "rain", "sky", gaps="fill", fill={"rain": rain, "sky": sky})
        assert table.frame["y"].iloc[20:22].isna().all(), "what was never observed"
        return table.frame.iloc[[10, 20, 21]]

    alone = columns(0, "none")
    assert alone["rain"].tolist()[0] == 0
    assert alone["rain"].iloc[1:].isna().all(), "which the encoder repeats"
    assert alone["sky"].tolist()[0] == "none"
    assert alone["sky"].iloc[1:].isna().all()
    everywhere = columns({"value": 0, "gaps": True}, {"value": 7, "gaps": True})
    assert everywhere["rain"].tolist() == [0, 0, 0]
    assert everywhere["sky"].tolist() == ["7", "7", "7"]
