"""RMSE, MAE and skill: pure functions of errors, one per metric."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from lstm_model.arrays import Float64Array, IntArray, Mask


def rmse(errors: Float64Array, scored: Mask) -> Float64Array:
    """Root mean squared error by lead time.

    Args:
        errors: (T, L) forecast minus observation, in the target's unit; anything where not scored.
        scored: (T, L) which forecasts count, at least one for every lead time.

    Returns:
        (L,) in the target's unit.
    """
    squares = np.where(scored, errors, 0.0) ** 2
    return np.asarray(np.sqrt(squares.sum(axis=0) / scored.sum(axis=0)))


def mae(errors: Float64Array, scored: Mask) -> Float64Array:
    """Mean absolute error by lead time; shapes and units as in rmse()."""
    return np.asarray(np.abs(np.where(scored, errors, 0.0)).sum(axis=0) / scored.sum(axis=0))


def skill(error: Float64Array, reference: Float64Array) -> Float64Array:
    """1 - error / reference, by lead time: 0 is no better than the reference, 1 is perfect.

    Where the reference makes no error there is nothing to be better than: 0 for a perfect
    forecast, minus infinity for any other.

    Args:
        error, reference: (L,) RMSE of a model and of persistence on the same rows.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(error == reference, 1.0, error / reference)
    return np.asarray(1.0 - ratio)


@dataclass(frozen=True)
class SeriesScores:
    """Each metric of N series by lead time, (N, L), NaN where a series is not scored."""

    names: tuple[str, ...]
    rmse: Float64Array
    mae: Float64Array
    skill: Float64Array

    def to_json(self) -> dict[str, dict[str, float]]:
        """{series: {"rmse": ..., "mae": ..., "skill": ...}}: means over the lead times of those
        that are scored.
        """
        means = [_mean_of_known(values, axis=1) for values in (self.rmse, self.mae, self.skill)]
        return {
            name: {"rmse": float(rmse), "mae": float(mae), "skill": float(skill)}
            for name, rmse, mae, skill in zip(self.names, *means, strict=True)
            if np.isfinite(skill)
        }

    def to_state(self) -> dict[str, Any]:
        """Every number, for from_json()."""
        metrics = {"rmse": self.rmse, "mae": self.mae, "skill": self.skill}
        return {"names": self.names, **{name: each.tolist() for name, each in metrics.items()}}

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Self:
        """What to_state() gave."""
        return cls(
            tuple(saved["names"]), *(np.array(saved[name]) for name in ("rmse", "mae", "skill"))
        )


@dataclass(frozen=True)
class Score:
    """Each metric of a set of forecasts by lead time, (L,), and its mean over lead times.

    Of several series, RMSE and MAE are over all their rows, and skill is the mean of theirs.
    """

    rmse_by_lead_time: Float64Array
    mae_by_lead_time: Float64Array
    skill_by_lead_time: Float64Array
    by_series: SeriesScores | None = None

    @property
    def rmse(self) -> float:
        return float(self.rmse_by_lead_time.mean())

    @property
    def mae(self) -> float:
        return float(self.mae_by_lead_time.mean())

    @property
    def skill(self) -> float:
        """The mean of the lead times' skills, which is not the skill of the mean RMSE."""
        return float(self.skill_by_lead_time.mean())

    @property
    def objective(self) -> float:
        """What a search minimises: the RMSE, or of several series the mean over them and the lead
        times of the RMSE by persistence's, so that a large and a small one count alike.
        """
        return self.rmse if self.by_series is None else 1.0 - self.skill

    @property
    def objective_by_lead_time(self) -> Float64Array:
        """(L,) the same at each lead time."""
        return self.rmse_by_lead_time if self.by_series is None else 1.0 - self.skill_by_lead_time

    def by_lead_time(self) -> dict[str, dict[str, float]]:
        """{"rmse": {"1": ...}, "mae": ..., "skill": ...}, as summaries store it."""
        return {
            name: {str(lead): float(value) for lead, value in enumerate(values, start=1)}
            for name, values in (
                ("rmse", self.rmse_by_lead_time),
                ("mae", self.mae_by_lead_time),
                ("skill", self.skill_by_lead_time),
            )
        }

    def to_state(self) -> dict[str, Any]:
        """by_lead_time(), and with more than one series every metric of each, to the last bit."""
        if self.by_series is None:
            return self.by_lead_time()
        return {**self.by_lead_time(), "by_series": self.by_series.to_state()}

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Self:
        """What by_lead_time() or to_state() gave."""
        rmse, mae, skill = (
            np.array(list(saved[name].values()), np.float64) for name in ("rmse", "mae", "skill")
        )
        by_series = saved.get("by_series")
        return cls(rmse, mae, skill, by_series and SeriesScores.from_json(by_series))

    def to_json(self) -> dict[str, Any]:
        """Means, and with more than one lead time `by_lead_time` beside them, and with more than
        one series `by_series`.
        """
        means: dict[str, Any] = {"rmse": self.rmse, "mae": self.mae, "skill": self.skill}
        if len(self.rmse_by_lead_time) > 1:
            means["by_lead_time"] = self.by_lead_time()
        if self.by_series is not None:
            means["by_series"] = self.by_series.to_json()
        return means


