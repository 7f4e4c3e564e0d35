"""Tables as DataFrames: read as the CSV is that a model was trained on."""

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lstm_model import forecast
from lstm_model.command import run_app
from lstm_model.errors import TableError
from lstm_model.inference.predictor import TrainedForecaster
from lstm_model.inference.table_checks import OutOfRangeWarning
from tests.lstm_model.air import HOUR, trained_on

KEYS: dict[str, Any] = {"types": {"kind": "category"}, "fill": {"holiday": "none"}}


def several(rows: int = 500) -> pd.DataFrame:
    """Columns of every kind, as a CSV has them: texts."""
    rng = np.random.default_rng(8)
    times = pd.date_range("2021-01-01", periods=rows, freq="h")
    at = np.arange(rows)
    return pd.DataFrame(
        {
            "year": times.year.astype(str),
            "month": times.month.astype(str),
            "day": times.day.astype(str),
            "hour": times.hour.astype(str),
            "load": (50 + 5 * np.sin(at / 4) + rng.normal(0, 1, rows)).round(2).astype(str),
            "open": np.where(at % 24 < 12, "true", "false"),
            "kind": (at // 7 % 3).astype(str),
            "wind": [f'"{value // 10},{value % 10}"' for value in at % 40],
            "holiday": np.where(at % 90 < 6, "Easter", ""),
        }
    )


def csv_of(frame: pd.DataFrame) -> str:
    """Texts as they are, with the quotes that are in them."""
    lines = [",".join(map(str, frame.columns)), *(",".join(row) for row in frame.to_numpy())]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def text() -> str:
    frame = several()
    return csv_of(frame)


@pytest.fixture(scope="module")
def reader(text: str) -> TrainedForecaster:
    return trained_on(text, "load", (300, 400), **KEYS)


def test_a_dataframe_is_read_as_the_csv_is(
    reader: TrainedForecaster, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Booleans, codes, texts that are numbers, empty cells and a clock in parts: as pandas reads
    them, as texts, and by the command.
    """
    assert reader.encoder.channels[:2] == ("load", "wind")
    assert {"open=true", "kind=2", "holiday=none"} <= set(reader.encoder.channels)
    as_pandas_does = pd.read_csv(io.StringIO(text), decimal=",")
    as_pandas_does["load"] = as_pandas_does["load"].astype(float)
    assert as_pandas_does["open"].dtype == bool
    assert as_pandas_does["wind"].dtype == np.float64
    expected = reader.forecast(as_pandas_does).table()
    assert expected["forecast"].notna().all()
    as_texts = pd.read_csv(io.StringIO(text), dtype=str)
    pd.testing.assert_frame_equal(reader.forecast(as_texts).table(), expected)
    times = pd.to_datetime(as_pandas_does[["year", "month", "day", "hour"]])
    by_time = as_pandas_does.set_axis(pd.DatetimeIndex(times)).astype({"open": "boolean"})
    pd.testing.assert_frame_equal(
        reader.forecast(by_time).table(), expected, check_index_type=False, check_dtype=False
    )
    reader.save(tmp_path / "model")
    (tmp_path / "t.csv").write_text(text)
    arguments = ["--model", str(tmp_path / "model"), "--data", str(tmp_path / "t.csv")]
    assert run_app(forecast.app, [*arguments, "--every", "1"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    printed = pd.read_csv(io.StringIO(said.out), parse_dates=["origin", "valid_time"])
    for column in ("forecast", "lower_80", "upper_95"):
        np.testing.assert_array_equal(printed[column], expected[column])


def test_times_that_are_texts(text: str) -> None:
    frame = several()
    frame.insert(0, "at", pd.date_range("2021-01-01", periods=len(frame), freq="h").astype(str))
    body = csv_of(frame)
    model = trained_on(body, "load", (300, 400), time="at", **KEYS)
    table = pd.read_csv(io.StringIO(body), dtype=str)
    expected = model.forecast(table).table()
    table["at"] = pd.to_datetime(table["at"])
    pd.testing.assert_frame_equal(model.forecast(table).table(), expected, check_dtype=False)
    with pytest.raises(TableError, match=r"clock's columns \(at\), but has a RangeIndex and no at"):
        model.forecast(table.drop(columns="at"))
    wrong = table.assign(at="noon")
    with pytest.raises(TableError, match="at row 0: at = 'noon': must be a time such as"):
        model.forecast(wrong)


def test_a_later_table_is_read_as_the_first_was(reader: TrainedForecaster) -> None:
    """Of 1,500 alone nobody could say whether it has thousands."""
    table = several()
    table["wind"] = "1,500"
    table["holiday"] = table["holiday"].mask(table["holiday"] == "")
    read = reader.read_table(table).frame
    assert (read["wind"] == 1.5).all()
    assert (read["holiday"] == "none").sum() > 400
    assert reader.read_table(table.assign(wind=1.5)).frame["wind"].equals(read["wind"])


def test_what_pandas_takes_for_missing_is_told() -> None:
    """pandas.read_csv reads None as missing, and the last holiday would not end."""
    frame = several()
    frame["holiday"] = frame["holiday"].replace("", "None")
    text = csv_of(frame)
    model = trained_on(text, "load", (300, 400), types={"kind": "category"})
    read = pd.read_csv(io.StringIO(text), dtype={"wind": str, "kind": str})
    with pytest.warns(
        OutOfRangeWarning, match="holiday was None in some rows of training, and is in none here"
    ):
        model.forecast(read)
    kept = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, na_values=[""])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.forecast(kept)


def test_ambiguous_frames_are_refused(reader: TrainedForecaster) -> None:
    frame = pd.read_csv(io.StringIO(csv_of(several())), dtype=str)
    by_time = frame.set_axis(
        pd.date_range("2021-01-01", periods=len(frame), freq="h", tz="Asia/Tokyo")
    )
    with pytest.raises(TableError, match=r"times must have no offset from UTC, as those that the"):
        reader.forecast(by_time)
    twice = pd.concat([frame, frame[["load"]]], axis=1)
    with pytest.raises(TableError, match="each column must be there once, but load is there twice"):
        reader.forecast(twice)
    short = frame.assign(year="21")
    with pytest.raises(TableError, match=r"hour = '21', .* the year must have four digits"):
        reader.forecast(short)


def test_a_frame_may_have_a_zone() -> None:
    """Of a model whose table had one: whichever zone it is, and as its wall clock shows it."""
    times = pd.date_range("2021-02-20", periods=900, freq="h", tz="Europe/Berlin")
    wave = np.random.default_rng(3).normal(50, 5, 900).round(2)
    frame = pd.DataFrame({"time": times.tz_localize(None), "load": wave})
    model = trained_on(
        frame.to_csv(index=False), "load", (480, 700), time="time", zone="Europe/Berlin"
    )
    expected = model.forecast(frame).table()  # on the wall, which leaves out an hour in March
    assert str(expected["valid_time"].dt.tz) == "Europe/Berlin"
    assert expected["valid_time"].iloc[-1] == times[-1] + pd.Timedelta(hours=1)
    for zone in ("Europe/Berlin", "UTC", "Asia/Tokyo"):
        by_time = frame[["load"]].set_axis(times.tz_convert(zone))
        pd.testing.assert_frame_equal(model.forecast(by_time).table(), expected)
        column = frame.assign(time=times.tz_convert(zone))
        pd.testing.assert_frame_equal(model.forecast(column).table(), expected)


def test_booleans_with_an_empty_cell_among_them(reader: TrainedForecaster) -> None:
    """pandas makes objects of them."""
    text = csv_of(several()).replace(",true,", ",,", 1)
    read = pd.read_csv(io.StringIO(text), decimal=",")
    assert read["open"].dtype == object
    assert reader.forecast(read).point.shape[1] == 1


@pytest.mark.parametrize("shift", [0.0, -12.0])
def test_bounds_are_cut_at_zero(shift: float) -> None:
    """Prices that were never negative in training, and are in validation where they are shifted."""
    rng = np.random.default_rng(10)
    rows = 900
    price = 20 + 8 * np.sin(np.arange(rows) / 4) + rng.normal(0, 4, rows)
    price = np.maximum(price, 0.1)
    price[500:] += shift
    times = pd.date_range("2021-01-01", periods=rows, freq="h")
    frame = pd.DataFrame({"time": times, "load": price.round(2)})
    model = trained_on(frame.to_csv(index=False), "load", (480, 700), time="time")
    assert model.never_negative == (shift == 0,)
    found = model.forecast(frame)
    low, high = found.bounds[0.95]
    assert (low >= 0).all() == (shift == 0)
    test = slice(700, rows)
    came = pd.Series(price, times).reindex(HOUR.after(found.origins, 1)).to_numpy()
    inside = ((low[:, 0] <= came) & (came <= high[:, 0]))[-(rows - 700) :]
    assert inside[:-1].mean() > 0.9
    negative = came[-(rows - 700) :] < 0
    if shift:
        assert negative.sum() > 10
        assert inside[negative].mean() > 0.6, "3% where they were cut"
    assert len(came[-(rows - 700) :]) == len(range(*test.indices(rows)))


@pytest.mark.filterwarnings("ignore::lstm_model.inference.table_checks.OutOfRangeWarning")
def test_recent_negative_value_ends_the_cut() -> None:
    """What the model has read counts as seen: from that row on."""
    rng = np.random.default_rng(11)
    level = np.abs(rng.normal(1, 1, 600)).round(2)
    times = pd.date_range("2021-01-01", periods=600, freq="h")
    frame = pd.DataFrame({"time": times, "load": level})
    model = trained_on(frame.to_csv(index=False), "load", (360, 480), time="time")
    assert (model.forecast(frame).bounds[0.95][0] >= 0).all()
    frame.loc[500, "load"] = -3.0
    found = model.forecast(frame)
    after = found.origins >= times[500]
    assert (found.bounds[0.95][0][~after] >= 0).all()
    assert (found.bounds[0.95][0][after] < 0).any()
