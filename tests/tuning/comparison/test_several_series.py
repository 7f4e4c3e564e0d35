"""A whole comparison of several series, its trainings run here one after the other, without Ray."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lstm_model.arrays import Float64Array
from lstm_model.configuration import Configuration
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.series_index import SeriesIndex
from lstm_model.data.sources import Dataset
from lstm_model.errors import TableError
from lstm_model.evaluation.baselines import PERSISTENCE, evaluate_baselines
from lstm_model.evaluation.metrics import Score
from lstm_model.training.evaluator import HoldoutEvaluator
from lstm_model.training.trainer import FoldTrainer, Trainer
from tests.tuning.comparison.builders import make_dataset, make_settings
from tuning.comparison import finalists, on_their_own
from tuning.comparison.backtest import (
    ComparisonProtocol,
    EvaluationWindow,
    evaluation_windows,
    table_for_window,
)
from tuning.comparison.finalists import RetrainedTrial, SeedRun, best_trials, rank_retrained
from tuning.comparison.notes import protocol_notes
from tuning.comparison.on_their_own import OwnForecasts, forecast_on_their_own
from tuning.comparison.paired_tests import describe_own_models, sample_own_models
from tuning.comparison.pipeline import ComparedStudy, Evaluation, compare_models
from tuning.ray_backend.jobs import Job
from tuning.space.search_space import Resources, SearchSpace
from tuning.study.trial import Trial
from tuning.study.view import StudyView

VALIDATION, TEST = 500, 800
NO_SCORE = Score(np.ones(1), np.ones(1), np.ones(1))
CONFIG = {"hidden_size": 6, "context_length": 12, "chunk_length": 48, "learning_rate": 0.02}


class Here:
    """Runs jobs in this process; `titles` is what it was told of them."""

    def __init__(self) -> None:
        self.titles: list[str] = []

    def run(self, title: str, jobs: Sequence[Job], resources: Resources) -> list[Any]:
        self.titles.append(title)
        return [job.function(*job.arguments, device="cpu") for job in jobs]

    def tell(self, title: str) -> None:
        self.titles.append(title)


@pytest.fixture(autouse=True)
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (finalists, on_their_own):
        monkeypatch.setattr(module, "share", lambda value: value)
    monkeypatch.setattr("tuning.comparison.pipeline.is_lightgbm_installed", lambda: False)


def waves(rng: np.random.Generator, size: float, rows: int = 1100) -> Float64Array:
    """A wave that a model can learn, which the last value knows nothing of."""
    phase = rng.uniform(0, 6)
    noise = rng.normal(0, 0.2, rows)
    return np.asarray(size * (5 + np.sin(np.arange(rows) / 2 + phase) + noise))


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Three waves; one that is not observed in the test, and one that begins with it."""
    rng = np.random.default_rng(0)
    unseen = waves(rng, 1)
    unseen[TEST:] = np.nan
    series = {
        "A": waves(rng, 1),
        "B": waves(rng, 100),
        "C": waves(rng, 10),
        "late": waves(rng, 1, 300),
        "unseen": unseen,
    }
    return make_dataset(series, {"late": TEST})


def study_of(dataset: Dataset, folder: Path) -> ComparedStudy:
    data = make_settings(VALIDATION, TEST)
    space = SearchSpace(
        data=data.model_dump() | {"source": "made.csv"},
        study={"trials": 1, "max_epochs": 3, "scheduler": "none"},
        search={"learning_rate": {"type": "float", "low": 0.01, "high": 0.05}},
    )
    table = EncodedTable.from_table(dataset.frame, dataset.step, data, dataset.index)
    best: Any = {"epoch": 1, "rmse": 1.0, "mae": 1.0, "skill": 0.1, "by_series": {}}
    trials = {0: Trial(0, CONFIG, "finished", best=best)}
    study = StudyView(folder, space, dataset, table, evaluate_baselines(table), 0.0, trials)
    windows = evaluation_windows(dataset, data, [])
    return ComparedStudy(study, [table_for_window(dataset, data, each) for each in windows])


def compare(studies: Mapping[str, ComparedStudy], steps: Here) -> Evaluation:
    first = next(iter(studies.values())).study
    windows = evaluation_windows(first.dataset, make_settings(VALIDATION, TEST), [])
    return compare_models(studies, ComparisonProtocol(1, 2, tuple(windows)), steps, ["python"])


