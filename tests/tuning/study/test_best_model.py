"""What best/ and a comparison's final models carry beside their weights; without any Ray."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lstm_model
from lstm_model.arrays import Float64Array
from lstm_model.configuration import Configuration
from lstm_model.data.series import EncodedSeries
from lstm_model.data.sources import load_dataset
from lstm_model.inference.intervals import Intervals, calibrate
from lstm_model.inference.predictor import TrainedForecaster
from lstm_model.training.evaluator import HoldoutEvaluator
from lstm_model.training.trainer import Trainer
from tests.builders import copy_of, epoch_report
from tests.tuning.study.test_study import CONFIG, folder_of
from tuning.comparison.backtest import EvaluationWindow, ForecastErrors, series_for_window
from tuning.comparison.breakdowns import measure_coverage
from tuning.comparison.finalists import RetrainedTrial, refit_with_seed, train_with_seed
from tuning.comparison.pipeline import with_intervals
from tuning.space.search_space import read_space
from tuning.study import best_model
from tuning.study.best_model import BEST_MANIFEST, BestModel
from tuning.study.study import Study
from tuning.study.trial import Trial
from tuning.study.view import StudyView

pytest_plugins = ("tests.tuning.study.test_study",)

CHEAP = Configuration(hidden_size=4, context_length=6, chunk_length=48)


def same(a: Intervals | None, b: Intervals) -> bool:
    return a is not None and a.to_json() == b.to_json()


def test_the_best_model_knows_its_errors_on_validation_its_past_and_its_clock(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = Trainer(CHEAP, study.view.series, max_epochs=2, seed=1)
    *_, last = fit
    folder = folder_of(study) / "checkpoints" / "0" / "0" / "checkpoint_000000"
    of = TrainedForecaster.from_weights(
        study.view.series, "pm", CHEAP, last.best.weights, last.best.score
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
    forecast = HoldoutEvaluator(study.view.series).forecast(best.model)
    assert same(best.intervals, calibrate([(study.view.series, forecast)]))
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
    series = EncodedSeries.from_table(table.frame, table.step, settled.data)
    assert len(series.folds) == 2
    runs = [train_with_seed(CHEAP, series, 2, seed, "cpu") for seed in (1, 2)]
    assert all(runs)
    trial = Trial(0, CHEAP.model_dump(), "finished")
    finalist = RetrainedTrial(trial, tuple(runs), runs[0].score)  # type: ignore[arg-type, union-attr]
    end = table.frame.index[-1] + table.step
    span = EvaluationWindow("test", settled.data.test_from, end.to_pydatetime())
    final = series_for_window(table, settled.data, span)
    members = [
        refit_with_seed(CHEAP, final.training_only, "pm", 2, 2, seed, "cpu") for seed in (1, 2)
    ]
    study = StudyView(tmp_path / "air", settled, table, series, None, 0.0)  # type: ignore[arg-type]
    model = with_intervals(TrainedForecaster.ensemble(members), study, span, finalist)

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
    expected = final.last_observed[check.first :, None] + mean
    np.testing.assert_allclose(found.point[-len(expected) :], expected, atol=1e-3)


def simple(forecasts: Float64Array, observed: Float64Array) -> ForecastErrors:
    """A test of hours whose forecasts are given by the hour that is forecast."""
    rows = len(observed)
    times = pd.date_range(datetime(2020, 1, 1), periods=rows, freq="h")
    errors = {
        "m": (forecasts - observed[:, None])[None],
        "persistence": (0 * forecasts - observed[:, None])[None],
    }
    return ForecastErrors(
        times, observed, errors, np.zeros((rows, 2), np.int_), 0 * forecasts, 0 * forecasts
    )


def test_coverage_counted_by_hand() -> None:
    """Bounds of +-10 at 80% and +-20 at 95%; five hours, the last one not observed."""
    observed = np.array([50.0, 62.0, 75.0, 190.0, np.nan])
    forecasts = np.full((5, 2), 55.0)
    forecasts[3] = 180.0, 100.0

    class Model:
        intervals = True

        def prediction_intervals(
            self, values: Float64Array, floor: Float64Array
        ) -> dict[float, tuple[Float64Array, Float64Array]]:
            np.testing.assert_allclose(values[:4], forecasts[:4])
            return {0.8: (values - 10, values + 10), 0.95: (values - 20, values + 20)}

    found = measure_coverage(simple(forecasts, observed), "m", Model(), [100.0])  # type: ignore[arg-type]
    shares = {
        (one.claim, one.lead_time, one.forecast_level): (one.rows, one.covered) for one in found
    }
    assert shares == {
        (0.8, 1, "all"): (4, 0.75),
        (0.8, 1, "below 100"): (3, pytest.approx(2 / 3)),
        (0.8, 1, "100 and more"): (1, 1.0),
        (0.8, 2, "all"): (4, 0.5),
        (0.8, 2, "below 100"): (3, pytest.approx(2 / 3)),
        (0.8, 2, "100 and more"): (1, 0.0),
        (0.95, 1, "all"): (4, 1.0),
        (0.95, 1, "below 100"): (3, 1.0),
        (0.95, 1, "100 and more"): (1, 1.0),
        (0.95, 2, "all"): (4, 0.75),
        (0.95, 2, "below 100"): (3, 1.0),
        (0.95, 2, "100 and more"): (1, 0.0),
    }
    assert [one.mean_width for one in found[:2]] == pytest.approx([20.0, 20.0])
