from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from lstm_model.configuration import DataSettings
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.encoding import FeatureEncoder, SeriesEncoders
from lstm_model.data.step import Step
from lstm_model.errors import TableError

HOUR = Step(3600)


Settings = Callable[..., DataSettings]


def test_inputs_are_filled_from_the_past(series: EncodedTable, table: pd.DataFrame) -> None:
    pm = series.series[0].encoder.channels.index("pm")
    assert series.inputs[50, pm] == series.inputs[49, pm]
    assert (series.inputs[120:123, pm] == series.inputs[119, pm]).all()
    assert (series.inputs[:2, pm] == 0).all(), "before the first value: the training mean"
    wind = [
        i for i, name in enumerate(series.series[0].encoder.channels) if name.startswith("wind=")
    ]
    assert (series.inputs[26, wind] == series.inputs[25, wind]).all()
    assert (series.inputs[26, wind] != series.inputs[27, wind]).any()


def test_scaling_is_that_of_the_training_rows(series: EncodedTable, table: pd.DataFrame) -> None:
    temp = table["temp"].to_numpy()[:300]
    column = series.series[0].encoder.channels.index("temp")
    np.testing.assert_allclose(
        series.inputs[:, column],
        (table["temp"].to_numpy()[:360] - temp.mean()) / temp.std(),
        rtol=1e-5,
        atol=1e-6,
    )


def test_skewed_column_is_read_as_logarithm() -> None:
    frame = pd.DataFrame({"rain": [0.0] * 9 + [99.0], "level": np.arange(10.0)})
    (encoder,) = SeriesEncoders.fit([frame], "level", [], HOUR).each
    assert [channel.log1p for channel in encoder.numeric] == [True, False]
    # log1p: nine zeros and ln 100; mean ln(100)/10, sd 0.3 ln 100: so +3 and -1/3.
    frame.index = pd.date_range("2020-01-01", periods=10, freq="h")
    np.testing.assert_allclose(encoder.transform(frame)[[0, 9], 0], [-1 / 3, 3], rtol=1e-6)


def test_unseen_category_has_no_channel(table: pd.DataFrame, settings: Settings) -> None:
    table.loc[table.index[330], "wind"] = "NE"
    series = EncodedTable.from_table(table, HOUR, settings())
    assert series.series[0].encoder.channels[:5] == ("pm", "temp", "wind=NW", "wind=SE", "wind=cv")
    assert series.inputs[330, 2:5].tolist() == [0, 0, 0]
    assert series.inputs[329, 2:5].sum() == 1


def test_calendar_channels_turn_once_in_their_period(
    table: pd.DataFrame, settings: Settings
) -> None:
    made = settings(calendar=["hour_of_day", "day_of_week", "day_of_year"])
    series = EncodedTable.from_table(table, HOUR, made)
    assert series.series[0].encoder.channels[5:11] == (
        *("hour_of_day:sin", "hour_of_day:cos", "day_of_week:sin", "day_of_week:cos"),
        *("day_of_year:sin", "day_of_year:cos"),
    )
    at_six = series.inputs[6, 5:11]
    np.testing.assert_allclose(at_six[:2], [1, 0], atol=1e-6)
    # 2020-01-01 was a Wednesday: 2.25 days into its week at six o'clock.
    np.testing.assert_allclose(at_six[2], np.sin(2 * np.pi * 2.25 / 7), rtol=1e-6)
    np.testing.assert_allclose(at_six[4], np.sin(2 * np.pi * 0.25 / 365.25), rtol=1e-6)


def test_the_encoding_survives_json(series: EncodedTable) -> None:
    import json

    saved = json.loads(json.dumps(series.series[0].encoder.to_json()))
    assert FeatureEncoder.from_json(saved) == series.series[0].encoder


@pytest.mark.parametrize("constant", [12.0, 21.7, 0.1])
def test_constant_feature_is_zero_throughout(
    table: pd.DataFrame, settings: Settings, constant: float
) -> None:
    """Also one whose mean is rounded, so that its deviation is not 0."""
    table["temp"] = np.where(np.arange(400) < 300, constant, 40.0)
    series = EncodedTable.from_table(table, HOUR, settings())
    for channel in ("temp", "temp:mean24"):
        assert (series.inputs[:, series.series[0].encoder.channels.index(channel)] == 0).all()


