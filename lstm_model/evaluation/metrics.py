"""RMSE, MAE and skill: pure functions of errors, one per metric."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from lstm_model.arrays import Float64Array, Mask


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
class Score:
    """Each metric of a set of forecasts by lead time, (L,), and its mean over lead times."""

    rmse_by_lead_time: Float64Array
    mae_by_lead_time: Float64Array
    skill_by_lead_time: Float64Array

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

    @classmethod
    def from_json(cls, saved: dict[str, dict[str, float]]) -> Self:
        """What by_lead_time() gave."""
        rmse, mae, skill = (
            np.array(list(saved[name].values()), np.float64) for name in ("rmse", "mae", "skill")
        )
        return cls(rmse, mae, skill)

    def to_json(self) -> dict[str, Any]:
        """Means, and with more than one lead time `by_lead_time` beside them."""
        means: dict[str, Any] = {"rmse": self.rmse, "mae": self.mae, "skill": self.skill}
        if len(self.rmse_by_lead_time) > 1:
            means["by_lead_time"] = self.by_lead_time()
        return means


def mean_score(scores: Sequence[Score]) -> Score:
    """The mean of each metric at each lead time: of several folds, each with rows of its own."""
    return Score(
        np.mean([s.rmse_by_lead_time for s in scores], axis=0),
        np.mean([s.mae_by_lead_time for s in scores], axis=0),
        np.mean([s.skill_by_lead_time for s in scores], axis=0),
    )


def score(errors: Float64Array, scored: Mask, persistence_rmse: Float64Array) -> Score:
    """The metrics of (T, L) errors beside persistence's (L,) RMSE on the same rows."""
    root = rmse(errors, scored)
    return Score(root, mae(errors, scored), skill(root, persistence_rmse))
