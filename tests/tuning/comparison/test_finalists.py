"""Trainings with fresh seeds, held against the same ones run here; on one real Ray."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import typer

from lstm_model.command import report_errors
from lstm_model.configuration import Configuration
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.sources import load_dataset
from lstm_model.errors import TrainingFailed
from lstm_model.evaluation.metrics import Score
from lstm_model.training.evaluator import HoldoutEvaluator
from lstm_model.training.trainer import FoldTrainer, Trainer
from tuning.comparison.finalists import (
    RetrainedTrial,
    SeedRun,
    best_trials,
    fresh_seeds,
    rank_retrained,
    refitting_jobs,
    training_jobs,
)
from tuning.ray_backend import environment
from tuning.ray_backend.jobs import run_jobs
from tuning.ray_backend.session import ray_session
from tuning.ray_backend.stopping import StopRequest
from tuning.space.search_space import SearchSpace, read_space
from tuning.study.trial import Trial

Made = tuple[SearchSpace, EncodedTable]


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[None]:
    environment.set_environment()
    with ray_session(None, verbose=False):
        yield


@pytest.fixture
def made(space: Callable[..., Path]) -> Made:
    loaded = read_space(str(space(max_epochs=3, horizon=2)))
    dataset = load_dataset(loaded.data)
    return loaded, EncodedTable.from_table(dataset.frame, dataset.step, loaded.data)


def trial(number: int, rmse: float, hidden_size: int = 8, state: str = "finished") -> Trial:
    config = {"hidden_size": hidden_size, "context_length": 12, "chunk_length": 48}
    return Trial(number, config, state, best={"epoch": 1, "rmse": rmse})  # type: ignore[arg-type]


def run(seed: int, epoch: int, forecast: float, series: EncodedTable) -> SeedRun:
    """One that forecasts the same change everywhere."""
    check = HoldoutEvaluator(series)
    forecasts = np.full_like(check.holdout.changes, forecast)
    return SeedRun(seed, epoch, check.score_of(forecasts), [forecasts])


def test_the_best_trials_are_of_configurations_that_differ() -> None:
    trials = [
        trial(0, 5.0, 8),
        trial(1, 3.0, 10),
        trial(2, 4.0, 10),  # as trial 1, and worse
        trial(3, 1.0, 12, "failed"),
        trial(4, 5.0, 16, "stopped_early"),
        Trial(5, {"hidden_size": 20}, "failed"),
    ]
    assert [each.id for each in best_trials(trials, 3)] == [1, 0, 4]
    assert [each.id for each in best_trials(trials, 2)] == [1, 0]


def test_study_of_failed_trials_has_no_finalist(
    capsys: pytest.CaptureFixture[str],
) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(typer.Exit) as ended, report_errors():
        best_trials([trial(0, 1.0, 8, "failed"), Trial(1, {}, "failed")], 3)
    signal.signal(signal.SIGTERM, handler)
    assert ended.value.exit_code == 1
    assert capsys.readouterr().err == (
        "error: no trial of the study came to a result; change its space\n"
    )


def test_seeds_are_none_that_a_trial_had(made: Made) -> None:
    space, _ = made
    asked = space.overridden({"study.seed": 7})
    assert fresh_seeds(asked, 3) == [8, 9, 10]


def test_the_mean_forecast_decides(made: Made) -> None:
    """Trial 1's seeds err by much each, in opposite directions: together they are perfect."""
    _, series = made
    [only] = series.series
    right = float(np.nanmean(only.changes[only.valid_mask]))
    runs = [run(1, 1, right + 2, series), run(2, 3, right + 2, series)]
    runs += [run(1, 4, right + 9, series), run(2, 2, right - 9, series)]
    ranked = rank_retrained(series, [trial(0, 1.0), trial(1, 2.0)], runs)
    assert [candidate.trial.id for candidate in ranked] == [1, 0]
    alone = run(0, 1, right, series).score
    assert ranked[0].score.rmse == pytest.approx(alone.rmse)
    assert ranked[0].score.mae == pytest.approx(alone.mae)
    assert ranked[0].runs == tuple(runs[2:])


def test_a_configuration_that_fails_with_a_seed_is_out(made: Made) -> None:
    _, series = made
    good = run(1, 1, 50.0, series)
    ranked = rank_retrained(series, [trial(0, 1.0), trial(1, 2.0)], [good, None, good, good])
    assert [candidate.trial.id for candidate in ranked] == [1]
    with pytest.raises(TrainingFailed, match="none of trials 0, 1 came to a result"):
        rank_retrained(series, [trial(0, 1.0), trial(1, 2.0)], [good, None, None, good])


@pytest.mark.parametrize(
    ("epochs", "median"), [([7], 7), ([9, 3, 5], 5), ([4, 5], 5), ([2, 8, 4, 6], 5)]
)
def test_final_models_train_for_the_median_best_epoch(epochs: list[int], median: int) -> None:
    nothing = Score(np.ones(1), np.ones(1), np.ones(1))
    runs = tuple(SeedRun(seed, epoch, nothing, []) for seed, epoch in enumerate(epochs))
    assert RetrainedTrial(trial(0, 1.0), runs, nothing).epochs == median


def test_workers_train_what_would_be_trained_here(made: Made) -> None:
    space, series = made
    trials, seeds, heard = [trial(0, 1.0, 6), trial(1, 2.0, 7)], [4, 5], list[int]()
    jobs = training_jobs(space, series, trials, seeds)
    runs: list[SeedRun] = run_jobs(jobs, space.resources, StopRequest(), heard.append)
    assert heard[-1] == 4
    assert [each.seed for each in runs] == [4, 5, 4, 5]
    # The last: trial 1 with seed 5.
    fit = Trainer(Configuration.model_validate(trials[1].config), series, max_epochs=3, seed=5)
    scores, forecasts = [], []
    for epoch in fit:
        scores.append(epoch.score.rmse)
        forecasts.append(fit.forecasts())
    best = int(np.argmin(scores))
    assert runs[3].epoch == best + 1
    assert runs[3].score.rmse == scores[best]
    np.testing.assert_array_equal(runs[3].forecasts, forecasts[best])


def test_final_models_learn_from_all_that_came_before(made: Made) -> None:
    space, series = made
    nothing = Score(np.ones(1), np.ones(1), np.ones(1))
    finalist = RetrainedTrial(trial(0, 1.0, 6), (SeedRun(1, 2, nothing, []),), nothing)
    jobs = refitting_jobs(space, series, finalist, [4, 5])
    models = run_jobs(jobs, space.resources, StopRequest(), lambda done: None)
    training = FoldTrainer(
        Configuration.model_validate(finalist.trial.config),
        series.training_only,
        max_epochs=3,
        seed=5,
    )
    for _ in range(2):
        training.train_epoch()
    for name, tensor in training.averaged.state_dict().items():
        assert torch.equal(tensor, models[1].model.state_dict()[name])
    assert models[1].encoder == series.encoders.each[0]
    assert models[1].target == "pm"


def test_a_request_to_stop_ends_it(made: Made) -> None:
    space, series = made
    stop = StopRequest()
    jobs = training_jobs(space, series, [trial(0, 1.0)], range(50))
    with pytest.raises(KeyboardInterrupt):
        run_jobs(jobs, space.resources, stop, lambda done: stop.fail(OSError()))
