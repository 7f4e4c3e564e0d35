"""The rows of a table that validation scores: of all series, one after the other.

Letters: V origins of all N series, L lead times.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from lstm_model.arrays import Float64Array
from lstm_model.data.encoded_table import EncodedTable, scored_lead_times
from lstm_model.evaluation.metrics import Score, rmse, score, score_series

Scorer = Callable[[Sequence[Float64Array]], Score]


class Holdout:
    """What happened in a table's validation, and the scores of what was forecast for it.

    Attributes:
        names: of the series.
        first: by series, the row of the first origin: `horizon` rows before the first row that is
            scored.
        bounds: (N + 1,) where each series' origins begin.
        changes, scored: (V, L) what happened, and which of it counts.
        persistence_rmse: (L,) on the same rows.
        min_changes: (V, 1) what a forecast may not fall below.
    """

    def __init__(self, table: EncodedTable) -> None:
        first, changes, scored, scales, lowest = [], [], [], [], []  # by series
        for series in table.each_series():
            start = series.first_origin
            mask = series.valid_mask[start:]
            if len(table.index) > 1:
                mask = mask & scored_lead_times(series)
            first.append(start)
            changes.append(series.changes[start:])
            scored.append(mask)
            scales.append(series.scales[start:])  # a view of (L,), mostly
            lowest.append(series.min_changes[start:, None])
        self.names, self.first = table.index.names, tuple(first)
        self.bounds = np.cumsum([0, *map(len, changes)])
        self.changes, self.scored = np.concatenate(changes), np.concatenate(scored)
        self._scales, self.min_changes = scales, np.concatenate(lowest)
        self.persistence_rmse = rmse(self.changes, self.scored)

    @property
    def scales(self) -> Float64Array:
        """(V, L) the units of the model's output, in the target's."""
        return self._scales[0] if len(self._scales) == 1 else np.concatenate(self._scales)

    @property
    def rows(self) -> list[slice]:
        """By series, its origins among the V."""
        return [slice(start, stop) for start, stop in pairwise(self.bounds.tolist())]

    def gather(self, changes: Sequence[Float64Array]) -> Float64Array:
        """(T, L) changes of every series -> (V, L) of its origins here."""
        return np.concatenate(
            [each[first:] for each, first in zip(changes, self.first, strict=True)]
        )

    def score_of(self, forecast: Float64Array) -> Score:
        """The metrics of (V, L) changes that were forecast."""
        errors = forecast - self.changes
        if len(self.names) == 1:
            return score(errors, self.scored, self.persistence_rmse)
        return score_series(errors, self.scored, self.names, self.bounds, self.changes)


def make_scorer(table: EncodedTable) -> Scorer:
    """What scores a forecast from every row: (T, L) changes of each series."""
    if len(table.index) > 1:
        holdout = Holdout(table)
        return lambda changes: holdout.score_of(holdout.gather(changes))
    (series,) = table.series
    reference = rmse(series.changes, series.valid_mask)
    return lambda changes: score(changes[0] - series.changes, series.valid_mask, reference)
