"""The answer in plain sentences, from a comparison's own figures."""

from collections.abc import Mapping, Sequence

import numpy as np

from lstm_model.evaluation.baselines import BASELINES, PERSISTENCE
from lstm_model.wording import DIGITS, number_format
from tuning.comparison.paired_tests import baseline_beside
from tuning.comparison.result import Comparison, PairedTest
from tuning.wording import number_ranges

ALPHA = 0.05


def significant_signs(tests: Sequence[PairedTest], a: str, b: str) -> dict[int, int]:
    """By lead time: -1 where a's RMSE is lower beyond luck, 1 where b's is, 0 where neither.

    The bootstrap decides, after Holm's correction.
    """
    return {
        test.lead_time: int(np.sign(test.difference)) if test.p_value_bootstrap_holm < ALPHA else 0
        for test in tests
        if (test.a, test.b, test.metric) == (a, b, "rmse")
    }


def direction(signs: Mapping[int, int]) -> str:
    """ "better", "worse", "mixed" or "no difference", of a against b, from significant_signs()."""
    distinct = set(signs.values()) - {0}
    if len(distinct) == 2:
        return "mixed"
    return {-1: "better", 1: "worse"}[distinct.pop()] if distinct else "no difference"


def write_verdict(comparison: Comparison) -> str:
    """Which model is better, whether baselines beat them, and whether other years agree."""
    a, b = comparison.tests[0].a, comparison.tests[0].b
    signs = significant_signs(comparison.tests, a, b)
    answer = "; ".join([_answer(comparison, a, b, signs), *_lost_baselines(comparison)])
    sentences = [f"{answer}.", _baseline_sentence(comparison)]
    if years := comparison.years:
        agreeing = [
            label
            for label, year in years.items()
            if direction(significant_signs(year.tests, a, b)) == direction(signs)
        ]
        listed = f": {', '.join(agreeing)}" if agreeing else ""
        sentences.append(
            f"The same answer comes of {len(agreeing)} of {len(years)} other test years{listed}."
        )
    if comparison.data.simulated:
        sentences.append("The data are simulated: this says nothing about real air.")
    return " ".join(sentences)


def coverage_sentence(comparison: Comparison, model: str) -> str:
    """How many of the test's observations the model's prediction intervals held."""
    parts = []
    for lead in comparison.outer_lead_times:
        shares = [
            f"{each.covered:.1%} ({each.claim:.0%} claimed)"
            for each in comparison.coverage
            if (each.model, each.forecast_level, each.lead_time) == (model, "all", lead)
        ]
        parts.append(f"{' and '.join(shares)} {comparison.lead_name(lead)} ahead")
    return (
        f"{model}'s prediction intervals, calibrated on validation, held of the test's "
        f"observations {'; '.join(parts)}."
    )


def error_format(comparison: Comparison, digits: int = DIGITS) -> str:
    """The format of a comparison's errors: those of all models have the same decimals."""
    errors = (rmse for scores in comparison.models.values() for rmse in scores.rmse.values())
    return number_format(errors, digits)


def _answer(comparison: Comparison, a: str, b: str, signs: Mapping[int, int]) -> str:
    """Which of the two forecasts better, and where, without its full stop."""
    leads = comparison.lead_times
    answer = direction(signs)
    # The winner is named first.
    first, second = (b, a) if answer == "worse" else (a, b)
    winning = 1 if answer == "worse" else -1
    names = [_model_with_features(comparison, model) for model in (first, second)]
    figures = [_figures(comparison, first, second, lead) for lead in comparison.outer_lead_times]
    if len(leads) == 1:
        when = f"{comparison.lead_name(leads[0])} ahead"
        if answer == "no difference":
            return f"No difference is shown between {names[0]} and {names[1]} {when}: {figures[0]}"
        return (
            f"{names[0]} forecasts {comparison.target} {when} better than {names[1]}: "
            + (figures[0])
        )
    details = "; ".join(
        f"{comparison.lead_name(lead)} ahead, {text}"
        for lead, text in zip(comparison.outer_lead_times, figures, strict=True)
    )
    if answer == "no difference":
        return (
            f"No difference is shown between {names[0]} and {names[1]} at any of {len(leads)} "
            f"lead times: {details}"
        )
    won, lost = (
        number_ranges([lead for lead in leads if signs[lead] == sign])
        for sign in (winning, -winning)
    )
    where = f"at {won} of {len(leads)} lead times" + (f", and worse at {lost}" if lost else "")
    return f"{names[0]} forecasts {comparison.target} better than {names[1]} {where}: {details}"


