from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from lstm_model.configuration import DataSettings
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.series import changes_ahead
from lstm_model.data.step import Step
from lstm_model.errors import TableError

HOUR = Step(3600)
Settings = Callable[..., DataSettings]


def test_the_split_goes_by_the_hour_that_is_forecast(series: EncodedTable) -> None:
    # Row 299 is the last of training: origin 298 reaches it at lead time 1, origin 296 at 3.
    assert series.series[0].validation_start == 300
    assert series.series[0].train_mask[298].tolist() == [True, False, False]
    assert series.series[0].valid_mask[298].tolist() == [False, True, True]
    assert series.series[0].train_mask[296].tolist() == [True, True, True]
    assert series.series[0].valid_mask[299].tolist() == [True, True, False], "row 302 is missing"
    assert not series.series[0].train_mask[299:].any()
    assert not series.series[0].valid_mask[:297].any()


def test_missing_targets_count_in_neither_split(series: EncodedTable) -> None:
    # Row 50 is missing, so origin 49 has no target at lead time 1, origin 47 none at 3; the first
    # two rows have no last value to change from.
    assert not series.series[0].train_mask[49, 0]
    assert not series.series[0].train_mask[47, 2]
    assert series.series[0].train_mask[50, 0], "row 50 forecasts row 51 from the value of row 49"
    assert not series.series[0].train_mask[:2].any()


def test_rows_of_the_split_counted_by_hand(series: EncodedTable) -> None:
    # Lead time 1: targets in rows 3..299 (rows 0, 1 are missing, and row 2 has no value before it)
    # without 50, 120, 121, 122: 297 - 4; validation rows 300..359 without 302 and 350.
    assert series.series[0].train_mask[:, 0].sum() == 293
    assert series.series[0].valid_mask[:, 0].sum() == 58


def test_the_test_period_is_not_in_the_series(series: EncodedTable) -> None:
    assert len(series.target) == len(series.inputs) == len(series.times) == 360


def test_changes_are_from_the_last_observed_value() -> None:
    target = np.array([np.nan, 5.0, np.nan, 9.0, 4.0])
    last = np.array([np.nan, 5.0, 5.0, 9.0, 4.0])
    expected = [[np.nan] * 2, [np.nan, 4.0], [4.0, -1.0], [-5.0, np.nan], [np.nan] * 2]
    np.testing.assert_equal(changes_ahead(target, last, 2), np.array(expected))


def test_the_change_scale_worked_out_by_hand(settings: Settings) -> None:
    values = [3.0, 5.0, 4.0, 8.0, 8.0, 100.0, 0.0]
    frame = pd.DataFrame(
        {"pm": values}, index=pd.date_range("2020-01-01", periods=7, freq="h", name="time")
    )
    made = settings(features=["pm"], horizon=1, validation_from="2020-01-01T05:00")
    # Changes within training: 2, -1, 4, 0, of mean square 21/4. The jump to 100 is validation's.
    (series,) = EncodedTable.from_table(frame, HOUR, made).series
    assert series.change_scale.tolist() == [np.sqrt(21 / 4)]


@pytest.mark.parametrize("cut", [300, 330])
def test_changing_the_future_moves_nothing_before_it(
    table: pd.DataFrame, settings: Settings, cut: int
) -> None:
    made = settings(calendar=["hour_of_day"])
    before = EncodedTable.from_table(table, HOUR, made)
    later = table.copy()
    later.loc[later.index[cut:], ["pm", "temp"]] *= -1000
    later.loc[later.index[cut:], "wind"] = "storm"
    after = EncodedTable.from_table(later, HOUR, made)
    assert after.series[0].encoder == before.series[0].encoder
    np.testing.assert_array_equal(after.series[0].change_scale, before.series[0].change_scale)
    np.testing.assert_array_equal(after.inputs[:cut], before.inputs[:cut])
    np.testing.assert_array_equal(after.last_observed[:cut], before.last_observed[:cut])
    assert (after.inputs[cut:] != before.inputs[cut:]).any(), "the change must be seen after it"


def test_a_split_with_nothing_to_score_is_refused(table: pd.DataFrame, settings: Settings) -> None:
    table.loc[table.index[300:], "pm"] = np.nan
    with pytest.raises(TableError, match="validation must have an observed pm for every lead time"):
        EncodedTable.from_table(table, HOUR, settings())


def test_constant_target_in_validation_is_refused(table: pd.DataFrame, settings: Settings) -> None:
    table.loc[table.index[290:], "pm"] = 7.0
    with pytest.raises(TableError, match="pm must change in validation"):
        EncodedTable.from_table(table, HOUR, settings())


def test_constant_target_in_training_is_refused(table: pd.DataFrame, settings: Settings) -> None:
    table["pm"] = 7.0
    with pytest.raises(TableError, match="pm must change in training"):
        EncodedTable.from_table(table, HOUR, settings())


def test_folds_roll_back_by_the_length_of_validation(
    table: pd.DataFrame, settings: Settings
) -> None:
    # Validation is 60 hours from hour 300: the folds before it begin at hours 240 and 180.
    series = EncodedTable.from_table(table, HOUR, settings(folds=3))
    assert [fold.series[0].validation_start for fold in series.folds] == [180, 240, 300]
    assert [len(fold.target) for fold in series.folds] == [240, 300, 360]
    assert [fold.earlier_folds for fold in series.folds] == [(), (), ()]
    # Each is what a table that ends with it would have made.
    alone = EncodedTable.from_table(
        table.iloc[:240],
        HOUR,
        settings(validation_from="2020-01-08T12:00", test_from="2020-01-11T00:00"),
    )
    np.testing.assert_array_equal(series.folds[0].inputs, alone.inputs)
    first = series.folds[0].series[0]
    np.testing.assert_array_equal(first.change_scale, alone.series[0].change_scale)
    assert first.encoder == alone.series[0].encoder != series.series[0].encoder


def test_folds_of_months_have_as_many_rows(settings: Settings) -> None:
    """365 days before 2005-01-01 is 2004-01-02, after that month's row."""
    months = pd.date_range("2000-01-01", periods=120, freq="MS", name="time")
    values = np.random.default_rng(0).normal(50, 9, 120)
    made = settings(
        features=["pm"], folds=4, validation_from="2006-01-01", test_from="2007-01-01", horizon=2
    )
    series = EncodedTable.from_table(pd.DataFrame({"pm": values}, months), Step(1, "month"), made)
    assert [fold.series[0].validation_start for fold in series.folds] == [36, 48, 60, 72]
    assert [len(fold.target) for fold in series.folds] == [48, 60, 72, 84]
    assert [f"{fold.times[-1]:%Y-%m-%d}" for fold in series.folds] == [
        "2003-12-01",
        "2004-12-01",
        "2005-12-01",
        "2006-12-01",
    ]


@pytest.mark.parametrize("count", [6, 10])
def test_folds_that_reach_before_the_table_are_refused(
    table: pd.DataFrame, settings: Settings, count: int
) -> None:
    with pytest.raises(
        TableError,
        match=r"one with validation from 2020-01-01 00:00:00 .* training must have .* at most 5",
    ):
        EncodedTable.from_table(table, HOUR, settings(folds=count))
