"""Forecasts from every row of a table at once, and their scores on the validation period."""

import numpy as np
import torch
from torch import Tensor

from lstm_model.arrays import Float64Array
from lstm_model.data.series import EncodedSeries
from lstm_model.evaluation.metrics import Score, rmse, score
from lstm_model.model.forecaster import Forecaster
from lstm_model.training.series_cache import cached_per_series

# Memories settle within days (docs/LOG.md): forecasts that are scored start after this many rows.
SETTLING_ROWS = 168
# Validation is cut into segments of about this many rows that run side by side: one long sequence
# leaves the matrix kernels idle, and many short ones spend their time settling.
SEGMENT_ROWS = 336


class Segments:
    """Rows of a table that are forecast from in one pass: cut into segments that run side by side,
    each warmed up on the SETTLING_ROWS before it.
    """

    def __init__(self, inputs: Tensor, first: int) -> None:
        """inputs: (T, F) float32, scaled as EncodedSeries.inputs. first: the first row of them."""
        self._rows = len(inputs) - first
        count = max(1, round(self._rows / SEGMENT_ROWS))
        length = -(-self._rows // count)
        # Rows before the table, read as the training mean, and after it, to fill the last segment.
        before = max(0, SETTLING_ROWS - first)
        padded = torch.nn.functional.pad(
            inputs[max(0, first - SETTLING_ROWS) :], (0, 0, before, count * length - self._rows)
        )
        segments = padded.unfold(0, SETTLING_ROWS + length, length)
        # (B, F, T) so far; in memory as the LSTM goes through it.
        self._inputs = segments.permute(2, 0, 1).contiguous().transpose(0, 1)

    @torch.inference_mode()
    def forecast(self, model: Forecaster) -> Float64Array:
        """(T - first, L) scaled changes."""
        out = model.eval()(self._inputs, skip=SETTLING_ROWS).flatten(0, 1)[: self._rows]
        return np.asarray(out.cpu().numpy(), np.float64)


class HoldoutEvaluator:
    """Forecasts and scores every origin of the validation period in one forward pass.

    Attributes:
        first: the row of the first origin, `horizon` rows before the first row that is scored.
        changes, scored: (T - first, L) what happened, and which of it counts.
        persistence_rmse: (L,) on the same rows.
    """

    def __init__(self, series: EncodedSeries, device: torch.device | str = "cpu") -> None:
        self.first = max(0, series.split - series.horizon)
        self.changes = series.changes[self.first :]
        self.scored = series.validation[self.first :]
        self.persistence_rmse = rmse(self.changes, self.scored)
        self._segments = Segments(torch.tensor(series.inputs).to(device), self.first)
        self._scale = series.change_scale
        self._min_changes = series.min_changes[self.first :, None]

    def forecast(self, model: Forecaster) -> Float64Array:
        """(T - first, L) changes from the last observed value, in the target's unit.

        What can't be negative is not forecast to be.
        """
        return np.maximum(self._segments.forecast(model) * self._scale, self._min_changes)

    def score(self, model: Forecaster) -> Score:
        """The model's metrics on the validation rows."""
        return self.score_of(self.forecast(model))

    def score_of(self, forecast: Float64Array) -> Score:
        """The metrics of what forecast() gave, or of a mean of several such."""
        return score(forecast - self.changes, self.scored, self.persistence_rmse)


@cached_per_series
def holdout_evaluator(series: EncodedSeries, device: torch.device) -> HoldoutEvaluator:
    """The evaluator that all trainings on the series share."""
    return HoldoutEvaluator(series, device)