def _figures(comparison: Comparison, first: str, second: str, lead: int) -> str:
    """RMSE against RMSE, the difference with its interval, and in how many months it is better."""
    unit = f" {comparison.unit}" if comparison.unit else ""
    rmse = [comparison.models[model].rmse[lead] for model in (first, second)]
    test = next(test for test in comparison.main_tests if test.lead_time == lead)
    low, high = sorted(end if first == test.b else -end for end in test.ci95)
    months = [
        group.rmse[first] < group.rmse[second]
        for group in comparison.breakdowns
        if (group.by, group.lead_time) == ("month", lead)
    ]
    notes = ""
    # The interval is of this lead time alone, and the answer of all of them.
    count, p = len(comparison.lead_times), test.p_value_bootstrap_holm
    if count > 1 and (low > 0 or high < 0) and p >= ALPHA:
        notes = f" that does not stand once corrected for the {count} lead times (p {p:.2g})"
    if len(months) > 1:
        notes += f", better in {sum(months)} of {len(months)} months"
    form = error_format(comparison)
    return (
        f"RMSE {rmse[0]:{form}} against {rmse[1]:{form}}{unit}, a difference of "
        f"{rmse[1] - rmse[0]:{form}} [{low:{form}}, {high:{form}}]{notes}"
    )


def _lost_baselines(comparison: Comparison) -> list[str]:
    """A clause for each model that errs more on the test than baselines do, with their RMSE at the
    first lead time where that is so: a better model than another one may still be no good.
    """
    count, form = len(comparison.lead_times), error_format(comparison)
    clauses = []
    for model in comparison.finalists:
        own, parts = comparison.models[model].rmse, []
        for baseline in BASELINES:
            scores = comparison.models.get(baseline_beside(baseline.name, model))
            rmse = scores.rmse if scores else own
            if leads := [lead for lead in comparison.lead_times if rmse[lead] < own[lead]]:
                at = f" at {number_ranges(leads)} of {count} lead times" if count > 1 else ""
                errors = f"RMSE {rmse[leads[0]]:{form}} against {own[leads[0]]:{form}}"
                parts.append(f"{baseline.label}{at} ({errors})")
        if parts:
            verb = "errs" if len(parts) == 1 else "err"
            clauses.append(f"but less than {model} {verb} {' and '.join(parts)}")
    return clauses


def _baseline_sentence(comparison: Comparison) -> str:
    """What persistence comes to on the same hours at the first lead time, and how each model stands
    to it and to the baseline that was the strongest one on validation.
    """
    models, lead = comparison.models, comparison.lead_times[0]
    form = error_format(comparison)
    parts = []
    for model in comparison.finalists:
        labels = {baseline_beside(each.name, model): each.label for each in BASELINES}
        scores = models[model]
        assert scores.best_baseline is not None
        assert scores.skill_best_baseline is not None
        best, gain = scores.best_baseline[lead], scores.skill_best_baseline[lead]
        sign = significant_signs(comparison.tests, model, best)[lead]
        certainty = "beyond luck" if sign else "not beyond luck"
        skill = f"{model}'s skill is {scores.skill[lead]:.1%}"
        if best == PERSISTENCE:
            parts.append(f"{skill} ({certainty}), and no baseline was stronger on validation")
            continue
        parts.append(
            f"{skill}, and its RMSE is "
            f"{abs(gain):.1%} {'higher' if gain < 0 else 'lower'} than that of {labels[best]}, "
            f"{models[best].rmse[lead]:{form}}, the strongest baseline on validation ({certainty})"
        )
    return (
        f"{comparison.lead_name(lead)} ahead, repeating the last value has "
        f"{models[PERSISTENCE].rmse[lead]:{form}}: {'; '.join(parts)}."
    )


def _model_with_features(comparison: Comparison, model: str) -> str:
    """The model with the number of its features, where it has any."""
    if model not in comparison.finalists:
        return model
    count = len(comparison.finalists[model].features)
    return f"{model} ({count} feature{'s' if count > 1 else ''})"
