"""What is verdict of figures that are made up here."""

from dataclasses import replace

from lstm_model.evaluation.baselines import PERSISTENCE
from tests.tuning.comparison.builders import make_comparison, make_finalist
from tuning.comparison.result import Breakdown, ModelScores, PairedTest, YearResult
from tuning.comparison.verdict import coverage_sentence, write_verdict


def verdict_of(
    differences: dict[int, tuple[float, float]],
    simulated: bool = False,
    years: dict[str, float] | None = None,
    models: tuple[str, ...] = ("multivariate", "univariate"),
    beside: dict[str, dict[int, float]] | None = None,
    best: dict[str, dict[int, str]] | None = None,
) -> str:
    """The verdict where a's RMSE minus b's and their p-value are as given, by lead time.

    Args:
        beside: RMSE by lead time of further baselines; ridge's is persistence's where it has none.
        best: the strongest baseline by lead time of a model, persistence else.
    """
    a, b = (*models, PERSISTENCE)[:2]

    def test(a: str, b: str, lead: int, difference: float, p: float) -> PairedTest:
        ends = (difference - 0.3, difference + 0.3)
        return PairedTest(a, b, "rmse", lead, difference, ends, p, 0.0, p, p, p)

    rmse = {
        b: {lead: 20.0 + lead for lead in differences},
        a: {lead: 20.0 + lead + d for lead, (d, _) in differences.items()},
    }
    rmse[PERSISTENCE] = dict.fromkeys(differences, 22.0)
    tests = [test(a, b, lead, d, p) for lead, (d, p) in differences.items()]
    for model in models:
        rmse[f"ridge_{model}"] = rmse[PERSISTENCE]
        tests += [test(model, PERSISTENCE, lead, -1, 0.01) for lead in differences]
        tests += [test(model, name, lead, -1, 0.9) for name in beside or () for lead in differences]
    rmse |= beside or {}
    comparison = replace(
        make_comparison(simulated=simulated),
        lead_times=list(differences),
        models={
            name: ModelScores(
                rmse=values,
                mae=values,
                skill=dict.fromkeys(values, 0.05),
                best_baseline=(best or {}).get(name, dict.fromkeys(values, PERSISTENCE)),
                skill_best_baseline=dict.fromkeys(values, 0.04),
            )
            for name, values in rmse.items()
        },
        finalists={
            name: make_finalist(0, 20.0, ["pm2.5"] * (8 - 7 * i), {})
            for i, name in enumerate(models)
        },
        tests=tests,
        breakdowns=[
            Breakdown("month", 1, str(month), 700, {a: month, b: 6.5, PERSISTENCE: 6.5})
            for month in range(1, 13)
        ],
        years={
            year: YearResult({}, {}, [test(a, b, lead, d, 0.01) for lead in differences])
            for year, d in (years or {}).items()
        },
    )
    return write_verdict(comparison)


def test_more_features_are_better() -> None:
    assert verdict_of({1: (-0.7, 0.001)}) == (
        "multivariate (8 features) forecasts pm2.5 1 h ahead better than univariate (1 feature): "
        "RMSE 20.30 against 21.00 ug/m3, a difference of 0.70 [0.40, 1.00], better in 6 of 12 "
        "months. 1 h ahead, repeating the last value has 22.00: multivariate's skill is 5.0% "
        "(beyond luck), and no baseline was stronger on validation; univariate's skill is 5.0% "
        "(beyond luck), and no baseline was stronger on validation."
    )


def test_univariate_is_better() -> None:
    assert verdict_of({1: (0.7, 0.001)}).startswith(
        "univariate (1 feature) forecasts pm2.5 1 h ahead better than multivariate (8 features): "
        "RMSE 21.00 against 21.70 ug/m3, a difference of 0.70 [0.40, 1.00], better in 6 of 12 "
    )


def test_no_difference_is_an_answer() -> None:
    assert verdict_of({1: (-0.1, 0.4)}).startswith(
        "No difference is shown between multivariate (8 features) and univariate (1 feature) 1 h "
        "ahead: RMSE 20.90 against 21.00 ug/m3, a difference of 0.10 [-0.20, 0.40], better in 6 of"
    )


