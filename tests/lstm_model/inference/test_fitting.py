"""One model from a DataFrame."""

import doctest
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import lstm_model
from lstm_model.arrays import Float64Array
from lstm_model.configuration import Configuration, DataSettings, Reading
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.simulation import simulate
from lstm_model.data.step import Step
from lstm_model.data.time_forms import CLOCK_PARTS
from lstm_model.errors import InputError
from lstm_model.inference import fitting
from lstm_model.inference.predictor import TrainedForecaster
from lstm_model.training.trainer import Epoch, Trainer

ROWS = 24 * 90
FIT: dict[str, Any] = {
    "target": "pm2.5",
    "validation_from": "2010-03-01",
    "max_epochs": 2,
    "hidden_size": 4,
}


@pytest.fixture(scope="module")
def air() -> pd.DataFrame:
    """Simulated air whose clock is year, month, day and hour."""
    return simulate(years=1).head(ROWS).drop(columns="No")


def indexed(air: pd.DataFrame) -> pd.DataFrame:
    parts = list(CLOCK_PARTS[:4])
    return air.drop(columns=parts).set_index(pd.DatetimeIndex(pd.to_datetime(air[parts])))


def points(model: TrainedForecaster, table: pd.DataFrame) -> Float64Array:
    return model.forecast(table.tail(400)).point


def test_docstring_example() -> None:
    tests = doctest.DocTestFinder().find(lstm_model.fit, "fit", globs={})
    assert sum(len(test.examples) for test in tests) == 8
    for test in tests:
        assert doctest.DocTestRunner().run(test).failed == 0


def test_fit_is_what_the_parts_come_to(air: pd.DataFrame) -> None:
    """Held against the trainer, the series and the forecaster, put together by hand."""
    frame = indexed(air)
    model = lstm_model.fit(frame, horizon=2, **FIT)

    settings = DataSettings.model_validate(
        {
            "target": "pm2.5",
            "features": list(frame.columns),
            "horizon": 2,
            "validation_from": "2010-03-01",
            "test_from": "2010-04-01",
        }
    )
    frame["cbwd"] = frame["cbwd"].astype("str")
    series = EncodedTable.from_table(frame, Step(3600), settings)
    trainer = Trainer(Configuration(hidden_size=4), series, max_epochs=2, seed=0)
    epochs = list(trainer)
    best = epochs[-1].best
    expected = TrainedForecaster.from_weights(series, "pm2.5", trainer.config, best.weights)
    expected = replace(expected, rows_needed=model.rows_needed)
    assert np.array_equal(points(model, frame), points(expected, frame))
    assert model.validation_score is not None
    assert model.validation_score.rmse == best.score.rmse
    assert model.intervals is not None


def test_a_clock_in_columns_is_one_in_the_index(air: pd.DataFrame) -> None:
    by_columns, by_index = lstm_model.fit(air, **FIT), lstm_model.fit(indexed(air), **FIT)
    assert np.array_equal(points(by_columns, air), points(by_index, indexed(air)))


def test_save_and_load(air: pd.DataFrame, tmp_path: Path) -> None:
    model = lstm_model.fit(air, **FIT)
    model.save(str(tmp_path / "best"))
    assert np.array_equal(points(lstm_model.load(tmp_path / "best"), air), points(model, air))


def test_every_epoch_is_told_and_nothing_printed(
    air: pd.DataFrame, capfd: pytest.CaptureFixture[str]
) -> None:
    epochs: list[Epoch] = []
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    lstm_model.fit(air, on_epoch=epochs.append, **FIT)
    assert [epoch.number for epoch in epochs] == [1, 2]
    assert capfd.readouterr() == ("", "")
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_hours_from_test_from_on_are_not_looked_at(air: pd.DataFrame) -> None:
    other = air.copy()
    other.loc[ROWS - 100 :, "pm2.5"] = 1e4
    test_from = f"{indexed(air).index[ROWS - 100]}"
    first, second = (lstm_model.fit(each, test_from=test_from, **FIT) for each in (air, other))
    assert np.array_equal(points(first, air), points(second, air))


