"""The rows of a table that a model forecasts from, and the forecasts from all of them.

Letters: R rows and T origins of all series, F input channels, L lead times.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from lstm_model.arrays import Float64Array
from lstm_model.data.series import change_scale_so_far, changes_ahead, floors
from lstm_model.data.series_index import SeriesIndex
from lstm_model.data.table import SeriesTable
from lstm_model.model.forecaster import LSTMForecaster
from lstm_model.training.evaluator import Segments

if TYPE_CHECKING:
    from lstm_model.inference.predictor import TrainedForecaster


class Origins:
    """Every row of each series that has rows enough before it, and a target that was observed.

    Attributes:
        times: (T,) of the origins.
        index: which of them are of which series.
        last_observed: (T, 1) what a forecast is a change from.
        scales: (T, L) the units of the model's output, in the target's.
        floors: (T, 1) what a forecast may not fall below.
    """

    def __init__(self, forecaster: "TrainedForecaster", table: SeriesTable) -> None:
        frame, horizon = table.frame, forecaster.horizon
        # The last row stands for all that are not there.
        inputs = np.zeros((len(frame) + 1, len(forecaster.encoder.channels)), np.float32)
        first, last_observed, scales, lowest = [], [], [], []
        for name, rows in table.index:
            part = frame.iloc[rows]
            forecaster.encoder_of(name).transform(part, out=inputs[rows])
            target = part[forecaster.target].to_numpy(np.float64)
            last = part[forecaster.target].ffill().to_numpy(np.float64)
            start = max(forecaster.rows_needed - 1, int(np.isfinite(target).argmax()))
            scale = forecaster.change_scale_of(name)
            if scale is None:
                scale = change_scale_so_far(changes_ahead(target, last, horizon))[start:]
            first.append(start)
            last_observed.append(last[start:, None])
            scales.append(np.broadcast_to(scale, (len(target) - start, horizon)))
            lowest.append(floors(target, forecaster.is_never_negative(name))[start:, None])
        # One pass: segments of all series run side by side.
        self._segments = Segments(torch.from_numpy(inputs), table.index, first)
        self.index = SeriesIndex.of_lengths(table.index.names, map(len, last_observed))
        self.last_observed = np.concatenate(last_observed)
        self.scales, self.floors = np.concatenate(scales), np.concatenate(lowest)
        times = pd.DatetimeIndex(frame.index)
        kept = [
            np.arange(rows.start + start, rows.stop)
            for start, (_, rows) in zip(first, table.index, strict=True)
        ]
        self.times = times[np.concatenate(kept)]

    def forecast(self, models: Sequence[LSTMForecaster]) -> Float64Array:
        """(T, L) the mean of the models' forecasts, in the target's unit."""
        lowest = self.floors - self.last_observed
        # One after the other: together they are no faster, and take more memory.
        changes = [
            np.maximum(self._segments.forecast(model) * self.scales, lowest) for model in models
        ]
        return np.asarray(self.last_observed + np.mean(changes, axis=0))
