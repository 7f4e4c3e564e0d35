"""A test period: which hours it has, what final models may learn from, and every model's errors.

Letters: S seeds, T hours that are forecast, of all series one after the other, L lead times. Errors
are forecast minus observation, in the target's unit, by the hour that is forecast, NaN where it was
not observed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from lstm_model.arrays import Float64Array, IntArray, Mask
from lstm_model.configuration import DataSettings
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.series import floors, is_never_negative
from lstm_model.data.series_index import SeriesIndex
from lstm_model.data.sources import Dataset
from lstm_model.data.step import format_times, on_wall
from lstm_model.errors import InputError, TableError
from lstm_model.evaluation.baselines import PERSISTENCE
from lstm_model.evaluation.metrics import Score, rmse, score, score_series
from tuning.comparison.hours_by_series import HoursBySeries
from tuning.comparison.result import ModelScores
from tuning.wording import group_left_out, list_names


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
    clock = pd.DatetimeIndex(dataset.frame.index)
    times = on_wall(clock[[int(clock.argmin()), int(clock.argmax())]])
    first, last = times
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


def table_for_window(
    dataset: Dataset,
    settings: DataSettings,
    window: EvaluationWindow,
    *,
    check_scored: bool = True,
) -> EncodedTable:
    """All that comes before the window as training, the window as what is scored.

    Args:
        check_scored: False takes a single series also where the window can't score it.

    Raises:
        TableError: one of them has no row to learn from or to score.
    """
    try:
        table = EncodedTable.from_table(
            dataset.frame,
            dataset.step,
            settings.model_copy(
                update={"validation_from": window.start, "test_from": window.end, "folds": 1}
            ),
            dataset.index,
            check_scored=check_scored,
        )
    except TableError as error:
        raise TableError(f"the test period {window.label} can't be used: {error}") from error
    # What the test holds decides nothing: of a series that begins in it the others decide.
    before = [series.target[: series.validation_start] for series in table.each_series()]
    known = [is_never_negative(target) if np.isfinite(target).any() else None for target in before]
    others = all(each is not False for each in known)
    return replace(table, never_negative=tuple(others if each is None else each for each in known))


def tell_left_out(table: EncodedTable, window: EvaluationWindow) -> list[str]:
    """Which series of several the models did not learn from, or the window can't score, and why: a
    sentence for each reason.
    """
    sentences = []
    for (split, reason), names in group_left_out(table.left_out).items():
        listed = list_names(names)
        reason = reason.replace("in validation", "then").replace("validation", "it")
        if split == "training":
            sentences.append(
                f"For the test {window.label} nothing was learned from {listed}: {reason}."
            )
        else:
            sentences.append(f"The test {window.label} can't score {listed}: {reason}.")
    return sentences


@dataclass(frozen=True)
class ForecastErrors:
    """A test period and every model's errors in it.

    Attributes:
        times: (T,) the hours that are forecast, of all series one after the other.
        observed: (T,) the target then, NaN where it is missing.
        errors: (S, T, L) of each model; S is 1 for one without seeds. Of several series float32,
            since there are many.
        origins: (T, L) the row of the table that each hour is forecast from; where the series has
            no row so far back, its first one.
        levels: (T, L) the last observed target at the origin.
        floors: (T, L) what a forecast from the origin may not fall below.
        index: which of the hours are of which series; without it they are of one.
        scales: of series that were not learned from, the (hours, L) size of changes by the origin.
        sampled: of models that forecast some of the series alone, which: their errors in the
            others are NaN.
    """

    times: pd.DatetimeIndex
    observed: Float64Array
    errors: dict[str, Float64Array]
    origins: npt.NDArray[np.int_]
    levels: Float64Array
    floors: Float64Array
    index: SeriesIndex = field(default=None)  # type: ignore[assignment]  # of one series
    scales: Mapping[str, Float64Array] = field(default_factory=dict)
    sampled: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.index is None:
            object.__setattr__(self, "index", SeriesIndex.of_one(len(self.times)))

    @classmethod
    def of(
        cls,
        table: EncodedTable,
        forecasts: Mapping[str, Float64Array],
        sampled: Mapping[str, Sequence[str]] | None = None,
    ) -> Self:
        """The rows of `table` from validation on; persistence is added to the models.

        Args:
            forecasts: (S, origins, L) changes from the last observed value, from `horizon` rows
                before it on: what HoldoutEvaluator.forecast() gives, once for each seed.
        """
        leads = np.arange(1, table.horizon + 1)
        hours, origins, places, known, changes, lowest = [], [], [], [], [], []  # by series
        scales = {}
        count = 0  # of the origins so far
        for (_, of_table), series in zip(table.index, table.each_series(), strict=True):
            rows = np.arange(series.validation_start, len(series.target))
            first = series.first_origin
            # A series that begins in the test has no origin for its first hours.
            own = rows[:, None] - leads
            known.append(own >= 0)
            own = np.maximum(own, 0)
            hours.append(of_table.start + rows)
            origins.append(of_table.start + own)
            places.append(count + own - first)
            changes.append(series.changes[first:])
            lowest.append(floors(series.target, series.never_negative)[own])
            if series.change_scale.ndim > 1:
                scales[series.name] = series.change_scale[own, leads - 1]
            count += len(changes[-1])
        at, has_origin, happened = (np.concatenate(each) for each in (places, known, changes))

        def by_hour(forecast: Float64Array) -> Float64Array:
            """Where a change is not known it is NaN, and so is the error."""
            if len(table.index) == 1:  # training has more rows than lead times
                return np.asarray((forecast - happened)[:, at, leads - 1])
            errors = np.empty((len(forecast), *at.shape), np.float32)
            for out, seed in zip(errors, forecast, strict=True):
                out[:] = (seed - happened)[at, leads - 1]
                out[~has_origin] = np.nan
            return errors

        forecasts = {**forecasts, PERSISTENCE: np.zeros((1, *happened.shape))}
        rows, from_rows = np.concatenate(hours), np.concatenate(origins)
        return cls(
            times=table.times[rows],
            observed=table.target[rows],
            errors={name: by_hour(forecast) for name, forecast in forecasts.items()},
            origins=from_rows,
            levels=table.last_observed[from_rows],
            floors=np.concatenate(lowest),
            index=SeriesIndex.of_lengths(table.index.names, map(len, hours)),
            scales=scales,
            sampled=sampled or {},
        )

    @property
    def horizon(self) -> int:
        return int(self.origins.shape[1])

    @property
    def has_series(self) -> bool:
        """Whether it is of several."""
        return len(self.index) > 1

    @cached_property
    def known(self) -> Mask:
        """(T, L) which forecasts count: the same for every model.

        Of several series one does not count at lead times at which persistence never errs.
        """
        errors = self.errors[PERSISTENCE][0]
        known = np.asarray(np.isfinite(errors))
        if self.has_series:
            for _, rows in self.index:
                known[rows] &= (known[rows] & (errors[rows] != 0)).any(axis=0)
        return known

    @cached_property
    def hours(self) -> IntArray:
        """(T,) the number of each row's time among all times of the period."""
        if not self.has_series:
            return np.arange(len(self.times))
        return np.asarray(np.unique(self.times.asi8, return_inverse=True)[1])

    @property
    def hour_count(self) -> int:
        """How many different times there are."""
        return int(self.hours.max()) + 1

    def known_of(self, models: Sequence[str]) -> Mask:
        """(T, L) which forecasts count where all of these models have forecast the series."""
        known = self.known
        for names in (self.sampled[model] for model in models if model in self.sampled):
            has_model = np.isin(self.index.names, names)
            known = known & has_model[self.index.numbers][:, None]
        return known

    def hours_by_series(self, lead: int, models: Sequence[str] = ()) -> HoursBySeries:
        """The hours that count at a lead time, of the series that all the models forecast."""
        rows = np.flatnonzero(self.known_of(models)[:, lead - 1])
        numbers = np.unique(self.index.numbers[rows], return_inverse=True)[1]
        persistence = self.errors[PERSISTENCE][0, rows, lead - 1].astype(np.float64)
        return HoursBySeries(rows, numbers, self.hours[rows], persistence, self.hour_count)

    def mean_errors(self, model: str) -> Float64Array:
        """(T, L) of the mean of the model's seeds."""
        return np.asarray(self.errors[model].mean(axis=0, dtype=np.float64))

    def rows(self) -> dict[int, int]:
        """How many hours count, by lead time."""
        return {lead: int(n) for lead, n in enumerate(self.known.sum(axis=0), start=1)}

    def scores(self) -> dict[str, ModelScores]:
        """Every model's; of its mean forecast, and of each seed where it has several."""
        scores = {}
        for model, errors in self.errors.items():
            mean = self._scores[model]
            scores[model] = ModelScores(
                _by_lead_time(mean.rmse_by_lead_time),
                _by_lead_time(mean.mae_by_lead_time),
                _by_lead_time(mean.skill_by_lead_time),
            )
            if len(errors) > 1:
                seeds = [self._score(model, seed) for seed in errors]
                skills = np.stack([s.skill_by_lead_time for s in seeds], 1)
                scores[model] = replace(
                    scores[model],
                    seeds=len(seeds),
                    rmse_by_seed=_by_lead_time(np.stack([s.rmse_by_lead_time for s in seeds], 1)),
                    mae_by_seed=_by_lead_time(np.stack([s.mae_by_lead_time for s in seeds], 1)),
                    skill_by_seed=_by_lead_time(skills) if self.has_series else None,
                )
        return scores

    def scores_by_series(self) -> dict[str, dict[str, ModelScores]] | None:
        """Every model's, of its mean forecast, in each series at the lead times at which it counts;
        None of one series.
        """
        if not self.has_series:
            return None
        scores: dict[str, dict[str, ModelScores]] = {}
        for model, each in self._scores.items():
            own = each.by_series
            assert own is not None
            scores[model] = {
                name: ModelScores(
                    _known_by_lead_time(own.rmse[n]),
                    _known_by_lead_time(own.mae[n]),
                    _known_by_lead_time(own.skill[n]),
                )
                for n, name in enumerate(own.names)
                if np.isfinite(own.skill[n]).any()
            }
        return scores

    @cached_property
    def _scores(self) -> dict[str, Score]:
        """Of each model's mean forecast."""
        return {model: self._score(model, self.mean_errors(model)) for model in self.errors}

    def _score(self, model: str, errors: Float64Array) -> Score:
        if not self.has_series:
            return score(errors, self.known, rmse(self.errors[PERSISTENCE][0], self.known))
        exact, persistence = (
            np.asarray(each, np.float64) for each in (errors, self.errors[PERSISTENCE][0])
        )
        return score_series(
            exact,
            self.known_of([model]),
            self.index.names,
            np.array(self.index.bounds),
            persistence,
        )

    def csv(self) -> str:
        """A row for each hour and lead time that counts: what was observed, and every forecast."""
        first = np.unique(self.hours, return_index=True)[1]
        times = np.array(format_times(self.times[first]), object)
        return "".join(self._csv(number, times) for number in range(len(self.index)))

    def _csv(self, number: int, times: npt.NDArray[np.object_]) -> str:
        """One series' rows, below the heading where it is the first; `times` by hours, as text."""
        rows = slice(*self.index.bounds[number : number + 2])
        known, observed = self.known[rows], self.observed[rows]
        hours, lead_times = np.nonzero(known)
        series = {"series": self.index.names[number]} if self.has_series else {}
        changes = np.abs(self.errors[PERSISTENCE][0, rows][known])
        decimals = 7 - math.ceil(math.log10(changes.max())) if changes.any() else 0
        table: dict[str, Any] = {
            **series,
            "time": times[self.hours[rows][hours]],
            "lead_time": lead_times + 1,
            "observed": observed[hours],
        }
        for model, errors in self.errors.items():
            mean = errors[:, rows].mean(axis=0, dtype=np.float64)
            forecast = table["observed"] + mean[known]
            # Of several series errors are rounded: what float32 adds would double the file.
            table[model] = forecast.round(decimals) if self.has_series else forecast
        return str(pd.DataFrame(table).to_csv(index=False, header=number == 0))


def _by_lead_time(values: Float64Array) -> dict[int, Any]:
    """(L,) or (L, S) as plain numbers or lists of them, by lead time."""
    return dict(enumerate(values.tolist(), start=1))


def _known_by_lead_time(values: Float64Array) -> dict[int, float]:
    """(L,) as plain numbers, without those that are not known."""
    return {lead: value for lead, value in _by_lead_time(values).items() if math.isfinite(value)}
