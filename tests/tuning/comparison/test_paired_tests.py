"""Tests of pairs of models whose errors are made up, against answers worked out by hand."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.series_index import SeriesIndex
from lstm_model.errors import TableError
from lstm_model.evaluation.baselines import PERSISTENCE
from tests.tuning.comparison.builders import make_errors, make_table
from tuning.comparison.paired_tests import (
    check_test_observations,
    paired_metrics,
    paired_tests,
    reference_tests,
)
from tuning.comparison.significance import holm
from tuning.comparison.verdict import direction, significant_signs


def noise(seed: int, rows: int, horizon: int = 1) -> Any:
    return np.random.default_rng(seed).normal(0, 10, (1, rows, horizon))


def test_paired_tests_tell_skill_from_luck() -> None:
    shared = noise(1, 3000)
    errors = {
        "good": 0.8 * shared,
        "same": shared + noise(2, 3000) / 10,
        PERSISTENCE: shared + noise(3, 3000) / 10,
    }
    window = make_errors(errors)
    pairs = [("good", PERSISTENCE), ("same", PERSISTENCE), (PERSISTENCE, "good")]
    tests = paired_tests(window, pairs, ("rmse", "mae"), block=48, seed=0)
    assert [(t.a, t.b, t.metric) for t in tests] == [
        (a, b, metric) for a, b in pairs for metric in ("rmse", "mae")
    ]
    assert direction(significant_signs(tests, "good", PERSISTENCE)) == "better"
    assert direction(significant_signs(tests, "same", PERSISTENCE)) == "no difference"
    assert direction(significant_signs(tests, PERSISTENCE, "good")) == "worse"
    first = tests[0]
    rmse = [np.sqrt(np.mean(errors[name] ** 2)) for name in ("good", PERSISTENCE)]
    assert first.difference == pytest.approx(rmse[0] - rmse[1])
    assert first.ci95[0] < first.difference < first.ci95[1] < 0
    assert first.dm_statistic < -2


def test_difference_among_hundreds_of_lead_times() -> None:
    """Holm multiplies the least p-value, which is one of the replicates, by as many."""
    shared = noise(4, 400, 201)
    window = make_errors({"a": shared, PERSISTENCE: 10 * shared}, horizon=201)
    tests = paired_tests(window, [("a", PERSISTENCE)], ("rmse",), block=10, seed=0)
    assert direction(significant_signs(tests, "a", PERSISTENCE)) == "better"


def test_short_period_shortens_blocks_of_both_tests() -> None:
    shared, other = noise(1, 240), noise(2, 240)
    window = make_errors({"a": shared, PERSISTENCE: other})
    cut, asked = (
        paired_tests(window, [("a", PERSISTENCE)], ("rmse",), block=block, seed=0)
        for block in (24, 168)
    )
    assert asked == cut


def test_hardly_observed_period_is_refused() -> None:
    table = make_table({"": np.arange(1100.0)}, validation_row=100, horizon=2)
    check_test_observations(table, "2014", 0)

    def until(row: int) -> EncodedTable:
        """Nothing is observed from this row on."""
        return replace(table, target=np.where(np.arange(1100) < row, table.target, np.nan))

    with pytest.raises(
        TableError,
        match=r"the test period 2014 can't be used, 1 rows ahead: every resample must hold an "
        r"observed hour, but \d+ of 4000 hold none: 201 of 1000 h are observed, too few or too "
        r"close together; move test_from, or leave the year out of --test-years",
    ):
        check_test_observations(until(301), "2014", 0)
    with pytest.raises(TableError, match="1 rows ahead: every resample"):
        check_test_observations(until(102), "2014", 0)
    with pytest.raises(TableError, match="two hours or more must be observed, but got 0"):
        check_test_observations(until(100), "2014", 0)


def test_a_time_counts_where_any_series_was_observed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One series ends early in the test, another one begins there; the first alone is refused."""
    first, second = np.arange(1100.0), np.arange(1100.0)
    first[301:], second[100:301] = np.nan, np.nan
    with pytest.raises(TableError, match="every resample must hold an observed hour"):
        check_test_observations(make_table({"": first}, validation_row=100), "2014", 0)
    table = make_table({"A": first, "B": second}, validation_row=100)
    check_test_observations(table, "2014", 0)
    # The series that get models of their own are compared on their own hours, of which this one
    # has too few.
    monkeypatch.setattr("tuning.comparison.paired_tests.MOST_ON_THEIR_OWN", 1)
    with pytest.raises(TableError, match="every resample must hold an observed hour"):
        check_test_observations(table, "2014", 0)


