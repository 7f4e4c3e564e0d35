"""Forecasts of a saved model and their intervals."""

from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
import pytest
import torch

import lstm_model
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.inference.intervals import calibrate
from lstm_model.inference.predictor import TrainedForecaster
from lstm_model.training.evaluator import HoldoutEvaluator
from tests.lstm_model.air import SETTINGS


def test_coverage_of_stationary_hours(
    air_model: tuple[EncodedTable, TrainedForecaster], air_table: pd.DataFrame
) -> None:
    """Three years that no model and no residual comes from: within two points, at each side too."""
    found = air_model[1].forecast(air_table[air_table.index >= SETTINGS.test_from])
    observed = air_table["pm"].reindex(found.origins).to_numpy()
    for claim, (low, high) in found.bounds.items():
        for lead in range(1, 4):
            came, least, most = observed[lead:], low[:-lead, lead - 1], high[:-lead, lead - 1]
            known = np.isfinite(came)
            below, above = (came < least)[known].mean(), (came > most)[known].mean()
            assert 1 - below - above == pytest.approx(claim, abs=0.02)
            assert below == pytest.approx((1 - claim) / 2, abs=0.015)
            # Where it is high, the intervals are wider in proportion.
            top = found.point[:-lead, lead - 1] > 90
            assert (came >= least)[known & top].mean() == pytest.approx((1 + claim) / 2, abs=0.03)
            width = (most - least)[top].mean() / (most - least)[~top].mean()
            assert 1.5 < width < 4


def test_ensemble_is_the_mean_of_its_members(
    air_model: tuple[EncodedTable, TrainedForecaster], saved: Path, air_table: pd.DataFrame
) -> None:
    both = lstm_model.load(saved)
    assert sorted(file.name for file in saved.iterdir()) == ["model.json", "model.safetensors"]
    assert sum(file.stat().st_size for file in saved.iterdir()) < 30_000
    part = air_table.iloc[:600]
    each = [replace(both, models=(model,)).forecast(part).point for model in both.models]
    assert np.abs(each[0] - each[1]).max() > 0.1
    found = both.forecast(part)
    np.testing.assert_allclose(found.point, np.mean(each, axis=0), rtol=1e-12)
    np.testing.assert_array_equal(found.point, air_model[1].forecast(part).point)
    for claim, bounds in air_model[1].forecast(part).bounds.items():
        np.testing.assert_array_equal(found.bounds[claim], bounds)
    assert (both.reading.time, both.simulated, both.validation_score) == ("when", False, None)
    assert found.origins[0] == part.index[both.rows_needed - 1]
    assert found.origins[-1] == part.index[-1]


def test_intervals_are_of_the_mean_forecast(
    air_model: tuple[EncodedTable, TrainedForecaster],
) -> None:
    series, both = air_model
    check = HoldoutEvaluator(series)
    mean = np.mean([check.forecast(model) for model in both.models], axis=0)
    expected = calibrate([(series, mean)])
    assert both.intervals is not None
    np.testing.assert_array_equal(both.intervals.knots, expected.knots)
    np.testing.assert_array_equal(
        both.intervals.score_quantiles[0.8], expected.score_quantiles[0.8]
    )


def test_never_negative_target_has_no_negative_bound(
    air_model: tuple[EncodedTable, TrainedForecaster], air_table: pd.DataFrame
) -> None:
    both, part = air_model[1], air_table.iloc[20000:20400]
    assert both.intervals is not None
    wide = {claim: 50 * quantiles for claim, quantiles in both.intervals.score_quantiles.items()}
    both = replace(both, intervals=replace(both.intervals, score_quantiles=wide))
    assert (both.forecast(part).bounds[0.95][0] == 0).all()
    other = replace(both, never_negative=(False,))
    assert (other.forecast(part).bounds[0.95][0] < 0).all()


def test_year_is_forecast_at_reading_speed(
    air_model: tuple[EncodedTable, TrainedForecaster], air_table: pd.DataFrame
) -> None:
    part = air_table.iloc[: 8760 + air_model[1].rows_needed - 1]
    inputs = torch.from_numpy(air_model[1].encoder.transform(part))
    scoring, reading = [], []
    for _ in range(3):
        begun = perf_counter()
        assert air_model[1].forecast(part).point.shape == (8760, 3)
        scored = perf_counter()
        with torch.inference_mode():
            for model in air_model[1].models:
                model(inputs[None])
        scoring.append(scored - begun)
        reading.append(perf_counter() - scored)
    # It takes less than twice as long; with a window of rows for each hour, a hundred times.
    assert min(scoring) < 15 * min(reading)


def test_whole_numbers_categories_and_other_columns_do(
    air_model: tuple[EncodedTable, TrainedForecaster], air_table: pd.DataFrame
) -> None:
    part = air_table.iloc[20000:20400].assign(temp=lambda t: t["temp"].round())
    part.iloc[5, 2] = np.nan
    kinds = {"temp": "Int64", "wind": "category"}
    other = part.astype(kinds).assign(more="text")[["more", "temp", "pm", "wind"]]
    expected = air_model[1].forecast(part).point
    np.testing.assert_array_equal(air_model[1].forecast(other).point, expected)
