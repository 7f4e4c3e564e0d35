"""A study's best configurations trained again with fresh seeds, one of them chosen, and refitted.

One trial's error is partly luck, and the best of many trials is the luckiest: which seed it had is
part of it. So the finalist is chosen by trainings with seeds that no trial had.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lstm_model.arrays import Float64Array
from lstm_model.configuration import Configuration
from lstm_model.data.series import EncodedSeries
from lstm_model.errors import TrainingFailed
from lstm_model.evaluation.baselines import forecast_lightgbm
from lstm_model.evaluation.metrics import Score, mean_score
from lstm_model.inference.predictor import TrainedForecaster
from lstm_model.training.evaluator import HoldoutEvaluator
from lstm_model.training.trainer import BestEpoch, FoldTrainer, Trainer
from tuning.ray_backend.jobs import Job, share
from tuning.space.search_space import SearchSpace
from tuning.study.trial import Trial


@dataclass(frozen=True)
class SeedRun:
    """One training of a configuration.

    Attributes:
        epoch: the best one on validation.
        score: on validation, at that epoch.
        forecasts: of each fold's validation, at that epoch: see HoldoutEvaluator.forecast().
    """

    seed: int
    epoch: int
    score: Score
    forecasts: list[Float64Array]


@dataclass(frozen=True)
class RetrainedTrial:
    """A configuration that was trained with several seeds; `score` is of their mean forecast."""

    trial: Trial
    runs: tuple[SeedRun, ...]
    score: Score

    @property
    def epochs(self) -> int:
        """The median best epoch: how long its final models train."""
        return int(np.median([run.epoch for run in self.runs]) + 0.5)


def fresh_seeds(space: SearchSpace, count: int) -> list[int]:
    """Seeds that no trial of the study had."""
    return [space.study.seed + number for number in range(1, count + 1)]


def best_trials(trials: Iterable[Trial], count: int) -> list[Trial]:
    """Those with the lowest validation RMSE, of configurations that differ.

    Raises:
        TrainingFailed: no trial came to a result.
    """
    scored = [trial for trial in trials if trial.best and trial.state != "failed"]
    if not scored:
        raise TrainingFailed("no trial of the study came to a result; change its space")
    chosen: list[Trial] = []
    for trial in sorted(scored, key=lambda trial: (trial.rmse, trial.id)):
        if all(trial.config != other.config for other in chosen):
            chosen.append(trial)
    return chosen[:count]


def training_jobs(
    space: SearchSpace, series: EncodedSeries, trials: Sequence[Trial], seeds: Sequence[int]
) -> list[Job]:
    """Every trial's configuration with every seed, validated as in the study."""
    shared = share(series)
    return [
        Job(
            train_with_seed,
            (Configuration.model_validate(trial.config), shared, space.study.max_epochs, seed),
        )
        for trial in trials
        for seed in seeds
    ]


def rank_retrained(
    series: EncodedSeries, trials: Sequence[Trial], runs: Sequence[SeedRun | None]
) -> list[RetrainedTrial]:
    """The trials with the runs that training_jobs() gave, the best first.

    What decides is the validation RMSE of the seeds' mean forecast, since that is what will be
    used. A configuration of which any training failed is none.

    Raises:
        TrainingFailed: there is none.
    """
    evaluators = [HoldoutEvaluator(fold) for fold in series.folds]
    seeds = len(runs) // len(trials)
    retrained = []
    for number, trial in enumerate(trials):
        own = [run for run in runs[number * seeds : (number + 1) * seeds] if run is not None]
        if len(own) < seeds:
            continue
        scores = [
            evaluator.score_of(np.mean([run.forecasts[fold] for run in own], axis=0))
            for fold, evaluator in enumerate(evaluators)
        ]
        retrained.append(RetrainedTrial(trial, tuple(own), mean_score(scores)))
    if not retrained:
        names = ", ".join(str(trial.id) for trial in trials)
        raise TrainingFailed(f"trained with other seeds, none of trials {names} came to a result")
    return sorted(retrained, key=lambda candidate: (candidate.score.rmse, candidate.trial.id))


def refitting_jobs(
    space: SearchSpace, series: EncodedSeries, finalist: RetrainedTrial, seeds: Sequence[int]
) -> list[Job]:
    """The finalist with every seed, on the rows of `series` before its split alone.

    The learning rate follows the same schedule, and stops at the finalist's median best epoch.
    """
    shared = share(series.training_only)
    config = Configuration.model_validate(finalist.trial.config)
    settings = (config, shared, space.data.target, space.study.max_epochs, finalist.epochs)
    return [Job(refit_with_seed, (*settings, seed)) for seed in seeds]


def boosting_jobs(series: EncodedSeries) -> list[Job]:
    """LightGBM for every lead time of `series`."""
    shared = share(series)
    return [Job(_fit_lightgbm, (shared, lead)) for lead in range(1, series.horizon + 1)]


def train_with_seed(
    config: Configuration, series: EncodedSeries, max_epochs: int, seed: int, device: str
) -> SeedRun | None:
    """A trial's configuration, trained anew; None where it fails by its own fault."""
    best: BestEpoch | None = None
    forecasts: list[Float64Array] = []
    trainer = Trainer(config, series, max_epochs=max_epochs, seed=seed, device=device)
    try:
        for epoch in trainer:
            if best is not epoch.best:
                best, forecasts = epoch.best, trainer.forecasts()
    except TrainingFailed:
        return None
    assert best is not None
    return SeedRun(seed, best.epoch, best.score, forecasts)


def refit_with_seed(
    config: Configuration,
    learned: EncodedSeries,
    target: str,
    max_epochs: int,
    epochs: int,
    seed: int,
    device: str,
) -> TrainedForecaster:
    """A final model: trained on all of `learned`, for so many epochs."""
    training = FoldTrainer(config, learned, max_epochs=max_epochs, seed=seed, device=device)
    for _ in range(epochs):
        training.train_epoch()
    weights = {name: tensor.cpu() for name, tensor in training.averaged.state_dict().items()}
    return TrainedForecaster.from_weights(learned, target, config, weights)


def _fit_lightgbm(series: EncodedSeries, lead: int, device: str) -> Float64Array:
    """On a core, whatever the device."""
    return forecast_lightgbm(series, lead)
