"""How much past a model needs: cold starts against warm ones."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.encoding import SeriesEncoders
from lstm_model.data.step import Step
from lstm_model.inference.predictor import TrainedForecaster
from lstm_model.inference.warm_start import TOLERANCE, WarmUpProbe
from lstm_model.model.forecaster import LSTMForecaster
from lstm_model.training.evaluator import SETTLING_ROWS
from tests.lstm_model.air import SMALL


def test_more_past_than_rows_needed_changes_little(
    air_model: tuple[EncodedTable, TrainedForecaster], air_table: pd.DataFrame
) -> None:
    """The same origin forecast from a table cut short before it, and from a long one."""
    both = air_model[1]
    long = both.forecast(air_table)
    known = both.rows_needed

    def moved(rows: int) -> float:
        differences = []
        for row in range(9000, 34000, 600):
            cut = air_table.iloc[row - rows + 1 : row + 1]
            short = replace(both, rows_needed=min(rows, known)).forecast(cut)
            assert short.origins[-1] == air_table.index[row]
            differences.append(short.point[-1] - long.point[row - known + 1])
        size = np.sqrt(np.mean(np.square(differences), axis=0))
        return float(np.max(size / both.change_scales[0]))

    assert 10 < known < 336
    assert moved(known) < 1.3 * TOLERANCE  # other starts than those that it was measured from
    assert moved(known // 4) > TOLERANCE


def test_probe_agrees_with_naive_reading(
    air_model: tuple[EncodedTable, TrainedForecaster], air_table: pd.DataFrame
) -> None:
    """On a table of 60 rows: 20 before, 20 after each start."""
    both, part = air_model[1], air_table.iloc[100:160]
    differences = WarmUpProbe(part, both.encoder, "pm").differences(both.models)
    assert differences.shape == (20, 3)
    whole = torch.from_numpy(both.encoder.transform(part))
    squares = []
    with torch.inference_mode():
        for start in range(20, 41):
            if np.isnan(part["pm"].iloc[start]):
                continue
            own = torch.from_numpy(both.encoder.transform(part.iloc[start : start + 20]))
            nothing = torch.zeros(20, whole.shape[1])
            cold = warm = torch.zeros(20, 3)
            for model in both.models:
                cold = cold + model(torch.cat([nothing, own])[None])[0, 20:] / 2
                warm = warm + model(whole[None, start - 20 : start + 20])[0, 20:] / 2
            squares.append((cold - warm) ** 2)
    expected = torch.stack(squares).mean(0).sqrt().numpy()
    np.testing.assert_allclose(differences, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(("far", "needed"), [([], 1), ([0], 2), ([0, 1, 7], 9), ([19], 20)])
def test_settled_is_after_the_last_row_that_moves(
    air_model: tuple[EncodedTable, TrainedForecaster],
    air_table: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    far: list[int],
    needed: int,
) -> None:
    starts = WarmUpProbe(air_table.iloc[:60], air_model[1].encoder, "pm")
    differences = np.full((20, 3), TOLERANCE / 2)
    differences[far, 1] = 2 * TOLERANCE
    monkeypatch.setattr(WarmUpProbe, "differences", lambda self, models: differences)
    assert starts.rows_needed(air_model[1].models) == needed


@pytest.mark.parametrize(("minutes", "week"), [(60, 168), (15, 672), (5, 2016)])
def test_probe_covers_a_weeks_mean(air_table: pd.DataFrame, minutes: int, week: int) -> None:
    step = Step(60 * minutes)
    frame = air_table.iloc[:10_000].ffill()[["pm"]]
    frame.index = pd.date_range("2020-01-01", periods=len(frame), freq=step.duration)
    [encoder] = SeriesEncoders.fit([frame], "pm", (), step).each
    model = LSTMForecaster.seeded(len(encoder.channels), SMALL, 1, seed=0)
    followed = len(WarmUpProbe(frame, encoder, "pm").differences([model]))
    assert followed == week + SETTLING_ROWS