@pytest.fixture(scope="module")
def found(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Evaluation, Here]:
    steps = Here()
    with pytest.MonkeyPatch.context() as patch:
        for module in (finalists, on_their_own):
            patch.setattr(module, "share", lambda value: value)
        patch.setattr("tuning.comparison.pipeline.is_lightgbm_installed", lambda: False)
        return compare({"air": study_of(dataset, tmp_path_factory.mktemp("runs"))}, steps), steps


def test_all_is_judged_over_all_series_and_by_each(found: tuple[Evaluation, Here]) -> None:
    comparison = found[0].comparison
    scored = ["A", "B", "C", "late"]
    assert comparison.series == scored
    assert set(comparison.models) >= {
        *("air", PERSISTENCE, "each_on_its_own_air", "ridge_air", "pooled_ridge_air")
    }
    by_series = comparison.by_series or {}
    assert set(by_series) == set(comparison.models)
    for model, scores in comparison.models.items():
        own = [by_series[model][name].skill[1] for name in scored]
        assert scores.skill[1] == pytest.approx(np.mean(own))
    # Large series don't drown the small ones: a skill that all of them share.
    assert min(by_series["air"][name].skill[1] for name in scored) > 0.02
    record: Any = comparison.to_json()
    assert set(record["by_series"]["models"]["air"]["B"]) == {"rmse", "mae", "skill"}
    assert {error.series for error in comparison.worst} == {"B"}  # in the target's unit
    assert set(comparison.coverage_by_series or {}) == set(scored)
    errors = found[0].errors
    assert errors.csv().startswith("series,time,lead_time,observed,air,")


def test_the_question_is_of_the_mean_ratio(found: tuple[Evaluation, Here]) -> None:
    comparison = found[0].comparison
    metrics = {test.metric for test in comparison.tests}
    assert metrics == {"relative_rmse", "relative_mae"}
    [main] = comparison.main_tests
    assert (main.a, main.b, main.metric) == ("air", PERSISTENCE, "relative_rmse")
    assert main.difference == pytest.approx(-comparison.models["air"].skill[1])
    pairs = {(test.a, test.b) for test in comparison.tests}
    assert {("air", "each_on_its_own_air"), ("air", "pooled_ridge_air")} <= pairs


def test_verdict_counts_series_and_answers_for_each_on_its_own(
    found: tuple[Evaluation, Here],
) -> None:
    verdict = found[0].comparison.verdict
    assert "forecasts pm 1 h ahead better than persistence: mean skill " in verdict
    assert " of 4 series" in verdict
    assert "one for each" in verdict
    assert "(air): 1 h ahead mean skill " in verdict


def test_what_was_left_out_is_named(found: tuple[Evaluation, Here]) -> None:
    told = found[0].comparison.left_out
    assert any("has the last value of late, on which alone" in each for each in told)
    assert any("nothing was learned from late" in each for each in told)
    assert any("can't score unseen" in each for each in told)


def test_each_own_model_is_what_its_series_alone_would_train(
    found: tuple[Evaluation, Here], dataset: Dataset, tmp_path: Path
) -> None:
    """Of series B with the second seed: as a study of B alone would have it."""
    errors = found[0].errors
    [rows] = [rows for name, rows in dataset.index if name == "B"]
    frame, data = dataset.frame.iloc[rows], make_settings(VALIDATION, TEST)
    config = Configuration.model_validate(CONFIG)
    one = EncodedTable.from_table(frame, dataset.step, data)
    epochs = []
    for seed in (1, 2):
        trainer = Trainer(config, one, max_epochs=3, seed=seed)
        scores = [epoch.score.rmse for epoch in trainer]
        epochs.append(int(np.argmin(scores)) + 1)
    alone = replace(dataset, frame=frame, index=None)  # type: ignore[arg-type]
    [window] = evaluation_windows(alone, data, [])
    table = table_for_window(alone, data, window)
    training = FoldTrainer(config, table.training_only, max_epochs=3, seed=2)
    for _ in range(int(np.median(epochs) + 0.5)):
        training.train_epoch()
    changes = HoldoutEvaluator(table).forecast(training.averaged)[:-1]
    [place] = [rows for name, rows in errors.index if name == "B"]
    [only] = table.series
    expected = changes - only.changes[TEST - 1 : -1]
    np.testing.assert_allclose(errors.errors["each_on_its_own_air"][1, place], expected, rtol=1e-4)


