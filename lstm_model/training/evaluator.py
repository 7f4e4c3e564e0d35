"""Forecasts from every row of a table at once, and their scores on the validation period."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding

from lstm_model.arrays import Float64Array
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.series_index import SeriesIndex
from lstm_model.evaluation.holdout import Holdout
from lstm_model.evaluation.metrics import Score
from lstm_model.model.forecaster import Forecaster
from lstm_model.training.table_cache import cached_per_table, padded_inputs

# Memories settle within days (docs/LOG.md): forecasts that are scored start after this many rows.
SETTLING_ROWS = 168
# Validation is cut into segments of about this many rows that run side by side: one long sequence
# leaves the matrix kernels idle, and many short ones spend their time settling.
SEGMENT_ROWS = 336
# So many segments at most run at once: more of them are no faster, and take more memory.
MAX_SEGMENTS = 64


class Segments:
    """Rows of a table's series that are forecast from: cut into segments that run side by side,
    each warmed up on the SETTLING_ROWS before it. No segment has rows of two series.
    """

    def __init__(self, inputs: Tensor, index: SeriesIndex, first: Sequence[int]) -> None:
        """inputs: (R + 1, F) as EncodedTable.padded_inputs. first: by series, the first row of it
        to forecast from.
        """
        self._table = inputs
        spans = [(rows.start + row, rows) for row, (_, rows) in zip(first, index, strict=True)]
        longest = max(rows.stop - start for start, rows in spans)
        self._length = -(-longest // max(1, round(longest / SEGMENT_ROWS)))
        # What is read where a series has no row: before its first, and to fill its last segment.
        nowhere = len(inputs) - 1
        offsets = np.arange(-SETTLING_ROWS, self._length)
        segments, taken = [], []
        for start, rows in spans:
            starts = np.arange(start, rows.stop, self._length)
            at = starts[:, None] + offsets
            segments.append(np.where((at < rows.start) | (at >= rows.stop), nowhere, at))
            taken.append((at < rows.stop)[:, SETTLING_ROWS:])
        # (S, settling + length): which row of the table each segment reads when.
        self._rows = torch.from_numpy(np.concatenate(segments)).to(inputs.device)
        self._is_taken = np.concatenate(taken)

    @torch.inference_mode()
    def forecast(self, model: Forecaster) -> Float64Array:
        """(V, L) scaled changes from the rows of all series, one after the other."""
        model.eval()
        parts = []
        for rows in torch.split(self._rows, MAX_SEGMENTS):
            # In memory as the LSTM goes through it: (T, B, F).
            inputs = embedding(rows.T.contiguous(), self._table).transpose(0, 1)
            parts.append(model(inputs, skip=SETTLING_ROWS).cpu())
        out = torch.cat(parts) if len(parts) > 1 else parts[0]
        return np.asarray(out.numpy()[self._is_taken], np.float64)


class HoldoutEvaluator:
    """Forecasts and scores every origin of the validation period.

    Attributes:
        holdout: what is scored.
    """

    def __init__(self, table: EncodedTable, device: torch.device | str = "cpu") -> None:
        self.holdout = Holdout(table)
        self._segments = Segments(
            padded_inputs(table, torch.device(device)), table.index, self.holdout.first
        )

    def forecast(self, model: Forecaster) -> Float64Array:
        """(V, L) changes from the last observed value, in the target's unit.

        What can't be negative is not forecast to be.
        """
        scaled = self._segments.forecast(model)
        return np.maximum(scaled * self.holdout.scales, self.holdout.min_changes)

    def score(self, model: Forecaster) -> Score:
        """The model's metrics on the validation rows."""
        return self.score_of(self.forecast(model))

    def score_of(self, forecast: Float64Array) -> Score:
        """The metrics of what forecast() gave, or of a mean of several such."""
        return self.holdout.score_of(forecast)


@cached_per_table
def holdout_evaluator(table: EncodedTable, device: torch.device) -> HoldoutEvaluator:
    """The evaluator that all trainings on the table share."""
    return HoldoutEvaluator(table, device)
