"""What best/ and a comparison's final models carry beside their weights; without any Ray."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lstm_model
from lstm_model.configuration import Configuration
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.sources import load_dataset
from lstm_model.inference.intervals import Intervals, calibrate
from lstm_model.inference.predictor import TrainedForecaster
from lstm_model.model.forecaster import LSTMForecaster
from lstm_model.training.evaluator import HoldoutEvaluator
from lstm_model.training.trainer import Trainer
from tests.builders import copy_of, epoch_report
from tests.tuning.study.studies import (
    CONFIG,
    checkpoint,
    end,
    folder_of,
    read,
    reopened,
    replicated,
    save,
)
from tuning.comparison.backtest import EvaluationWindow, table_for_window
from tuning.comparison.finalists import RetrainedTrial, refit_with_seed, train_with_seed
from tuning.comparison.pipeline import with_intervals
from tuning.space.search_space import read_space
from tuning.study import best_model
from tuning.study.best_model import BEST_MANIFEST, BestModel
from tuning.study.study import Study
from tuning.study.trial import Trial
from tuning.study.view import StudyView

CHEAP = Configuration(hidden_size=4, context_length=6, chunk_length=48)


def same(a: Intervals | None, b: Intervals) -> bool:
    return a is not None and a.to_json() == b.to_json()


def test_the_best_model_knows_its_errors_on_validation_its_past_and_its_clock(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = Trainer(CHEAP, study.view.table, max_epochs=2, seed=1)
    *_, last = fit
    folder = folder_of(study) / "checkpoints" / "0" / "0" / "checkpoint_000000"
    of = TrainedForecaster.from_weights(
        study.view.table, "pm", CHEAP, last.best.weights, last.best.score
    )
    of.save(folder / "best")
    study.on_trial_start(0, CONFIG)
    study.on_epoch(0, epoch_report(1, 9.0))
    study.on_checkpoint(0, folder)
    study.on_trial_end(0, "finished")
    study.heartbeat()
    assert lstm_model.load(folder_of(study) / "best").intervals is None, "a better one may follow"
    # Whoever goes on with it makes up for it as well.
    study.release()
    study = copy_of(study)
    assert study.resume(["--resume"]) == []
    monkeypatch.setattr(best_model, "CALIBRATE_SECONDS", 0.0)
    study.heartbeat()
    best = lstm_model.load(folder_of(study) / "best")
    assert best.validation_score is not None
    assert best.validation_score.rmse == last.best.score.rmse
    forecast = HoldoutEvaluator(study.view.table).forecast(best.model)
    assert same(best.intervals, calibrate([(study.view.table, forecast)]))
    assert best.reading.time == "time"
    assert not best.simulated
    assert best.rows_needed < 336
    manifest = (folder_of(study) / "best" / BEST_MANIFEST).read_bytes()
    # Nothing of it comes from the test.
    frame = study.view.dataset.frame
    hidden = frame[frame.index < study.space.data.test_from].reindex(frame.index)
    files = best.files()
    of.save(folder_of(study) / "best")
    (folder_of(study) / "best" / BEST_MANIFEST).write_bytes(manifest)
    blind = BestModel(replace(study.view, dataset=replace(study.view.dataset, frame=hidden)))
    assert blind.recover(study.trials) == []
    blind.calibrate()
    assert lstm_model.load(folder_of(study) / "best").files() == files
    assert best.forecast(frame).bounds.keys() == {0.8, 0.95}


def test_final_models_have_the_intervals_of_runs_that_had_not_seen_those_hours(
    space: Callable[..., Path], tmp_path: Path
) -> None:
    """Of the mean of the seeds, on the validation of every fold; and the folder has them all."""
    settled = read_space(str(space(horizon=2)))
    text = settled.text.replace("  target: pm\n", "  target: pm\n  folds: 2\n")
    (tmp_path / "folds.yaml").write_text(text)
    settled = read_space(str(tmp_path / "folds.yaml")).overridden({"data.horizon": 2})
    table = load_dataset(settled.data)
    series = EncodedTable.from_table(table.frame, table.step, settled.data)
    assert len(series.folds) == 2
    runs = [train_with_seed(CHEAP, series, 2, seed, "cpu") for seed in (1, 2)]
    assert all(runs)
    trial = Trial(0, CHEAP.model_dump(), "finished")
    finalist = RetrainedTrial(trial, tuple(runs), runs[0].score)  # type: ignore[arg-type, union-attr]
    end = table.step.after(pd.DatetimeIndex(table.frame.index[-1:]), 1)[0]
    span = EvaluationWindow("test", settled.data.test_from, end.to_pydatetime())
    final = table_for_window(table, settled.data, span)
    members = [
        refit_with_seed(CHEAP, final.training_only, "pm", 2, 2, seed, "cpu") for seed in (1, 2)
    ]
    study = StudyView(tmp_path / "air", settled, table, series, None, 0.0)  # type: ignore[arg-type]
    model = with_intervals(TrainedForecaster.ensemble(members), study, final, finalist)

    means = [np.mean([run.forecasts[fold] for run in runs], axis=0) for fold in range(2)]  # type: ignore[union-attr]
    assert same(model.intervals, calibrate(list(zip(series.folds, means, strict=True))))
    # Its own residuals on what it has learned from would be others.
    own = [
        np.mean([HoldoutEvaluator(fold).forecast(one.model) for one in members], axis=0)
        for fold in series.folds
    ]
    assert not same(model.intervals, calibrate(list(zip(series.folds, own, strict=True))))

    model.save(tmp_path / "models" / "tiny")
    loaded = lstm_model.load(tmp_path / "models" / "tiny")
    check = HoldoutEvaluator(final)
    mean = np.mean([check.forecast(one.model) for one in members], axis=0)
    found = loaded.forecast(table.frame)
    (only,) = final.series
    expected = only.last_observed[only.first_origin :, None] + mean
    np.testing.assert_allclose(found.point[-len(expected) :], expected, atol=1e-3)


def test_the_best_trials_model_is_kept(study: Study) -> None:
    for id, rmse in ((0, 9.0), (1, 8.0), (2, 8.5)):
        study.on_trial_start(id, CONFIG)
        study.on_epoch(id, epoch_report(1, rmse))
        study.on_checkpoint(id, checkpoint(study, id))
        study.on_trial_end(id, "finished")
    assert read(study, "best/model.json") == {"trial": 1, "number": 0}
    study.finish("finished")
    assert not (study.folder / "checkpoints").exists()
    outcome = read(study, "summary.json")
    assert (outcome["state"], outcome["best"]["trial"]) == ("finished", 1)
    assert outcome["best"]["validation"]["rmse"] == 8.0
    assert (
        outcome["best"]["validation"]["persistence_rmse"] == study.view.baselines.persistence.rmse
    )
    assert outcome["best"]["validation"]["ridge_rmse"] == study.view.baselines.scores["ridge"].rmse
    assert outcome["trials"] == {"finished": 3, "stopped_early": 0, "failed": 0}
    assert outcome["trial_seconds"] == 6.0


def test_of_equals_the_first_is_best(study: Study) -> None:
    for id in (1, 0, 2):
        end(study, id, 8.0)
    assert study.view.best_trial is study.trials[0]
    assert read(study, "best/trial.json")["trial"] == 0


def test_the_best_is_the_one_whose_model_is_kept(study: Study) -> None:
    study.on_trial_start(0, CONFIG)
    study.on_epoch(0, epoch_report(1, 7.0))  # the lowest, but never saved
    end(study, 1, 9.0)
    study.on_trial_end(0, "failed", "its worker died 4 times")
    study.finish("finished")
    assert study.view.best_trial is study.trials[1]
    assert read(study, "summary.json")["best"]["trial"] == 1
    assert read(study, "best/model.json") == {"trial": 1, "number": 0}


def test_until_a_trial_has_ended_the_best_is_the_leaders_last_checkpoint(study: Study) -> None:
    for id in (0, 1, 2):
        study.on_trial_start(id, CONFIG)
    save(study, 1, 1, 9.0)
    assert read(study, "best/model.json") == {"trial": 1, "number": 1}
    save(study, 2, 1, 9.5)
    assert study.view.best_trial is study.trials[1]
    save(study, 1, 2, 8.5)
    assert read(study, "best/model.json") == {"trial": 1, "number": 2}
    study.on_trial_end(2, "finished")  # no better, but it has ended
    assert read(study, "best/trial.json")["trial"] == 2
    save(study, 1, 3, 8.0)
    assert study.view.best_trial is study.trials[2], "trials under way are left out now"
    study.on_trial_end(1, "stopped_early")
    assert read(study, "best/model.json") == {"trial": 1, "number": 3}


def test_a_checkpoint_is_wanted_of_a_trial_that_would_be_the_best(study: Study) -> None:
    for id in (0, 1, 2):
        study.on_trial_start(id, CONFIG)
    assert study.needs_checkpoint(0, 9.0), "none has ended yet"
    assert not study.needs_checkpoint(0, math.nan), "there is nothing to keep"
    study.on_epoch(1, epoch_report(1, 8.0))
    study.on_checkpoint(1, checkpoint(study, 1))
    study.on_trial_end(1, "finished")
    assert not study.needs_checkpoint(0, 9.0)
    assert study.needs_checkpoint(2, 7.0)
    assert study.needs_checkpoint(0, 8.0)
    assert not study.needs_checkpoint(2, 8.0), "of equals the first is the best one"


def test_a_leader_that_fails_before_any_trial_has_ended_is_not_the_best(study: Study) -> None:
    study.on_trial_start(0, CONFIG)
    save(study, 0, 1, 9.0)
    study.on_trial_end(0, "failed", "out of memory")
    assert study.view.best_trial is None
    assert not (study.folder / "best").exists()
    study.finish("failed")
    assert read(study, "summary.json")["best"] is None


def test_a_failed_trial_is_never_the_best(study: Study) -> None:
    end(study, 0, 9.0)
    end(study, 1, 7.0, "failed")
    study.finish("finished")
    assert read(study, "summary.json")["best"]["trial"] == 0
    assert read(study, "best/model.json") == {"trial": 0, "number": 0}


def test_a_trial_that_was_cut_off_is_interrupted_and_keeps_its_checkpoint(study: Study) -> None:
    end(study, 0, 9.0)
    study.on_trial_start(1, CONFIG)
    study.on_epoch(1, epoch_report(1, 8.0))
    folder = checkpoint(study, 1)
    study.on_checkpoint(1, folder)
    study.on_epoch(1, epoch_report(2, 7.0))  # since the checkpoint: not saved
    study.finish("interrupted")
    assert read(study, "trials/1.json")["state"] == "interrupted"
    assert folder.exists()
    # It may still fail when it goes on, and no other trial's model would be left.
    best = read(study, "summary.json")["best"]
    assert (best["trial"], best["validation"]["rmse"]) == (0, 9.0)


def test_where_none_has_ended_the_best_is_one_that_was_cut_off(study: Study) -> None:
    study.on_trial_start(0, CONFIG)
    study.on_epoch(0, epoch_report(1, 8.0))
    study.on_checkpoint(0, checkpoint(study, 0))
    study.finish("interrupted")
    best = read(study, "summary.json")["best"]
    assert (best["trial"], best["validation"]["rmse"]) == (0, 8.0)


@pytest.fixture
def trained(study: Study) -> TrainedForecaster:
    space = study.space
    config = space.configuration(space.initial_trials[0])
    model = LSTMForecaster.seeded(len(study.view.table.channels), config, 1, seed=1)
    return TrainedForecaster.from_weights(
        study.view.table, space.data.target, config, model.state_dict()
    )


def ended(study: Study, id: int, rmse: float, forecaster: TrainedForecaster) -> None:
    """Trial `id` with one epoch."""
    study.on_trial_start(id, CONFIG)
    study.on_epoch(id, epoch_report(1, rmse))
    folder = checkpoint(study, id)
    forecaster.save(folder / "best")
    study.on_checkpoint(id, folder)
    study.on_trial_end(id, "finished")


@pytest.mark.parametrize("file", ["model.safetensors", "model.json", "trial.json"])
def test_a_lost_best_model_is_made_again(
    study: Study, trained: TrainedForecaster, file: str
) -> None:
    ended(study, 0, 9.0, trained)
    ended(study, 1, 8.0, trained)
    damaged = study.folder / "best" / file
    damaged.write_bytes(damaged.read_bytes()[:-3])
    again = replicated(study)
    (told,) = again.resume([])
    assert told.endswith("best holds no model that can be read: trial 1 runs again to make it")
    assert [trial.state for trial in again.trials.values()] == ["finished", "interrupted"]
    assert (again.trials[1].epochs, again.trials[1].saved, again.view.best_trial) == (0, None, None)


def test_a_best_model_between_two_renames_is_found(
    study: Study, trained: TrainedForecaster
) -> None:
    """A kill in the middle of replacing best/: the new folder is whole, and has yet to move."""
    ended(study, 0, 9.0, trained)
    folder = folder_of(study)
    (folder / "best").rename(folder / ".best.new")
    (folder / "trials" / ".0.json.half").write_text("{")
    again = reopened(study)
    assert again.view.best_trial is not None
    assert again.view.best_trial.id == 0
    assert (study.folder / "best" / "model.safetensors").exists()
    assert not list(study.folder.rglob(".*"))