def test_lead_times_are_listed() -> None:
    verdict = verdict_of({1: (0.1, 0.4), 2: (-1, 0.01), 3: (-1, 0.01), 4: (0, 0.9), 5: (-2, 0.01)})
    assert verdict.startswith(
        "multivariate (8 features) forecasts pm2.5 better than univariate (1 feature) at 2 to 3, 5 "
        "of 5 lead times: 1 h ahead, RMSE 21.10 against 21.00 ug/m3, a difference of -0.10 "
    )
    assert (
        "; 5 h ahead, RMSE 23.00 against 25.00 ug/m3, a difference of 2.00 [1.70, 2.30]; but less "
        in verdict
    )
    mixed = verdict_of({1: (1, 0.01), 2: (-1, 0.01)})
    assert "better than univariate (1 feature) at 2 of 2 lead times, and worse at 1: " in mixed
    none = verdict_of({1: (1, 0.5), 2: (-1, 0.5)})
    assert none.startswith(
        "No difference is shown between multivariate (8 features) and univariate"
    )
    assert "at any of 2 lead times: 1 h ahead, RMSE" in none


def test_interval_lost_to_correction_is_told() -> None:
    """Of one lead time alone, without zero; and the answer is of both."""
    verdict = verdict_of({1: (-0.4, 0.086), 2: (-0.1, 0.5)})
    assert verdict.startswith("No difference is shown")
    assert (
        "a difference of 0.40 [0.10, 0.70] that does not stand once corrected for the 2 lead times "
        "(p 0.086), better in 6 of 12 months; 2 h ahead"
    ) in verdict
    assert verdict.count("does not stand") == 1
    worse = verdict_of({1: (0.4, 0.05), 2: (0, 1)})
    assert "[-0.70, -0.10] that does not stand" in worse
    assert "does not stand" not in verdict_of({1: (-0.4, 0.049), 2: (-0.1, 0.5)})


def test_other_years_and_simulated_data_are_said() -> None:
    verdict = verdict_of({1: (-0.7, 0.001)}, simulated=True, years={"2012": -0.5, "2013": 0.5})
    assert "The same answer comes of 1 of 2 other test years: 2012. " in verdict
    assert verdict.endswith("The data are simulated: this says nothing about real air.")


def test_one_model_is_held_against_persistence() -> None:
    assert verdict_of({1: (-0.7, 0.001)}, models=("multivariate",)).startswith(
        "multivariate (8 features) forecasts pm2.5 1 h ahead better than persistence: RMSE 20.30 "
    )


def test_model_worse_than_a_baseline_is_told() -> None:
    """The mean of training is better than both at the first lead time, ridge than one at both."""
    verdict = verdict_of(
        {1: (-1, 0.001), 2: (-1, 0.001)},
        beside={
            "training_mean": {1: 18.5, 2: 90.0},
            "ridge_univariate": {1: 20.5, 2: 21.0},
            "ridge_multivariate": {1: 30.0, 2: 30.0},
        },
        best={"univariate": {1: "training_mean", 2: "ridge_univariate"}},
    )
    answer, rest = verdict.split(". 1 h ahead, ")
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


def test_coverage_is_told_at_the_first_and_last_lead_time() -> None:
    assert coverage_sentence(make_comparison(24), "univariate") == (
        "univariate's prediction intervals, calibrated on validation, held of the test's "
        "observations 77.9% (80% claimed) and 92.9% (95% claimed) 1 h ahead; "
        "75.6% (80% claimed) and 90.6% (95% claimed) 24 h ahead."
    )


# --- several series


