import numpy as np
import pytest

from lstm_model.evaluation.baselines import BASELINES, BY_NAME, evaluate_baselines
from lstm_model.evaluation.boosting import forecast_lightgbm
from lstm_model.evaluation.holdout import Holdout, make_scorer
from lstm_model.evaluation.metrics import Score, mean_score, score_series
from tests.lstm_model.panel import encoded_panel, three_series, wave

NAN = float("nan")


def test_scores_by_series_worked_out_by_hand() -> None:
    """Two series and a third whose persistence does not err: it is scored in neither mean."""
    errors = np.array([[1.0], [2.0], [30.0], [40.0], [5.0]])
    changes = np.array([[2.0], [4.0], [60.0], [NAN], [0.0]])
    scored = np.array([[True], [True], [True], [False], [False]])
    found = score_series(errors, scored, ("A", "B", "C"), np.array([0, 2, 4, 5]), changes)
    assert found.rmse == pytest.approx(np.sqrt((1 + 4 + 900) / 3))
    assert found.mae == pytest.approx(33 / 3)
    assert found.skill == pytest.approx(0.5)
    assert found.objective == pytest.approx(0.5)
    assert found.by_series is not None
    assert found.by_series.to_json() == {
        "A": {"rmse": pytest.approx(np.sqrt(2.5)), "mae": 1.5, "skill": 0.5},
        "B": {"rmse": 30.0, "mae": 30.0, "skill": 0.5},
    }


def test_a_series_that_is_scored_at_some_lead_times_counts_there() -> None:
    errors = np.array([[1.0, 1.0], [3.0, 3.0]])
    scored = np.array([[True, True], [True, False]])
    changes = np.array([[2.0, 4.0], [4.0, 4.0]])
    found = score_series(errors, scored, ("A", "B"), np.array([0, 1, 2]), changes)
    assert found.skill_by_lead_time.tolist() == [(0.5 + 0.25) / 2, 0.75]
    assert found.by_series is not None
    assert found.by_series.to_json()["B"]["skill"] == 0.25


def test_a_small_series_counts_as_much_as_a_large_one() -> None:
    changes = np.array([[2.0], [2000.0]])
    scored = np.full((2, 1), True)
    found = [
        score_series(np.array(errors), scored, ("small", "large"), np.array([0, 1, 2]), changes)
        for errors in ([[1.0], [2000.0]], [[2.0], [1000.0]])
    ]
    assert found[0].objective == found[1].objective == 0.75
    assert found[0].rmse > found[1].rmse


def test_one_series_is_judged_by_its_rmse() -> None:
    table = encoded_panel({"A": wave(400, 1000, 1)})
    score = Holdout(table).score_of(np.zeros((62, 2)))
    assert score.by_series is None
    assert score.objective == score.rmse
    assert "by_series" not in score.to_json()


def test_folds_score_the_series_that_they_have() -> None:
    one = Score(*(np.ones((1,)),) * 3)
    first = score_series(
        np.array([[1.0]]), np.full((1, 1), True), ("A",), np.array([0, 1]), np.array([[2.0]])
    )
    second = score_series(
        np.array([[1.0], [3.0]]),
        np.full((2, 1), True),
        ("A", "B"),
        np.array([0, 1, 2]),
        np.array([[4.0], [4.0]]),
    )
    assert mean_score([one, one]).by_series is None
    mean = mean_score([first, second])
    assert mean.by_series is not None
    assert mean.by_series.to_json() == {
        "A": {"rmse": 1.0, "mae": 1.0, "skill": (0.5 + 0.75) / 2},
        "B": {"rmse": 3.0, "mae": 3.0, "skill": 0.25},
    }
    assert mean.skill == (0.5 + (0.75 + 0.25) / 2) / 2


def test_a_score_comes_back_to_the_last_bit() -> None:
    table = three_series()
    holdout = Holdout(table)
    noise = np.random.default_rng(0).normal(size=holdout.changes.shape)
    score = holdout.score_of(noise)
    again = Score.from_json(score.to_state())
    assert again.objective == score.objective
    assert again.to_json() == score.to_json()


