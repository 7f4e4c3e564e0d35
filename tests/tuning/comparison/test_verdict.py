"""What is said of errors that are made up here, against answers worked out by hand."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from lstm_model.errors import TableError
from lstm_model.evaluation.baselines import PERSISTENCE
from tuning.comparison.backtest import ForecastErrors
from tuning.comparison.significance import holm
from tuning.comparison.verdict import (
    breakdowns,
    check_test_observations,
    direction,
    largest_errors,
    level_edges,
    paired_tests,
    paired_with_references,
    significant_signs,
    verdict,
)


def period(errors: dict[str, Any], horizon: int = 1) -> ForecastErrors:
    """Hours from 30 January on, each forecast from the rows just before it."""
    errors = {name: np.asarray(values, np.float64) for name, values in errors.items()}
    rows = next(iter(errors.values())).shape[1]
    hours = np.arange(rows)
    return ForecastErrors(
        times=pd.date_range("2020-01-30", periods=rows, freq="h"),
        observed=100.0 + hours,
        errors=errors,
        origins=100 + hours[:, None] - np.arange(horizon),
        levels=np.tile(20.0 * (hours % 5)[:, None], horizon),
        floors=np.full((rows, horizon), -np.inf),
    )


def noise(seed: int, rows: int, horizon: int = 1) -> Any:
    return np.random.default_rng(seed).normal(0, 10, (1, rows, horizon))


def test_the_better_model_is_found_and_luck_is_not_taken_for_skill() -> None:
    shared = noise(1, 3000)
    errors = {
        "good": 0.8 * shared,
        "same": shared + noise(2, 3000) / 10,
        PERSISTENCE: shared + noise(3, 3000) / 10,
    }
    made = period(errors)
    pairs = [("good", PERSISTENCE), ("same", PERSISTENCE), (PERSISTENCE, "good")]
    found = paired_tests(made, pairs, ("rmse", "mae"), block=48, seed=0)
    assert [(t["a"], t["b"], t["metric"]) for t in found] == [
        (a, b, metric) for a, b in pairs for metric in ("rmse", "mae")
    ]
    assert direction(significant_signs(found, "good", PERSISTENCE)) == "better"
    assert direction(significant_signs(found, "same", PERSISTENCE)) == "no difference"
    assert direction(significant_signs(found, PERSISTENCE, "good")) == "worse"
    first = found[0]
    rmse = [np.sqrt(np.mean(errors[name] ** 2)) for name in ("good", PERSISTENCE)]
    assert first["difference"] == pytest.approx(rmse[0] - rmse[1])
    assert first["ci95"][0] < first["difference"] < first["ci95"][1] < 0
    assert first["dm_statistic"] < -2


def test_of_hundreds_of_lead_times_a_difference_can_be_told() -> None:
    """Holm multiplies the least p-value, which is one of the replicates, by as many."""
    shared = noise(4, 400, 201)
    made = period({"a": shared, PERSISTENCE: 10 * shared}, horizon=201)
    found = paired_tests(made, [("a", PERSISTENCE)], ("rmse",), block=10, seed=0)
    assert direction(significant_signs(found, "a", PERSISTENCE)) == "better"


def test_in_a_short_period_both_tests_have_the_same_shorter_blocks() -> None:
    shared, other = noise(1, 240), noise(2, 240)
    made = period({"a": shared, PERSISTENCE: other})
    cut, asked = (
        paired_tests(made, [("a", PERSISTENCE)], ("rmse",), block=block, seed=0)
        for block in (24, 168)
    )
    assert asked == cut


def test_what_was_hardly_observed_is_refused_before_anything_is_trained() -> None:
    class Final:
        horizon = 2
        validation_start = 100
        target = np.zeros(1100)
        changes = np.zeros((1100, 2))

    hour = pd.Timedelta(hours=1)
    final: Any = Final()
    check_test_observations(final, "2014", hour, 0)
    final.changes[300:] = np.nan  # 200 hours, and nothing for the 800 after them
    with pytest.raises(
        TableError,
        match=r"the test period 2014 can't be used, 1 rows ahead: every resample must hold an "
        r"observed hour, but \d+ of 4000 hold none: 201 of 1000 h are observed, too few or too "
        r"close together; move test_from, or leave the year out of --test-years",
    ):
        check_test_observations(final, "2014", hour, 0)
    final.changes[101:] = np.nan
    with pytest.raises(TableError, match="1 rows ahead: every resample"):
        check_test_observations(final, "2014", hour, 0)
    final.changes[:] = np.nan
    with pytest.raises(TableError, match="two hours or more must be observed, but got 0"):
        check_test_observations(final, "2014", hour, 0)


def test_holm_covers_the_lead_times_of_one_question() -> None:
    """One lead time of five differs: its p-value is multiplied by five, in each metric."""
    shared = noise(4, 2000, 5)
    other = shared + noise(5, 2000, 5) / 5
    other[:, :, 2] = shared[:, :, 2] * 1.2
    made = period({"a": shared, PERSISTENCE: other}, horizon=5)
    found = paired_tests(made, [("a", PERSISTENCE)], ("rmse",), block=48, seed=0)
    assert [test["lead_time"] for test in found] == [1, 2, 3, 4, 5]
    lowest = found[2]
    assert lowest["p_value_holm"] == pytest.approx(5 * lowest["p_value"])
    assert lowest["p_value_bootstrap_holm"] == pytest.approx(5 * lowest["p_value_bootstrap"])
    signs = significant_signs(found, "a", PERSISTENCE)
    assert signs[3] == -1
    assert direction({1: 0, 2: -1, 3: 1}) == "mixed"


def test_breakdowns_by_hand() -> None:
    # Two days across the end of a month, 30 and 31 January, then an hour of February.
    errors = np.arange(49.0)[None, :, None]
    errors[0, 7] = np.nan
    made = period({"a": errors, PERSISTENCE: 2 * errors})
    wind = np.array(["NW", "SE"], dtype=object)[np.arange(200) % 2]
    found = breakdowns(made, ["a", PERSISTENCE], [35.0, 75.0], {"wind": wind})
    groups = {(one["by"], one["group"]): one for one in found}
    assert groups["month", "2"]["rows"] == 1
    assert groups["month", "2"]["rmse"] == {"a": 48.0, PERSISTENCE: 96.0}
    assert groups["month", "1"]["rows"] == 47
    assert groups["hour of day", "07"]["rows"] == 1  # the first was not observed
    assert groups["hour of day", "07"]["rmse"]["a"] == 31.0
    assert groups["hour of day", "00"]["rmse"]["a"] == pytest.approx(
        np.sqrt((0 + 24**2 + 48**2) / 3)
    )
    # Levels 0, 20, 40, 60, 80 in turn: two below 35, two from there to 75, one above.
    rows = {name: groups["level", name]["rows"] for name in ("below 35", "35 to 75", "75 and more")}
    assert rows == {"below 35": 20, "35 to 75": 19, "75 and more": 9}
    # Origins are rows 100, 101, ...: even ones have NW.
    even = np.delete(np.arange(49.0), 7)
    even = even[even % 2 == 0]
    assert groups["wind", "NW"]["rows"] == len(even)
    assert groups["wind", "NW"]["rmse"]["a"] == pytest.approx(np.sqrt(np.mean(even**2)))


def test_a_level_that_lies_on_a_border_is_in_the_upper_group() -> None:
    made = period({PERSISTENCE: np.ones((1, 5, 1))})
    found = breakdowns(made, [PERSISTENCE], [40.0, 75.0], {})
    rows = {one["group"]: one["rows"] for one in found if one["by"] == "level"}
    assert rows == {"below 40": 2, "40 to 75": 2, "75 and more": 1}


def test_the_worst_misses_come_with_their_hours() -> None:
    errors = np.zeros((1, 40, 1))
    errors[0, [3, 30], 0] = [-50.0, 60.0]
    errors[0, 12, 0] = np.nan
    found = largest_errors(period({PERSISTENCE: errors}), PERSISTENCE, 1)
    assert len(found) == 10
    assert (found[0]["time"], found[0]["error"]) == ("2020-01-31 06:00", 60.0)
    assert (found[0]["observed"], found[0]["forecast"]) == (130.0, 190.0)
    assert (found[1]["time"], found[1]["error"]) == ("2020-01-30 03:00", -50.0)


def test_levels_of_another_target_are_shares_of_its_training() -> None:
    class Final:
        target = np.concatenate([np.arange(1.0, 102.0), [9999.0]])
        validation_start = 101

    assert level_edges(Final(), air=True) == [35, 75, 115, 150, 250]  # type: ignore[arg-type]
    assert level_edges(Final(), air=False) == [21, 41, 61, 81, 96]  # type: ignore[arg-type]


def told(
    differences: dict[int, tuple[float, float]],
    simulated: bool = False,
    years: dict[str, float] | None = None,
    models: tuple[str, ...] = ("multivariate", "univariate"),
    beside: dict[str, dict[str, float]] | None = None,
    best: dict[str, dict[str, str]] | None = None,
) -> str:
    """The verdict where a's RMSE minus b's and their p-value are as given, by lead time.

    Args:
        beside: RMSE by lead time of further baselines; ridge's is persistence's where it has none.
        best: the strongest baseline by lead time of a model, persistence else.
    """
    a, b = (*models, PERSISTENCE)[:2]

    def test(a: str, b: str, lead: int, difference: float, p: float) -> dict[str, Any]:
        ends = [difference - 0.3, difference + 0.3]
        return {
            "a": a,
            "b": b,
            "metric": "rmse",
            "lead_time": lead,
            "difference": difference,
            "ci95": ends,
            "p_value_bootstrap_holm": p,
        }

    rmse = {
        b: {str(lead): 20.0 + lead for lead in differences},
        a: {str(lead): 20.0 + lead + d for lead, (d, _) in differences.items()},
    }
    rmse[PERSISTENCE] = {str(lead): 22.0 for lead in differences}
    tests = [test(a, b, lead, d, p) for lead, (d, p) in differences.items()]
    for model in models:
        rmse[f"ridge_{model}"] = rmse[PERSISTENCE]
        tests += [test(model, PERSISTENCE, lead, -1, 0.01) for lead in differences]
        tests += [test(model, name, lead, -1, 0.9) for name in beside or () for lead in differences]
    rmse |= beside or {}
    return verdict(
        {
            "target": "pm2.5",
            "unit": "ug/m3",
            "step": "1 h",
            "data": {"simulated": simulated},
            "lead_times": list(differences),
            "models": {
                name: {
                    "rmse": values,
                    "skill": dict.fromkeys(values, 0.05),
                    "best_baseline": (best or {}).get(name, dict.fromkeys(values, PERSISTENCE)),
                    "skill_best_baseline": dict.fromkeys(values, 0.04),
                }
                for name, values in rmse.items()
            },
            "finalists": {
                name: {"features": ["pm2.5"] * (8 - 7 * i)} for i, name in enumerate(models)
            },
            "tests": tests,
            "breakdowns": [
                {"by": "month", "lead_time": 1, "rmse": {a: month, b: 6.5, PERSISTENCE: 6.5}}
                for month in range(1, 13)
            ],
            "years": {
                year: {"tests": [test(a, b, lead, d, 0.01) for lead in differences]}
                for year, d in (years or {}).items()
            },
        }
    )


def test_more_features_are_better() -> None:
    assert told({1: (-0.7, 0.001)}) == (
        "multivariate (8 features) forecasts pm2.5 1 h ahead better than univariate (1 feature): "
        "RMSE 20.30 against 21.00 ug/m3, a difference of 0.70 [0.40, 1.00], better in 6 of 12 "
        "months. 1 h ahead, repeating the last value has 22.00: multivariate's skill is 5.0% "
        "(beyond luck), and no baseline was stronger on validation; univariate's skill is 5.0% "
        "(beyond luck), and no baseline was stronger on validation."
    )


def test_univariate_is_better() -> None:
    assert told({1: (0.7, 0.001)}).startswith(
        "univariate (1 feature) forecasts pm2.5 1 h ahead better than multivariate (8 features): "
        "RMSE 21.00 against 21.70 ug/m3, a difference of 0.70 [0.40, 1.00], better in 6 of 12 "
    )


def test_no_difference_is_an_answer() -> None:
    assert told({1: (-0.1, 0.4)}).startswith(
        "No difference is shown between multivariate (8 features) and univariate (1 feature) 1 h "
        "ahead: RMSE 20.90 against 21.00 ug/m3, a difference of 0.10 [-0.20, 0.40], better in 6 of"
    )


def test_lead_times_are_listed() -> None:
    found = told({1: (0.1, 0.4), 2: (-1, 0.01), 3: (-1, 0.01), 4: (0, 0.9), 5: (-2, 0.01)})
    assert found.startswith(
        "multivariate (8 features) forecasts pm2.5 better than univariate (1 feature) at 2 to 3, 5 "
        "of 5 lead times: 1 h ahead, RMSE 21.10 against 21.00 ug/m3, a difference of -0.10 "
    )
    assert (
        "; 5 h ahead, RMSE 23.00 against 25.00 ug/m3, a difference of 2.00 [1.70, 2.30]; but less "
        in found
    )
    mixed = told({1: (1, 0.01), 2: (-1, 0.01)})
    assert "better than univariate (1 feature) at 2 of 2 lead times, and worse at 1: " in mixed
    none = told({1: (1, 0.5), 2: (-1, 0.5)})
    assert none.startswith(
        "No difference is shown between multivariate (8 features) and univariate"
    )
    assert "at any of 2 lead times: 1 h ahead, RMSE" in none


def test_an_interval_that_does_not_stand_once_corrected_is_told() -> None:
    """Of one lead time alone, without zero; and the answer is of both."""
    found = told({1: (-0.4, 0.086), 2: (-0.1, 0.5)})
    assert found.startswith("No difference is shown")
    assert (
        "a difference of 0.40 [0.10, 0.70] that does not stand once corrected for the 2 lead times "
        "(p 0.086), better in 6 of 12 months; 2 h ahead"
    ) in found
    assert found.count("does not stand") == 1
    worse = told({1: (0.4, 0.05), 2: (0, 1)})
    assert "[-0.70, -0.10] that does not stand" in worse
    assert "does not stand" not in told({1: (-0.4, 0.049), 2: (-0.1, 0.5)})


def test_other_years_and_simulated_data_are_said() -> None:
    found = told({1: (-0.7, 0.001)}, simulated=True, years={"2012": -0.5, "2013": 0.5})
    assert "The same answer comes of 1 of 2 other test years: 2012. " in found
    assert found.endswith("The data are simulated: this says nothing about real air.")


def test_one_model_is_held_against_persistence() -> None:
    assert told({1: (-0.7, 0.001)}, models=("multivariate",)).startswith(
        "multivariate (8 features) forecasts pm2.5 1 h ahead better than persistence: RMSE 20.30 "
    )


def test_a_model_that_loses_to_a_baseline_is_not_called_better_without_it() -> None:
    """The mean of training is better than both at the first lead time, ridge than one at both."""
    said = told(
        {1: (-1, 0.001), 2: (-1, 0.001)},
        beside={
            "training_mean": {"1": 18.5, "2": 90.0},
            "ridge_univariate": {"1": 20.5, "2": 21.0},
            "ridge_multivariate": {"1": 30.0, "2": 30.0},
        },
        best={"univariate": {"1": "training_mean", "2": "ridge_univariate"}},
    )
    answer, rest = said.split(". 1 h ahead, ")
    assert answer.startswith("multivariate (8 features) forecasts pm2.5 better than univariate (1")
    assert answer.endswith(
        "; but less than multivariate errs the mean of training at 1 of 2 lead times (RMSE 18.50 "
        "against 20.00); but less than univariate err the mean of training at 1 of 2 lead times "
        "(RMSE 18.50 against 21.00) and ridge regression on the same features at 1 to 2 of 2 lead "
        "times (RMSE 20.50 against 21.00)"
    )
    assert rest.endswith(
        "univariate's skill is 5.0%, and its RMSE is 4.0% lower than that of the mean of training, "
        "18.50, the strongest baseline on validation (not beyond luck)."
    )


def test_the_baselines_that_are_new_are_a_question_of_their_own() -> None:
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
    every = period(errors, horizon=2)
    few = period({name: errors[name] for name in ("m", PERSISTENCE)}, horizon=2)
    keys: dict[str, Any] = {"block": 24, "seed": 0}
    pairs = [("m", PERSISTENCE)]
    assert paired_tests(every, pairs, ("rmse",), **keys) == paired_tests(
        few, pairs, ("rmse",), **keys
    )
    tests = paired_with_references(every, ["m"], **keys)
    assert [(test["b"], test["lead_time"]) for test in tests] == [
        *(("same_hour_yesterday", 1), ("same_hour_yesterday", 2)),
        *(("training_mean", 1), ("training_mean", 2)),
    ]
    plain = [test["p_value_bootstrap"] for test in tests]
    assert [test["p_value_bootstrap_holm"] for test in tests] == holm(plain)
    assert paired_with_references(few, ["m"], **keys) == []