def of_series(skills: dict[str, list[float]], p: float = 0.001, own: float | None = None) -> str:
    """The verdict on a model whose skill by series, and b's, are as given, at one lead time.

    Args:
        skills: [a's, b's] by series.
        own: the mean skill of the series' own models, each as far below it in every series.
    """
    a, b = "multivariate", "univariate"
    of = {
        a: {name: ours for name, (ours, _) in skills.items()},
        b: {name: theirs for name, (_, theirs) in skills.items()},
    }
    of |= {PERSISTENCE: dict.fromkeys(skills, 0.0), f"ridge_{a}": dict.fromkeys(skills, 0.0)}
    of[f"ridge_{b}"] = of[f"ridge_{a}"]
    if own is not None:
        of[f"each_on_its_own_{a}"] = dict.fromkeys(skills, own)
    mean = {model: sum(each.values()) / len(each) for model, each in of.items()}

    def scores(skill: float, model: str = a) -> ModelScores:
        rmse = {1: 20 * (1 - skill)}
        best = {1: f"ridge_{model}"}
        return ModelScores(
            rmse, rmse, {1: skill}, best_baseline=best, skill_best_baseline={1: skill}
        )

    pairs = [(a, b), *((m, r) for m in (a, b) for r in (PERSISTENCE, f"ridge_{m}"))]
    pairs += [(a, f"each_on_its_own_{a}")] if own is not None else []

    def test(one: str, other: str) -> PairedTest:
        difference = mean[other] - mean[one]
        ends = (difference - 0.01, difference + 0.01)
        return PairedTest(one, other, "relative_rmse", 1, difference, ends, p, 0.0, p, p, p)

    comparison = replace(
        make_comparison(),
        models={model: scores(skill, model) for model, skill in mean.items()},
        tests=[test(*pair) for pair in pairs],
        finalists={name: make_finalist(0, 20.0, ["pm2.5"] * n, {}) for name, n in ((a, 2), (b, 1))},
        # Over all rows, in which large series are most: nothing that the verdict counts.
        breakdowns=[
            Breakdown("month", 1, str(month), 700, {a: 1.0, b: 2.0, PERSISTENCE: 3.0})
            for month in (1, 2)
        ],
        years={},
        by_series={
            model: {name: scores(skill) for name, skill in each.items()}
            for model, each in of.items()
        },
    )
    return write_verdict(comparison)


def test_answer_of_several_series_is_of_their_mean_skill() -> None:
    verdict = of_series({"A": [0.3, 0.1], "B": [0.2, 0.25], "C": [0.4, 0.1]})
    assert verdict == (
        "multivariate (2 features) forecasts pm2.5 1 h ahead better than univariate (1 feature): "
        "mean skill 30.0% against 15.0%, a difference of 15.00 points [14.00, 16.00], better in 2 "
        "of 3 series (not in B). 1 h ahead, repeating the last value has over all rows an RMSE of "
        "20.00: multivariate's mean skill is 30.0%, and its error is 30.0% lower than that of "
        "ridge regression on the same features, whose mean skill is 0.0%, the strongest baseline "
        "on validation (beyond luck); univariate's mean skill is 15.0%, and its error is 15.0% "
        "lower than that of ridge regression on the same features, whose mean skill is 0.0%, the "
        "strongest baseline on validation (beyond luck)."
    )


def test_the_series_that_lose_most_are_named_and_the_others_counted() -> None:
    skills = {f"s{n}": [0.1, 0.1 + n / 100] for n in range(1, 7)} | {"good": [0.9, 0.1]}
    assert "better in 1 of 7 series (not in s6, s5, s4 and 3 more)." in of_series(skills)


def test_the_loser_of_most_series_is_named_second() -> None:
    verdict = of_series({"A": [0.1, 0.3], "B": [0.1, 0.2]})
    assert verdict.startswith("univariate (1 feature) forecasts pm2.5 1 h ahead better than multi")
    assert "a difference of 15.00 points [14.00, 16.00], better in 2 of 2 series. " in verdict


def test_one_model_for_all_is_held_against_one_for_each() -> None:
    skills = {"A": [0.3, 0.1], "B": [0.2, 0.1]}
    assert of_series(skills, own=0.22).endswith(
        "One model for all series is better than one for each (multivariate): 1 h ahead mean skill "
        "25.0% against 22.0%, a difference of 3.00 points [2.00, 4.00], better in 1 of 2 series "
        "(not in B)."
    )
    assert "One model for each series is better than one for all (multivariate): 1 h ahead" in (
        of_series(skills, own=0.35)
    )
    assert "No difference is shown between one model for all series and one for each (mult" in (
        of_series(skills, p=0.4, own=0.22)
    )


def test_a_baseline_that_is_better_on_average_is_told() -> None:
    verdict = of_series({"A": [-0.1, 0.3], "B": [0.0, 0.1]})
    assert (
        "; but less than multivariate err repeating the last value (mean skill 0.0% against -5.0%) "
        "and ridge regression on the same features (mean skill 0.0% against -5.0%). " in verdict
    )
    assert "but less than univariate" not in verdict
