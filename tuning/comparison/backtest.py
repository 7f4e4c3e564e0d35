"""A test period: which hours it has, what final models may learn from, and every model's errors.

Letters: S seeds, T hours that are forecast, L lead times. Errors are forecast minus observation, in
the target's unit, by the hour that is forecast, NaN where it was not observed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from lstm_model.arrays import Float64Array
from lstm_model.configuration import DataSettings
from lstm_model.data.series import EncodedSeries, floors, is_never_negative
from lstm_model.data.sources import Dataset
from lstm_model.data.step import format_times, on_wall
from lstm_model.errors import InputError, TableError
from lstm_model.evaluation.baselines import PERSISTENCE
from lstm_model.evaluation.metrics import Score, rmse, score
from tuning.comparison.result import ModelScores


@dataclass(frozen=True)
class EvaluationWindow:
    """The hours from `start` to before `end`, tested with models that learn from all before."""

    label: str
    start: datetime
    end: datetime


@dataclass(frozen=True)
class ComparisonProtocol:
    """How finalists are chosen and where they are tested: the test first, then earlier years."""

    finalists: int
    seeds: int
    windows: tuple[EvaluationWindow, ...]


def evaluation_windows(
    dataset: Dataset, settings: DataSettings, years: Sequence[int]
) -> list[EvaluationWindow]:
    """The test, from test_from to the table's end, and then the earlier `years`.

    Raises:
        InputError: the table has no test, or a year is none that lies in it before the test.
    """
    times = on_wall(pd.DatetimeIndex(dataset.frame.index))
    first, last = times[0], times[-1]
    end = dataset.step.after(times[-1:], 1)[0]
    start = settings.test_from
    if start >= end:
        raise InputError(
            f"the table must reach beyond test_from ({start:%Y-%m-%d %H:%M}) for a comparison, but "
            f"ends at {last:%Y-%m-%d %H:%M}; move test_from"
        )
    years_meet = all(time == datetime(time.year, 1, 1) for time in (start, end))
    whole_year = years_meet and end.year == start.year + 1
    label = f"{start.year}" if whole_year else f"{start:%Y-%m-%d} to {last:%Y-%m-%d}"
    windows = [EvaluationWindow(label, start, end.to_pydatetime())]
    for year in sorted(set(years)):
        begins = datetime(year, 1, 1)
        if begins == start:
            continue  # the test itself
        if not (first < begins and year < start.year):
            raise InputError(
                f"--test-years must lie in the table, with rows before them, and before test_from "
                f"({start:%Y-%m-%d}), or be the test's own, but got {year}; the table begins at "
                f"{first:%Y-%m-%d %H:%M}"
            )
        windows.append(EvaluationWindow(str(year), begins, datetime(year + 1, 1, 1)))
    return windows


def series_for_window(
    dataset: Dataset, settings: DataSettings, window: EvaluationWindow
) -> EncodedSeries:
    """All that comes before the window as training, the window as what is scored.

    Raises:
        TableError: one of them has no row to learn from or to score.
    """
    try:
        series = EncodedSeries.from_table(
            dataset.frame,
            dataset.step,
            settings.model_copy(
                update={"validation_from": window.start, "test_from": window.end, "folds": 1}
            ),
        )
    except TableError as error:
        raise TableError(f"the test period {window.label} can't be used: {error}") from error
    # What the test holds decides nothing.
    return replace(
        series, never_negative=is_never_negative(series.target[: series.validation_start])
    )


@dataclass(frozen=True)
class ForecastErrors:
    """A test period and every model's errors in it.

    Attributes:
        times: (T,) the hours that are forecast.
        observed: (T,) the target then, NaN where it is missing.
        errors: (S, T, L) of each model; S is 1 for one without seeds.
        origins: (T, L) the row of the table that each hour is forecast from.
        levels: (T, L) the last observed target at the origin.
        floors: (T, L) what a forecast from the origin may not fall below.
    """

    times: pd.DatetimeIndex
    observed: Float64Array
    errors: dict[str, Float64Array]
    origins: npt.NDArray[np.int_]
    levels: Float64Array
    floors: Float64Array

    @classmethod
    def of(cls, series: EncodedSeries, forecasts: Mapping[str, Float64Array]) -> Self:
        """The rows of `series` from validation_start on; persistence is added to the models.

        Args:
            forecasts: (S, origins, L) changes from the last observed value, from `horizon` rows
                before it on: what HoldoutEvaluator.forecast() gives, once for each seed.
        """
        rows = np.arange(series.validation_start, len(series.target))
        leads = np.arange(1, series.horizon + 1)
        first = series.validation_start - series.horizon  # training alone has more rows than that
        origins = rows[:, None] - leads
        changes = series.changes[first:]

        def by_hour(forecast: Float64Array) -> Float64Array:
            # A change that is not known is NaN, and so is the error.
            return np.asarray((forecast - changes)[:, origins - first, leads - 1])

        forecasts = {**forecasts, PERSISTENCE: np.zeros((1, *changes.shape))}
        return cls(
            times=series.times[rows],
            observed=series.target[rows],
            errors={name: by_hour(forecast) for name, forecast in forecasts.items()},
            origins=origins,
            levels=series.last_observed[origins],
            floors=floors(series.target, series.never_negative)[origins],
        )

    @property
    def horizon(self) -> int:
        return int(self.origins.shape[1])

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """(T, L) which forecasts count: the same for every model."""
        return np.asarray(np.isfinite(self.errors[PERSISTENCE][0]))

    def mean_errors(self, model: str) -> Float64Array:
        """(T, L) of the mean of the model's seeds."""
        return np.asarray(self.errors[model].mean(axis=0))

    def rows(self) -> dict[int, int]:
        """How many hours count, by lead time."""
        return {lead: int(n) for lead, n in enumerate(self.known.sum(axis=0), start=1)}

    def scores(self) -> dict[str, ModelScores]:
        """Every model's; of its mean forecast, and of each seed where it has several."""
        scores = {}
        for model, errors in self.errors.items():
            mean = self._score(errors.mean(axis=0))
            scores[model] = ModelScores(
                _by_lead_time(mean.rmse_by_lead_time),
                _by_lead_time(mean.mae_by_lead_time),
                _by_lead_time(mean.skill_by_lead_time),
            )
            if len(errors) > 1:
                seeds = [self._score(seed) for seed in errors]
                scores[model] = replace(
                    scores[model],
                    seeds=len(seeds),
                    rmse_by_seed=_by_lead_time(np.stack([s.rmse_by_lead_time for s in seeds], 1)),
                    mae_by_seed=_by_lead_time(np.stack([s.mae_by_lead_time for s in seeds], 1)),
                )
        return scores

    def _score(self, errors: Float64Array) -> Score:
        return score(errors, self.known, rmse(self.errors[PERSISTENCE][0], self.known))

    def csv(self) -> str:
        """A row for each hour and lead time that counts: what was observed, and every forecast."""
        known = self.known
        times = format_times(self.times)
        table = {
            "time": np.repeat(times, self.horizon)[known.ravel()],
            "lead_time": np.tile(np.arange(1, self.horizon + 1), len(self.times))[known.ravel()],
            "observed": np.repeat(self.observed, self.horizon)[known.ravel()],
        }
        for model in self.errors:
            table[model] = table["observed"] + self.mean_errors(model)[known]
        return str(pd.DataFrame(table).to_csv(index=False))


def _by_lead_time(values: Float64Array) -> dict[int, Any]:
    """(L,) or (L, S) as plain numbers or lists of them, by lead time."""
    return dict(enumerate(values.tolist(), start=1))