def test_origins_of_all_series_stand_one_after_the_other() -> None:
    table = three_series()
    holdout = Holdout(table)
    assert holdout.first == (298, 298, 138)
    assert holdout.bounds.tolist() == [0, 62, 124, 186]
    changes = [series.changes for series in table.series]
    np.testing.assert_array_equal(holdout.gather(changes), holdout.changes)
    # What is forecast from every row is scored as what is forecast from those of validation.
    noise = [np.random.default_rng(n).normal(size=each.shape) for n, each in enumerate(changes)]
    score = make_scorer(table)(noise)
    errors = [
        (each - series.changes)[series.valid_mask[:, 0], 0]
        for each, series in zip(noise, table.series, strict=True)
    ]
    expected = np.sqrt(np.mean(np.concatenate(errors) ** 2))
    assert score.rmse_by_lead_time[0] == pytest.approx(expected)
    assert score.by_series is not None
    assert score.by_series.rmse[1, 0] == pytest.approx(np.sqrt(np.mean(errors[1] ** 2)))


def test_baselines_of_several_series() -> None:
    table = three_series()
    found = evaluate_baselines(table)
    assert list(found.scores) == [
        *("persistence", "same_hour_yesterday", "same_hour_last_week", "training_mean"),
        *("ridge", "pooled_ridge"),
    ]
    assert found.persistence.skill == 0
    assert found.persistence.objective == 1
    # The season and the means are each series' own.
    yesterday = BY_NAME["same_hour_yesterday"].changes(table, "")
    assert yesterday is not None
    small = table.series[1].target
    assert yesterday[1][100, 0] == small[77] - small[100]
    assert found.best == min(found.scores, key=lambda name: found.scores[name].objective)
    # All three have one rule, which the pooled regression learns from all of their rows.
    assert found.scores["pooled_ridge"].skill > 0.3
    half = 1 - 0.5 * found.scores[found.best].objective
    assert found.skill_beyond({"rmse": 9.0, "skill": half, "by_series": {}}) == pytest.approx(0.5)


def test_a_series_without_a_past_is_forecast_by_its_last_value() -> None:
    """It allows neither yesterday nor a regression of its own; the pooled one it does."""
    table = encoded_panel(
        {"A": wave(400, 9, 1), "B": wave(400, 9, 2), "late": wave(66, 9, 3)}, {"late": 294}
    )
    for baseline in BASELINES:
        changes = baseline.changes(table, baseline.forms[0])
        if baseline.name in ("same_hour_yesterday", "ridge", "training_mean"):
            assert changes is not None
            is_last_value = not changes[2].any()
            assert is_last_value == (baseline.name != "training_mean"), baseline.name
    pooled = BY_NAME["pooled_ridge"].changes(table, "levels")
    assert pooled is not None and pooled[2].any()


def test_levels_of_a_series_without_a_scale_are_not_forecast() -> None:
    """Read as a logarithm so far, its level is not known to a regression on levels."""
    rng = np.random.default_rng(0)
    values = {name: np.exp(rng.normal(1, 1, 400)) for name in ("A", "B")}
    table = encoded_panel(values | {"late": np.exp(rng.normal(1, 1, 66))}, {"late": 294})
    assert table.encoders.of_others.numeric[0].log1p
    for form, is_last_value in (("levels", True), ("logarithms", False)):
        pooled = BY_NAME["pooled_ridge"].changes(table, form)
        assert pooled is not None
        assert (not pooled[2].any()) == is_last_value
        assert pooled[0].any()


def test_pooled_ridge_is_one_ridge_of_all_rows() -> None:
    """Two series that are the same but for their unit have the ridge of each alone."""
    small = wave(400, 2, 1)
    two = encoded_panel({"small": small, "large": 1000 * small})
    pooled = BY_NAME["pooled_ridge"].changes(two, "levels")
    own = BY_NAME["ridge"].changes(two, "levels")
    assert pooled is not None and own is not None
    np.testing.assert_allclose(pooled[1], 1000 * pooled[0], rtol=1e-6)
    # Where no target is missing both learn from the same rows, but for the last ones before
    # validation, which the pooled one leaves out at the first lead time.
    np.testing.assert_allclose(pooled[0][:, 1], own[0][:, 1], atol=1e-6)


def test_boosting_knows_the_series() -> None:
    """Of two series one always rises and one always falls, whatever their past."""
    rng = np.random.default_rng(0)
    steps = rng.uniform(0.5, 1.5, 400)
    table = encoded_panel({"up": 1000 + np.cumsum(steps), "down": 1000 - 10 * np.cumsum(steps)})
    changes = forecast_lightgbm(table, 1)
    assert changes.shape == (720,)
    assert (changes[30:360] > 0).mean() > 0.99
    assert (changes[390:] < 0).mean() > 0.99
    assert -12 < changes[390:].mean() < -8