def test_holm_covers_the_lead_times_of_one_question() -> None:
    """One lead time of five differs: its p-value is multiplied by five, in each metric."""
    shared = noise(4, 2000, 5)
    other = shared + noise(5, 2000, 5) / 5
    other[:, :, 2] = shared[:, :, 2] * 1.2
    window = make_errors({"a": shared, PERSISTENCE: other}, horizon=5)
    tests = paired_tests(window, [("a", PERSISTENCE)], ("rmse",), block=48, seed=0)
    assert [test.lead_time for test in tests] == [1, 2, 3, 4, 5]
    lowest = tests[2]
    assert lowest.p_value_holm == pytest.approx(5 * lowest.p_value)
    assert lowest.p_value_bootstrap_holm == pytest.approx(5 * lowest.p_value_bootstrap)
    signs = significant_signs(tests, "a", PERSISTENCE)
    assert signs[3] == -1
    assert direction({1: 0, 2: -1, 3: 1}) == "mixed"


def test_reference_tests_are_corrected_apart() -> None:
    """With them or without, no other corrected value moves; among themselves they are corrected
    together, for all lead times and all of them.
    """
    rng = np.random.default_rng(6)
    errors = {
        "m": rng.normal(0, 1.0, (2, 600, 2)),
        PERSISTENCE: rng.normal(0, 1.02, (1, 600, 2)),
        "same_hour_yesterday": rng.normal(0, 1.05, (1, 600, 2)),
        "training_mean": rng.normal(0, 1.04, (1, 600, 2)),
    }
    every = make_errors(errors, horizon=2)
    few = make_errors({name: errors[name] for name in ("m", PERSISTENCE)}, horizon=2)
    keys: dict[str, Any] = {"block": 24, "seed": 0}
    pairs = [("m", PERSISTENCE)]
    assert paired_tests(every, pairs, ("rmse",), **keys) == paired_tests(
        few, pairs, ("rmse",), **keys
    )
    tests = reference_tests(every, ["m"], **keys)
    assert [(test.b, test.lead_time) for test in tests] == [
        *(("same_hour_yesterday", 1), ("same_hour_yesterday", 2)),
        *(("training_mean", 1), ("training_mean", 2)),
    ]
    plain = [test.p_value_bootstrap for test in tests]
    assert [test.p_value_bootstrap_holm for test in tests] == holm(plain)
    assert reference_tests(few, ["m"], **keys) == []


def test_several_series_are_tested_in_their_mean_ratio() -> None:
    """Model a is better in the small series and worse in the large one, which RMSE alone sees."""
    rng = np.random.default_rng(7)
    rows, sizes = 600, np.repeat([1.0, 2.0, 500.0], 600)
    persistence = rng.normal(0, 1, (1, 1800, 1)) * sizes[:, None]
    share = np.repeat([0.7, 0.7, 1.1], rows)[:, None]
    other = rng.normal(0, 0.1, (2, 1, 1800, 1)) * sizes[:, None]
    window = replace(
        make_errors({"a": share * persistence + other[0], PERSISTENCE: persistence}),
        times=pd.DatetimeIndex(np.tile(pd.date_range("2020", periods=rows, freq="h"), 3)),
        index=SeriesIndex(("A", "B", "C"), (0, 600, 1200, 1800)),
    )
    metrics = paired_metrics(window)
    assert metrics == ("relative_rmse", "relative_mae")
    tests = paired_tests(window, [("a", PERSISTENCE)], metrics, block=24, seed=0)
    ratios = [
        np.sqrt(np.mean(window.errors["a"][0, part] ** 2) / np.mean(persistence[0, part] ** 2))
        for part in (slice(0, 600), slice(600, 1200), slice(1200, 1800))
    ]
    assert tests[0].difference == pytest.approx(np.mean(ratios) - 1)
    assert direction(significant_signs(tests, "a", PERSISTENCE)) == "better"
    assert tests[0].dm_statistic < -2
    assert window.scores()["a"].rmse[1] > window.scores()[PERSISTENCE].rmse[1]
    assert paired_metrics(make_errors({PERSISTENCE: persistence})) == ("rmse", "mae")


def test_references_of_several_series_are_tested_in_the_same_metric() -> None:
    rng = np.random.default_rng(8)
    names = ("m", PERSISTENCE, "training_mean")
    window = replace(
        make_errors({name: rng.normal(0, 1, (1, 400, 1)) for name in names}),
        times=pd.DatetimeIndex(np.tile(pd.date_range("2020", periods=200, freq="h"), 2)),
        index=SeriesIndex(("A", "B"), (0, 200, 400)),
    )
    [test] = reference_tests(window, ["m"], block=20, seed=0)
    assert (test.b, test.metric) == ("training_mean", "relative_rmse")
