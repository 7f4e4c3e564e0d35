"""How many rows a forecaster has to read until its forecasts no longer depend on earlier ones."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import pandas as pd
import torch

from lstm_model.arrays import Float64Array
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.encoding import FeatureEncoder
from lstm_model.data.series_index import SeriesIndex
from lstm_model.model.forecaster import LSTMForecaster
from lstm_model.training.evaluator import SETTLING_ROWS

# Cold starts that are compared with warm ones.
N_STARTS = 32
# A model has settled where cold starts move forecasts by less than this share of the target's
# typical change (root mean squares of both). The error is about as large as that change, and grows
# by the square of the share: too little to be seen.
TOLERANCE = 0.05


class WarmUpProbe:
    """Segments of a table, encoded once with the rows before them and once as if there were none.

    Besides the model's memories, the means over the past have to settle: they need a past as well.
    """

    def __init__(self, frame: pd.DataFrame, encoder: FeatureEncoder, target: str) -> None:
        """One probe serves many models.

        Args:
            frame: the features, regular in time, 3 rows or more. Each segment starts at an observed
                target, because there is no forecast before the first one.
        """
        longest = max((channel.rows for channel in encoder.past), default=1)
        rows = self._rows = min(longest + SETTLING_ROWS, len(frame) // 3)
        possible = np.arange(rows, len(frame) - rows + 1)
        observed = possible[frame[target].notna().to_numpy()[possible]]
        possible = observed if len(observed) else possible
        starts = possible[np.unique(np.linspace(0, len(possible) - 1, N_STARTS).astype(int))]
        whole = encoder.transform(frame)
        warm = np.stack([whole[start - rows : start + rows] for start in starts])
        cold = np.zeros_like(warm)  # what comes before a table is read as the training mean
        for number, start in enumerate(starts):
            cold[number, rows:] = encoder.transform(frame.iloc[start : start + rows])
        self._inputs = torch.from_numpy(np.concatenate([warm, cold]))

    @classmethod
    def of_table(
        cls, frame: pd.DataFrame, index: SeriesIndex, table: EncodedTable, target: str
    ) -> Self:
        """A probe of the series that has been observed most of those that training learns from.

        Args:
            frame: the features, of all series one after the other.
            index: which rows are of which series.
            table: that was made of it, as far as it is to be read.
        """
        counts = {
            series.name: int(np.isfinite(series.target).sum()) if learned else -1
            for series, learned in zip(table.each_series(), table.learned, strict=True)
        }
        name = max(counts, key=counts.__getitem__)
        number = table.index.names.index(name)
        first, end = table.index.bounds[number : number + 2]
        [start] = [rows.start for each, rows in index if each == name]
        part = frame.iloc[start : start + end - first]
        return cls(part, table.encoders.each[number], target)

    @torch.inference_mode()
    def differences(self, models: Sequence[LSTMForecaster]) -> Float64Array:
        """(rows, L): how far the mean forecast is from the settled one after 1, 2, ... rows.

        It is the root mean square over the starts, in units of EncodedSeries.change_scale.
        """
        forecasts = [model.eval()(self._inputs, skip=self._rows) for model in models]
        warm, cold = torch.stack(forecasts).mean(0).double().chunk(2)
        return np.asarray(((cold - warm) ** 2).mean(0).sqrt().numpy())

    def rows_needed(self, models: Sequence[LSTMForecaster]) -> int:
        """The fewest rows after which forecasts have settled for good, at every lead time.

        At most as many as a segment has, which is a third of a short table.
        """
        unsettled = np.flatnonzero((self.differences(models) > TOLERANCE).any(axis=1))
        # Row number n (from 0) has n + 1 rows; the first that has settled is the one after.
        return min(int(unsettled[-1]) + 2, self._rows) if len(unsettled) else 1
