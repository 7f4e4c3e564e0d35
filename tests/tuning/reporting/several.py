"""Studies and comparisons of several series, to be shown."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from lstm_model.arrays import Float64Array
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.evaluation.baselines import evaluate_baselines
from lstm_model.inference.predictor import TrainedForecaster
from lstm_model.training.evaluator import HoldoutEvaluator
from lstm_model.training.trainer import Trainer
from tests.builders import best_score, epoch_report
from tests.tuning.comparison.builders import make_comparison, make_dataset
from tests.tuning.reporting.screens import checkpoint
from tuning.comparison.result import Comparison, Coverage, ModelScores, PairedTest
from tuning.reporting.study_snapshot import StudySnapshot
from tuning.space.search_space import parse_space
from tuning.study.study import Study
from tuning.study.trial import BestScore, Trial
from tuning.study.view import StudyView

SPACE = b"""\
version: 1
data:
  source: made.csv
  target: pm
  time: time
  features: [pm]
  series: site
  horizon: 2
  validation_from: 2020-01-19
  test_from: 2020-02-01
study: {trials: 20, max_epochs: 30}
search:
  learning_rate: {type: float, low: 1e-3, high: 5e-2, log: true}
fixed: {hidden_size: 8, context_length: 12, chunk_length: 48}
"""
ROWS = 31 * 24


def waves(names: Sequence[str], rows: int = ROWS) -> dict[str, Float64Array]:
    """Each a day's wave of its own height, with more noise from one to the next."""
    hours, series = np.arange(rows), {}
    for number, name in enumerate(names):
        noise = np.random.default_rng(number).normal(0, 1, rows)
        wave = 10 * np.sin(2 * np.pi * hours / 24) + 20 * number / len(names) * noise
        series[name] = (1 + number) * (60 + wave)
    return series


def series_view(
    folder: Path, series: Mapping[str, Float64Array], begins: Mapping[str, int] | None = None
) -> StudyView:
    """A study that has yet to begin, of hours from 2020 on; a series may begin some later."""
    space = parse_space(SPACE, "sites.yaml", ".")
    dataset = make_dataset(series, begins)
    table = EncodedTable.from_table(dataset.frame, dataset.step, space.data, dataset.index)
    return StudyView(folder, space, dataset, table, evaluate_baselines(table), 0.0)


def series_study(folder: Path, names: Sequence[str]) -> Study:
    study = Study(series_view(folder, waves(names)))
    study.create([])
    return study


def best_of_series(epoch: int, rmse: float, skill: Mapping[str, float]) -> BestScore:
    """The validation errors of an epoch with this skill in each series."""
    of_each = {name: {"rmse": rmse, "mae": rmse / 2, "skill": one} for name, one in skill.items()}
    return {**best_score(epoch, rmse), "skill": fmean(skill.values()), "by_series": of_each}


def end_trial(study: Study, id: int, rmse: float, skill: Mapping[str, float]) -> None:
    """A trial of one epoch, with a checkpoint."""
    study.on_trial_start(id, {"learning_rate": 0.01})
    best = best_of_series(1, rmse, skill)
    study.on_epoch(id, {**epoch_report(1, rmse), "skill": best["skill"], "best": best})
    study.on_checkpoint(id, checkpoint(study, id))
    study.on_trial_end(id, "finished")


def with_model(view: StudyView, skill: Mapping[str, float]) -> StudySnapshot:
    """With an untrained model, whose trial is said to have come to this skill in each series."""
    config = view.space.configuration({"learning_rate": 0.01})
    model = Trainer(config, view.table, max_epochs=1, seed=1).last.averaged
    best = best_of_series(1, 1.0, skill)
    trial = Trial(0, {"learning_rate": 0.01}, "finished", best=best, saved=best)
    score = HoldoutEvaluator(view.table.folds[-1]).score(model)
    forecaster = cast(TrainedForecaster, SimpleNamespace(model=model, validation_score=score))
    return StudySnapshot(replace(view, trials={0: trial}, best_trial=trial), forecaster)


def compare_series(skill: dict[str, dict[str, float]], **changes: Any) -> Comparison:
    """make_comparison() of several series: of each model, its skill in each series."""
    plain = make_comparison()

    def scores(one: float) -> ModelScores:
        return ModelScores(rmse={1: 20 * (1 - one)}, mae={1: 10 * (1 - one)}, skill={1: one})

    every = {**skill, "persistence": dict.fromkeys(next(iter(skill.values())), 0.0)}
    by_series = {
        model: {name: scores(one) for name, one in of_model.items()}
        for model, of_model in every.items()
    }
    first, *others = skill
    test = replace(plain.tests[0], metric="relative_rmse", difference=-0.0123, ci95=(-0.02, -0.004))
    tests: list[PairedTest] = [replace(test, a=first, b=b) for b in (*others, "persistence")]
    models = {
        model: replace(
            plain.models.get(model, plain.models["persistence"]),
            skill={1: fmean(of_model.values())},
            skill_by_seed={1: [0.1, 0.2]} if model in plain.finalists else None,
        )
        for model, of_model in every.items()
    }
    finalists = {name: each for name, each in plain.finalists.items() if name in skill}
    coverage = [each for each in plain.coverage if each.model in finalists]
    return replace(
        plain,
        **{
            "models": models,
            "finalists": finalists,
            "tests": tests,
            "by_series": by_series,
            "coverage": coverage,
            **changes,
        },
    )


def coverage_of(model: str, covered: float) -> list[Coverage]:
    return [Coverage(model, claim, 1, "all", 1000, covered, 5.0) for claim in (0.8, 0.95)]