def mean_score(scores: Sequence[Score]) -> Score:
    """The mean of each metric at each lead time: of several folds, each with rows of its own."""
    return Score(
        np.mean([s.rmse_by_lead_time for s in scores], axis=0),
        np.mean([s.mae_by_lead_time for s in scores], axis=0),
        np.mean([s.skill_by_lead_time for s in scores], axis=0),
        _mean_series_scores([s.by_series for s in scores if s.by_series is not None]),
    )


def _mean_series_scores(scores: Sequence[SeriesScores]) -> SeriesScores | None:
    """By series, over the folds that score it."""
    if not scores:
        return None
    if len(scores) == 1:
        return scores[0]
    names = tuple(dict.fromkeys(name for each in scores for name in each.names))
    places = {name: number for number, name in enumerate(names)}
    values = np.full((3, len(scores), len(names), scores[0].rmse.shape[1]), np.nan)
    for fold, each in enumerate(scores):
        rows = [places[name] for name in each.names]
        values[:, fold, rows] = each.rmse, each.mae, each.skill
    rmse, mae, skill = _mean_of_known(values, axis=1)
    return SeriesScores(names, rmse, mae, skill)


def score(errors: Float64Array, scored: Mask, persistence_rmse: Float64Array) -> Score:
    """The metrics of (T, L) errors beside persistence's (L,) RMSE on the same rows."""
    root = rmse(errors, scored)
    return Score(root, mae(errors, scored), skill(root, persistence_rmse))


def score_series(
    errors: Float64Array,
    scored: Mask,
    names: Sequence[str],
    bounds: IntArray,
    changes: Float64Array,
) -> Score:
    """The metrics of the errors of several series, of which the rows stand one after the other.

    Args:
        errors: (V, L) as rmse() takes them.
        scored: (V, L) which of them count; of every lead time some do.
        names: of the N series.
        bounds: (N + 1,) where each one's rows begin.
        changes: (V, L) the errors of persistence, but for their sign.
    """
    squares, sizes, persistence = (
        _by_series(np.where(scored, values, 0.0), bounds)
        for values in (np.square(errors), np.abs(errors), np.square(changes))
    )
    counts = _by_series(scored.astype(np.float64), bounds)
    with np.errstate(divide="ignore", invalid="ignore"):
        known = np.where((persistence > 0) & (counts > 0), 1.0, np.nan)
        root, size = np.sqrt(squares / counts) * known, sizes / counts * known
        gain = 1.0 - np.sqrt(squares / persistence) * known
    return Score(
        rmse(errors, scored),
        mae(errors, scored),
        _mean_of_known(gain, axis=0),
        SeriesScores(tuple(names), root, size, gain),
    )


def _by_series(values: Float64Array, bounds: IntArray) -> Float64Array:
    """(V, L) -> (N, L): the sums over each series' rows, 0 of one without rows."""
    sums = np.zeros((len(bounds) - 1, values.shape[1]))
    has_rows = np.diff(bounds) > 0
    sums[has_rows] = np.add.reduceat(values, bounds[:-1][has_rows], axis=0)
    return sums


def _mean_of_known(values: Float64Array, axis: int) -> Float64Array:
    """The means without NaN; NaN where there is nothing else."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmean(values, axis=axis))
