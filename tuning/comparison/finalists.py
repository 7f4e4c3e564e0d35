"""A study's best configurations trained again with fresh seeds, one of them chosen, and refitted.

One trial's error is partly luck, and the best of many trials is the luckiest: which seed it had is
part of it. So the finalist is chosen by trainings with seeds that no trial had.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lstm_model.arrays import Float64Array
from lstm_model.configuration import Configuration
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.errors import TrainingFailed
from lstm_model.evaluation.boosting import forecast_lightgbm
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
        return median_epoch(self.runs)


def median_epoch(runs: Sequence[SeedRun]) -> int:
    """The median of the trainings' best epochs, rounded up where it lies between two."""
    return int(np.median([run.epoch for run in runs]) + 0.5)


def fresh_seeds(space: SearchSpace, count: int) -> list[int]:
    """Seeds that no trial of the study had."""
    return [space.study.seed + number for number in range(1, count + 1)]


def best_trials(trials: Iterable[Trial], count: int) -> list[Trial]:
    """Those with the lowest objective on validation, of configurations that differ.

    Raises:
        TrainingFailed: no trial came to a result.
    """
    scored = [trial for trial in trials if trial.best and trial.state != "failed"]
    if not scored:
        raise TrainingFailed("no trial of the study came to a result; change its space")
    chosen: list[Trial] = []
    for trial in sorted(scored, key=lambda trial: (trial.objective, trial.id)):
        if all(trial.config != other.config for other in chosen):
            chosen.append(trial)
    return chosen[:count]


def training_jobs(
    space: SearchSpace, table: EncodedTable, trials: Sequence[Trial], seeds: Sequence[int]
) -> list[Job]:
    """Every trial's configuration with every seed, validated as in the study."""
    shared = share(table)
    return [
        Job(
            train_with_seed,
            (Configuration.model_validate(trial.config), shared, space.study.max_epochs, seed),
        )
        for trial in trials
        for seed in seeds
    ]


def rank_retrained(
    table: EncodedTable, trials: Sequence[Trial], runs: Sequence[SeedRun | None]
) -> list[RetrainedTrial]:
    """The trials with the runs that training_jobs() gave, the best first.

    What decides is the objective of the seeds' mean forecast on validation, since that is what will
    be used. A configuration of which any training failed is none.

    Raises:
        TrainingFailed: there is none.
    """
    evaluators = [HoldoutEvaluator(fold) for fold in table.folds]
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
    return sorted(retrained, key=lambda candidate: (candidate.score.objective, candidate.trial.id))


def refitting_jobs(
    space: SearchSpace, table: EncodedTable, finalist: RetrainedTrial, seeds: Sequence[int]
) -> list[Job]:
    """The finalist with every seed, on the rows of `table` before its split alone.

    The learning rate follows the same schedule, and stops at the finalist's median best epoch.
    """
    shared = share(table.training_only)
    config = Configuration.model_validate(finalist.trial.config)
    settings = (config, shared, space.data.target, space.study.max_epochs, finalist.epochs)
    return [Job(refit_with_seed, (*settings, seed)) for seed in seeds]


def boosting_jobs(table: EncodedTable) -> list[Job]:
    """LightGBM for every lead time of `table`."""
    shared = share(table)
    return [Job(_fit_lightgbm, (shared, lead)) for lead in range(1, table.horizon + 1)]


def train_with_seed(
    config: Configuration, table: EncodedTable, max_epochs: int, seed: int, device: str
) -> SeedRun | None:
    """A trial's configuration, trained anew; None where it fails by its own fault."""
    best: BestEpoch | None = None
    forecasts: list[Float64Array] = []
    trainer = Trainer(config, table, max_epochs=max_epochs, seed=seed, device=device)
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
    learned: EncodedTable,
    target: str,
    max_epochs: int,
    epochs: int,
    seed: int,
    device: str,
) -> TrainedForecaster:
    """A final model: trained on all of `learned`, for so many epochs."""
    training = train_for(epochs, config, learned, max_epochs, seed, device)
    weights = {name: tensor.cpu() for name, tensor in training.averaged.state_dict().items()}
    return TrainedForecaster.from_weights(learned, target, config, weights)


def train_for(
    epochs: int,
    config: Configuration,
    learned: EncodedTable,
    max_epochs: int,
    seed: int,
    device: str,
) -> FoldTrainer:
    """So many epochs of a training whose schedule has `max_epochs`."""
    training = FoldTrainer(config, learned, max_epochs=max_epochs, seed=seed, device=device)
    for _ in range(epochs):
        training.train_epoch()
    return training


def _fit_lightgbm(table: EncodedTable, lead: int, device: str) -> Float64Array:
    """On a core, whatever the device."""
    return forecast_lightgbm(table, lead)