def test_series_without_a_model_take_their_last_value(found: tuple[Evaluation, Here]) -> None:
    errors = found[0].errors
    [late] = [rows for name, rows in errors.index if name == "late"]
    np.testing.assert_array_equal(
        errors.errors["each_on_its_own_air"][0, late], errors.errors[PERSISTENCE][0, late]
    )


def test_one_series_has_no_row_on_its_own(dataset: Dataset, tmp_path: Path) -> None:
    frame = dataset.frame.iloc[:1100]
    alone = replace(dataset, frame=frame, index=None)  # type: ignore[arg-type]
    steps = Here()
    comparison = compare({"air": study_of(alone, tmp_path)}, steps).comparison
    assert "each_on_its_own_air" not in comparison.models
    assert {"by_series", "left_out", "coverage_by_series"}.isdisjoint(comparison.to_json())
    assert {test.metric for test in comparison.tests} == {"rmse", "mae"}
    assert "series" not in comparison.verdict


def test_trials_and_finalists_are_ranked_by_their_mean_ratio(
    dataset: Dataset, tmp_path: Path
) -> None:
    """One is better in the large series and worse in the small ones: RMSE would choose it."""
    table = study_of(dataset, tmp_path).study.table
    of_series: Any = {"by_series": {}}
    small, large = (
        Trial(
            number,
            CONFIG | {"hidden_size": 4 + number},
            "finished",
            best={"epoch": 1, "rmse": rmse, "mae": rmse, "skill": skill} | of_series,
        )
        for number, rmse, skill in ((0, 9.0, 0.3), (1, 5.0, 0.1))
    )
    assert best_trials([large, small], 2) == [small, large]

    evaluator = HoldoutEvaluator(table)
    holdout = evaluator.holdout
    happened = np.nan_to_num(holdout.changes)
    scales = np.zeros(len(happened))
    for name, rows in zip(holdout.names, holdout.rows, strict=True):
        scales[rows] = 0.5 if name == "B" else 0.9
    near_in_the_small = scales[:, None] * happened

    def run(forecast: Float64Array) -> SeedRun:
        return SeedRun(1, 1, evaluator.score_of(forecast), [forecast])

    near_in_b = (1.4 - scales)[:, None] * happened
    runs = [run(near_in_b), run(near_in_the_small)]
    ranked = rank_retrained(table, [large, small], runs)
    assert [each.trial.id for each in ranked] == [0, 1]
    assert ranked[0].score.rmse > ranked[1].score.rmse


def test_a_series_whose_training_fails_takes_its_last_value(
    dataset: Dataset, tmp_path: Path
) -> None:
    """The second training of B, of the epochs or of the final models."""
    compared = study_of(dataset, tmp_path)
    [window] = evaluation_windows(dataset, make_settings(VALIDATION, TEST), [])
    finalist = RetrainedTrial(compared.study.trials[0], (SeedRun(1, 2, NO_SCORE, []),), NO_SCORE)

    def fail(step: str, number: int) -> OwnForecasts:
        def run(title: str, jobs: Sequence[Job]) -> list[Any]:
            results = [job.function(*job.arguments, device="cpu") for job in jobs]
            return [
                None if step in title and at == number else each for at, each in enumerate(results)
            ]

        study, table = compared.study, compared.windows[0]
        names = table.index.names
        return forecast_on_their_own(
            study.space, dataset, table, names, window, finalist, (1, 2), run, "air"
        )

    for step in ("epochs", "final"):
        own = fail(step, 3)  # two seeds of A come before
        # The test holds nothing of "unseen", which a model can be trained on.
        assert own.without == ("B", "late")
        index = compared.windows[0].index.names.index("B")
        rows = HoldoutEvaluator(compared.windows[0]).holdout.rows
        assert not own.changes[:, rows[index]].any()
        assert own.changes[:, rows[0]].any()
    assert own.sentences("x") == [
        "x has the last value of B and late, on which alone no model could be trained."
    ]


def test_what_the_test_holds_does_not_keep_a_model_from_training(dataset: Dataset) -> None:
    [rows] = [rows for name, rows in dataset.index if name == "unseen"]
    frame, data = dataset.frame.iloc[rows], make_settings(VALIDATION, TEST)
    alone = replace(dataset, frame=frame, index=None)  # type: ignore[arg-type]
    [window] = evaluation_windows(alone, data, [])
    with pytest.raises(TableError, match="validation must have an observed pm"):
        table_for_window(alone, data, window)
    table = table_for_window(alone, data, window, check_scored=False)
    assert len(table.training_only.target) == TEST