@pytest.mark.parametrize(
    ("days", "calendar", "told"),
    [
        (1, ["hour_of_day"], "rows 1 day apart hour_of_day never does; leave it out"),
        (3, ["hour_of_day", "day_of_week"], "rows 3 days apart hour_of_day never does"),
        (7, ["day_of_week", "day_of_year"], "rows 7 days apart day_of_week never does"),
        (
            14,
            ["hour_of_day", "day_of_week"],
            "rows 14 days apart hour_of_day and day_of_week never do; leave them out",
        ),
        # Four years, each of which begins in a leap year.
        (1461, ["day_of_week", "day_of_year"], "rows 1461 days apart day_of_year never does"),
        (1, ["day_of_week", "day_of_year"], None),
        (7, ["day_of_year"], None),
        (365, ["day_of_week", "day_of_year"], None),
    ],
)
@pytest.mark.parametrize("folds", [1, 2])
def test_a_calendar_that_never_changes_is_refused(
    table: pd.DataFrame,
    settings: Settings,
    days: int,
    calendar: list[str],
    told: str | None,
    folds: int,
) -> None:
    table, step = table.iloc[:48].assign(pm=np.arange(48.0) % 7), Step(86400 * days)
    table.index = pd.date_range("1904-03-01", periods=48, freq=step.duration, name="time")
    splits = {"validation_from": str(table.index[28]), "test_from": str(table.index[38])}
    asked = settings(calendar=calendar, folds=folds, **splits)
    if told is None:
        EncodedTable.from_table(table, step, asked)
    else:
        with pytest.raises(TableError, match=f"^calendar must change from row to row, .* {told}"):
            EncodedTable.from_table(table, step, asked)


def test_the_targets_recent_past_is_an_input(settings: Settings) -> None:
    """Its level beside its logarithm, and its means over a day and a week, worked out naively."""
    rows = 400
    # Far more low values than high ones, with a gap that repeats the last value before it.
    target = np.where(np.arange(rows) % 40 == 0, 500.0, np.arange(rows) % 7)
    frame = pd.DataFrame(
        {"pm": target}, index=pd.date_range("2020-01-01", periods=rows, freq="h", name="time")
    )
    frame.iloc[[0, 100], 0] = np.nan
    series = EncodedTable.from_table(frame, HOUR, settings(features=["pm"]))
    assert series.series[0].encoder.channels == ("pm", "pm:level", "pm:mean24", "pm:mean168")
    assert series.series[0].encoder.without_means == slice(1)
    filled = target.copy()
    filled[100] = filled[99]

    def scaled(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        known = values[1:300]  # training, from the first observation on
        return np.where(np.isnan(values), 0.0, (values - known.mean()) / known.std())

    filled[0] = np.nan
    np.testing.assert_allclose(series.inputs[:, 1], scaled(filled)[:360], atol=1e-5)
    for channel, width in ((2, 24), (3, 168)):
        means = [np.nan]
        for row in range(1, rows):
            window = np.log1p(filled[max(1, row - width + 1) : row + 1])
            means.append(window.mean())
        np.testing.assert_allclose(
            series.inputs[:, channel], scaled(np.array(means))[:360], atol=1e-5
        )


def test_means_cover_days_and_weeks_at_any_step(settings: Settings) -> None:
    frame = pd.DataFrame({"pm": np.arange(40.0) % 9})
    names = {
        step: SeriesEncoders.fit([frame], "pm", [], Step.of(pd.Timedelta(step))).each[0].channels
        for step in ("15min", "1D", "7D")
    }
    assert names["15min"] == ("pm", "pm:mean96", "pm:mean672")
    assert names["1D"] == ("pm", "pm:mean7")
    assert names["7D"] == ("pm",)


def test_numeric_feature_has_mean_over_a_day(table: pd.DataFrame, settings: Settings) -> None:
    series = EncodedTable.from_table(table, HOUR, settings(features=["pm", "temp", "wind"]))
    assert series.series[0].encoder.channels[-3:] == ("pm:mean24", "pm:mean168", "temp:mean24")
    temp = table["temp"].ffill().to_numpy()
    naive = np.array([temp[max(0, row - 23) : row + 1].mean() for row in range(len(temp))])
    expected = (naive - naive[:300].mean()) / naive[:300].std()
    np.testing.assert_allclose(series.inputs[:, -1], expected[:360], atol=1e-5)
