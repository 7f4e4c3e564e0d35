from collections.abc import Callable

import numpy as np
import pandas as pd
import torch

from lstm_model.configuration import DataSettings
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.series_index import SeriesIndex
from lstm_model.data.step import Step
from lstm_model.model.forecaster import LSTMForecaster
from lstm_model.training.evaluator import SETTLING_ROWS, HoldoutEvaluator, Segments
from tests.lstm_model.training.small import SMALL, trained


def segments(inputs: torch.Tensor, first: int) -> Segments:
    """Of one series whose rows these are."""
    padded = torch.cat([inputs, torch.zeros(1, inputs.shape[1])])
    return Segments(padded, SeriesIndex.of_one(len(inputs)), (first,))


def test_an_untrained_forecaster_is_persistence(series: EncodedTable) -> None:
    evaluator = HoldoutEvaluator(series)
    score = evaluator.score(LSTMForecaster.seeded(8, SMALL, 3, seed=1))
    assert score.skill == 0.0
    assert score.rmse_by_lead_time.tolist() == evaluator.holdout.persistence_rmse.tolist()


def test_segments_forecast_what_one_long_pass_does(series: EncodedTable) -> None:
    """Rows that have a whole warm-up behind them, against a pass over the warm-up and the row."""
    model = trained(series).last.averaged
    inputs = torch.from_numpy(np.tile(series.inputs, (4, 1)))  # 1,440 rows: several segments
    forecasts = segments(inputs, 200).forecast(model)
    assert forecasts.shape == (1240, 3)
    model.eval()
    with torch.inference_mode():
        # The first segment starts at row 200, so its memory starts SETTLING_ROWS before.
        first = model(inputs[None, 200 - SETTLING_ROWS : 260], skip=SETTLING_ROWS)[0]
        np.testing.assert_allclose(forecasts[:60], first, atol=1e-6)
        long = model(inputs[None])[0, 200:]
    # Elsewhere the memory started within the last few hundred rows, and has settled since.
    np.testing.assert_allclose(forecasts, long, atol=2e-2)


def test_first_rows_are_forecast_with_empty_memories(series: EncodedTable) -> None:
    model = trained(series).last.averaged.eval()
    inputs = torch.from_numpy(series.inputs)
    padded = torch.cat([torch.zeros(SETTLING_ROWS, 8), inputs])[None]
    with torch.inference_mode():
        expected = model(padded, skip=SETTLING_ROWS)[0, :100]
    np.testing.assert_allclose(segments(inputs, 0).forecast(model)[:100], expected, atol=1e-6)


def test_the_future_moves_no_earlier_forecast(
    table: pd.DataFrame, settings: Callable[..., DataSettings]
) -> None:
    """Training included: only rows before the split may reach the weights."""
    hour = Step(3600)
    before = EncodedTable.from_table(table, hour, settings())
    later = table.copy()
    later.loc[later.index[330:], ["pm", "temp"]] += 500
    after = EncodedTable.from_table(later, hour, settings())
    forecasts = []
    for series in (before, after):
        model = trained(series).last.averaged
        forecasts.append(segments(torch.from_numpy(series.inputs), 0).forecast(model))
    np.testing.assert_array_equal(forecasts[0][:330], forecasts[1][:330])
    assert (forecasts[0][330:] != forecasts[1][330:]).any()