def test_of_many_series_a_sample_has_models_of_its_own(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of four that the test scores two: A and C."""
    monkeypatch.setattr("tuning.comparison.paired_tests.MOST_ON_THEIR_OWN", 2)
    compared = study_of(dataset, tmp_path)
    assert sample_own_models(compared.windows[0]) == ["A", "C"]
    expected = (
        "air on each series alone: 2 of 5 series, up to 8 trainings (2 for the epochs and 2 final "
        "models each)"
    )
    assert describe_own_models("air", compared.windows[0], 2) == expected
    steps = Here()
    found = compare({"air": compared}, steps)
    place = steps.titles.index(expected)
    assert steps.titles[place + 1] == "air on each series alone: epochs"
    comparison, own = found.comparison, "each_on_its_own_air"
    by_series = comparison.by_series or {}
    assert list(by_series[own]) == ["A", "C"]
    ours, theirs = (
        np.mean([by_series[model][name].skill[1] for name in ("A", "C")]) for model in ("air", own)
    )
    [test] = [each for each in comparison.tests if (each.b, each.metric) == (own, "relative_rmse")]
    assert test.difference == pytest.approx(theirs - ours)
    assert comparison.models[own].skill[1] == pytest.approx(theirs)
    [sentence] = [each for each in comparison.verdict.split(". ") if "one for each" in each]
    assert "(air, in 2 of 4 series): 1 h ahead mean skill " in sentence
    assert f"mean skill {ours:.1%} against {theirs:.1%}" in sentence
    assert " of 2 series" in sentence
    assert any("trained for 2 of the 4 series that the" in n for n in comparison.protocol_notes)
    forecasts = pd.read_csv(io.StringIO(found.errors.csv()))
    assert set(forecasts.series[forecasts[own].notna()]) == {"A", "C"}


def test_all_are_trained_alone_where_they_are_few(found: tuple[Evaluation, Here]) -> None:
    comparison = found[0].comparison
    assert "one for each (air): " in comparison.verdict
    assert not any("evenly spaced" in note for note in comparison.protocol_notes)


def test_a_second_series_that_begins_in_the_test_makes_them_several(
    dataset: Dataset, tmp_path: Path
) -> None:
    """The study has one series, and the test two: what is judged is of two."""
    parts = dict(dataset.index)
    frame = pd.concat([dataset.frame.iloc[parts[name]] for name in ("A", "late")])
    two = replace(dataset, frame=frame, index=SeriesIndex(("A", "late"), (0, 1100, 1400)))
    compared = study_of(two, tmp_path)
    assert compared.study.table.index.names == ("A",)
    comparison = compare({"air": compared}, Here()).comparison
    assert comparison.series == ["A", "late"]
    scores = comparison.models["air"]
    assert scores.best_baseline and scores.skill_best_baseline
    best = comparison.models[scores.best_baseline[1]]
    expected = 1 - (1 - scores.skill[1]) / (1 - best.skill[1])
    assert scores.skill_best_baseline[1] == pytest.approx(expected)
    assert any("Of several series the question" in note for note in comparison.protocol_notes)


def test_other_test_years_have_skill(dataset: Dataset, tmp_path: Path) -> None:
    compared, settings = study_of(dataset, tmp_path), make_settings(VALIDATION, TEST)
    [test] = evaluation_windows(dataset, settings, [])
    earlier = EvaluationWindow("before", test.start - timedelta(hours=100), test.start)
    both = replace(
        compared,
        windows=[*compared.windows, table_for_window(dataset, settings, earlier)],
    )
    protocol = ComparisonProtocol(1, 2, (test, earlier))
    year = compare_models({"air": both}, protocol, Here(), ["python"]).comparison.years["before"]
    assert year.skill is not None
    assert year.skill[PERSISTENCE] == {1: 0.0}
    assert year.tests[0].difference == pytest.approx(-year.skill["air"][1])


def test_notes_say_that_own_models_read_their_neighbours(
    found: tuple[Evaluation, Here], dataset: Dataset, tmp_path: Path
) -> None:
    compared = study_of(dataset, tmp_path)
    protocol, errors = ComparisonProtocol(1, 2, ()), found[0].errors
    assert not any(
        "mean of the others" in n for n in protocol_notes(compared.study, protocol, errors)
    )
    space = compared.study.space.overridden({"data.series": "site", "data.neighbours": True})
    notes = protocol_notes(replace(compared.study, space=space), protocol, errors)
    assert any("It still reads the mean of the others." in note for note in notes)