def test_pandas_categories_are_categories(air: pd.DataFrame) -> None:
    coded = air.assign(cbwd=air["cbwd"].map({"NE": 1, "NW": 2, "SE": 3, "cv": 4}))
    model = lstm_model.fit(coded.assign(cbwd=coded["cbwd"].astype("category")), **FIT)
    assert model.kinds["cbwd"] == "category"
    assert lstm_model.fit(coded, **FIT).kinds["cbwd"] == "number"


def test_categories_that_are_no_features_are_left_out(air: pd.DataFrame) -> None:
    frame = air.assign(cbwd=air["cbwd"].astype("category"))
    assert list(lstm_model.fit(frame, features=["pm2.5", "TEMP"], **FIT).kinds) == ["pm2.5", "TEMP"]


def test_reading_says_what_cells_mean(air: pd.DataFrame) -> None:
    marked = air.assign(TEMP=air["TEMP"].where(air.index % 50 > 0, -999.0))
    reading = Reading.model_validate({"missing": {"TEMP": [-999]}})
    plain = air.assign(TEMP=air["TEMP"].where(air.index % 50 > 0))
    models = lstm_model.fit(marked, reading=reading, **FIT), lstm_model.fit(plain, **FIT)
    assert np.array_equal(points(models[0], marked), points(models[1], plain))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": "pm25"}, "target must be a column, but got 'pm25'; the frame has pm2.5, DEWP"),
        ({"hidden_units": 3}, "fit() has no argument 'hidden_units'; the hyperparameters are hid"),
        ({"hidden_size": 0}, "hidden_size: must be greater than or equal to 1, but got 0"),
        ({"validation_from": "May"}, "validation_from: must be a date such as 2013-01-01, but got"),
        ({"features": ["DEWP"]}, "features must include the target 'pm2.5'"),
        ({"max_epochs": 0}, "max_epochs must be a whole number of at least 1, but"),
        ({"max_epochs": 2.5}, "max_epochs must be a whole number of at least 1, but got 2.5"),
        ({"seed": -1}, "seed must be a whole number of at least 0, but got -1"),
        ({"device": "tpu"}, "device must be one that torch can use, but got 'tpu'"),
        ({"device": "meta"}, "device must be one that torch can use, but got 'meta'"),
        ({"device": 1.5}, "device must be one that torch can use, but got 1.5"),
        ({"features": "pm2.5"}, "features must be a list of columns, but got 'pm2.5'"),
        ({"series": 3}, "series must be a list of columns, but got 3"),
        ({"series": ["cbwd", 3]}, "series must be a list of columns, but got ['cbwd', 3]"),
        ({"targets": 3}, "targets must be a list of columns, but got 3"),
        ({"targets": [""]}, "targets must be a list of columns, but got ['']"),
        ({"static": 3}, "static must be a list of columns, but got 3"),
        ({"features": []}, "features: must have at least 1 item, but got ()"),
        ({"calendar": ["moon"]}, "calendar.0: must be 'hour_of_day', "),
    ],
)
def test_mistakes_are_said(
    air: pd.DataFrame, arguments: Mapping[str, object], message: str
) -> None:
    with pytest.raises(InputError) as mistake:
        lstm_model.fit(air, **{**FIT, **arguments})
    assert message in str(mistake.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_device_that_is_not_there(air: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="device must be one that torch can use, but got 'cuda'"):
        lstm_model.fit(air, device="cuda", **FIT)


def test_two_clocks_are_refused(air: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="a DatetimeIndex and a column 'time'"):
        lstm_model.fit(indexed(air).assign(time=0), **FIT)


def test_doubts_are_warned_of(air: pd.DataFrame) -> None:
    """A column that stands still at a number that stands apart."""
    odd = air.assign(TEMP=air["TEMP"].where(air.index % 50 > 0, -999.0))
    with pytest.warns(fitting.DoubtWarning, match="TEMP"):
        lstm_model.fit(odd, **FIT)
