"""How many rows a forecaster has to read before it forecasts as if it had read all that came."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from lstm_model.arrays import Float64Array
from lstm_model.data.series import FeatureEncoder
from lstm_model.model.forecaster import LSTMForecaster
from lstm_model.training.evaluator import SETTLING_ROWS

# So many cold starts are made, each followed until the longest mean over the past is whole and the
# memories have settled after it.
N_STARTS = 32
# Settled is where cold starts move forecasts by less than this share of the target's typical change
# (root mean squares of both): too little to be seen beside the error, which is about as large as
# that change and grows by the square of the share.
TOLERANCE = 0.05


class WarmUpProbe:
    """Stretches of a table as an encoding sees them when nothing came before, and as they were.

    What has to settle is not the memories alone: means over the past need a past as well.
    """

    def __init__(self, frame: pd.DataFrame, encoding: FeatureEncoder, target: str) -> None:
        """frame: the features, regular in time, 3 rows or more; made once for many models.

        A start has an observed target: before the first one there is no forecast.
        """
        longest = max((channel.rows for channel in encoding.past), default=1)
        rows = self._rows = min(longest + SETTLING_ROWS, len(frame) // 3)
        possible = np.arange(rows, len(frame) - rows + 1)
        seen = possible[frame[target].notna().to_numpy()[possible]]
        possible = seen if len(seen) else possible
        starts = possible[np.unique(np.linspace(0, len(possible) - 1, N_STARTS).astype(int))]
        whole = encoding.inputs(frame)
        warm = np.stack([whole[start - rows : start + rows] for start in starts])
        cold = np.zeros_like(warm)  # what comes before a table is read as the training mean
        for number, start in enumerate(starts):
            cold[number, rows:] = encoding.inputs(frame.iloc[start : start + rows])
        self._inputs = torch.from_numpy(np.concatenate([warm, cold]))

    @torch.inference_mode()
    def differences(self, models: Sequence[LSTMForecaster]) -> Float64Array:
        """(rows, L): how far the mean forecast is from the settled one after 1, 2, ... rows.

        It is the root mean square over the starts, in units of Series.change_scale.
        """
        mean = torch.stack([model.eval()(self._inputs, skip=self._rows) for model in models]).mean(
            0
        )
        warm, cold = mean.double().chunk(2)
        return np.asarray(((cold - warm) ** 2).mean(0).sqrt().numpy())

    def rows_needed(self, models: Sequence[LSTMForecaster]) -> int:
        """The fewest rows after which forecasts have settled for good, at every lead time.

        At most as many as were followed, which is a third of a short table.
        """
        far = np.flatnonzero((self.differences(models) > TOLERANCE).any(axis=1))
        # Row number n (from 0) has n + 1 rows; the first that has settled is the one after.
        return min(int(far[-1]) + 2, self._rows) if len(far) else 1
