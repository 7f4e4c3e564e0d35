"""The answer in plain sentences, from a comparison's own figures."""

from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np

from lstm_model.evaluation.baselines import BASELINES, PERSISTENCE
from lstm_model.wording import DIGITS, number_format
from tuning.comparison.paired_tests import baseline_beside, own_models_name
from tuning.comparison.result import Comparison, PairedTest
from tuning.comparison.significance import SQUARED
from tuning.wording import list_names, number_ranges

ALPHA = 0.05


def significant_signs(tests: Sequence[PairedTest], a: str, b: str) -> dict[int, int]:
    """By lead time: -1 where a's RMSE is lower beyond luck, 1 where b's is, 0 where neither; of
    several series their relative RMSE.

    The bootstrap decides, after Holm's correction.
    """
    return {
        test.lead_time: int(np.sign(test.difference)) if test.p_value_bootstrap_holm < ALPHA else 0
        for test in tests
        if (test.a, test.b) == (a, b) and test.metric in SQUARED
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
    sentences = [f"{answer}.", _baseline_sentence(comparison), *_own_sentences(comparison)]
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
    """Error against error, the difference with its interval, and where it is better."""
    test = next(test for test in comparison.main_tests if test.lead_time == lead)
    low, high = sorted(end if first == test.b else -end for end in test.ci95)
    months = [
        group.rmse[first] < group.rmse[second]
        for group in comparison.breakdowns
        if (group.by, group.lead_time) == ("month", lead)
    ]
    better, notes = "", ""
    # The interval is of this lead time alone, and the answer of all of them.
    count, p = len(comparison.lead_times), test.p_value_bootstrap_holm
    if count > 1 and (low > 0 or high < 0) and p >= ALPHA:
        notes = f" that does not stand once corrected for the {count} lead times (p {p:.2g})"
    if comparison.by_series:  # the months' errors are over all rows, where large series count most
        better = _series_won(comparison, first, second, lead)
    elif len(months) > 1:
        better = f"{sum(months)} of {len(months)} months"
    if better:
        notes += f", better in {better}"
    return f"{_difference(comparison, first, second, lead, low, high)}{notes}"


def _difference(
    comparison: Comparison, first: str, second: str, lead: int, low: float, high: float
) -> str:
    """Both models' errors, how much lower the first one's is, and the ends of its interval."""
    models = [comparison.models[model] for model in (first, second)]
    if comparison.by_series:
        of_series = comparison.series_skill(first, second, lead).values()
        ours, theirs = map(fmean, zip(*of_series, strict=True))
        points = [format(100 * value, "z.2f") for value in (ours - theirs, low, high)]
        return (
            f"mean skill {_percent(ours)} against {_percent(theirs)}, a difference of {points[0]} "
            f"points [{points[1]}, {points[2]}]"
        )
    unit = f" {comparison.unit}" if comparison.unit else ""
    ours, theirs = (scores.rmse[lead] for scores in models)
    form = error_format(comparison)
    return (
        f"RMSE {ours:{form}} against {theirs:{form}}{unit}, a difference of "
        f"{theirs - ours:{form}} [{low:{form}}, {high:{form}}]"
    )


def _series_won(comparison: Comparison, first: str, second: str, lead: int) -> str:
    """`6 of 8 series (not in Dingling and Wanliu)`: in how many the first model errs less."""
    count = len(comparison.series_skill(first, second, lead))
    lost = comparison.lost_series(first, second, lead)
    won = f"{count - len(lost)} of {count} series"
    return f"{won} (not in {list_names(lost)})" if 0 < len(lost) < count else won


def _own_sentences(comparison: Comparison) -> list[str]:
    """For each model of several series, whether it is better than one for each of them."""
    sentences = []
    for model in comparison.finalists:
        own = own_models_name(model)
        if own not in comparison.models:
            continue
        signs = significant_signs(comparison.tests, model, own)
        answer = direction(signs)
        clauses = []
        for lead in comparison.outer_lead_times:
            [test] = [
                each
                for each in comparison.tests
                if (each.a, each.b, each.lead_time) == (model, own, lead) and each.metric in SQUARED
            ]
            ends = sorted(-end for end in test.ci95)
            clauses.append(
                f"{comparison.lead_name(lead)} ahead "
                f"{_difference(comparison, model, own, lead, ends[0], ends[1])}, better in "
                f"{_series_won(comparison, model, own, lead)}"
            )
        said = {
            "better": "One model for all series is better than one for each",
            "worse": "One model for each series is better than one for all",
            "mixed": "One model for all series is better than one for each at some lead times, and "
            "worse at others",
            "no difference": "No difference is shown between one model for all series and one for "
            "each",
        }[answer]
        assert comparison.by_series is not None
        count, of = (len(comparison.by_series[name]) for name in (own, model))
        which = f"{model}, in {count:,} of {of:,} series" if count < of else model
        sentences.append(f"{said} ({which}): {'; '.join(clauses)}.")
    return sentences


def _lost_baselines(comparison: Comparison) -> list[str]:
    """A clause for each model that errs more on the test than baselines do, with their RMSE at the
    first lead time where that is so: a better model than another one may still be no good.
    """
    count = len(comparison.lead_times)
    clauses = []
    for model in comparison.finalists:
        own, parts = model, []
        for baseline in BASELINES:
            name = baseline_beside(baseline.name, model)
            if name not in comparison.models:
                continue
            leads = [
                lead
                for lead in comparison.lead_times
                if _error(comparison, name, lead) < _error(comparison, own, lead)
            ]
            if leads:
                at = f" at {number_ranges(leads)} of {count} lead times" if count > 1 else ""
                parts.append(f"{baseline.label}{at} ({_errors(comparison, name, own, leads[0])})")
        if parts:
            verb = "errs" if len(parts) == 1 else "err"
            clauses.append(f"but less than {model} {verb} {' and '.join(parts)}")
    return clauses


def _error(comparison: Comparison, model: str, lead: int) -> float:
    """What is judged: RMSE, or of several series its mean by persistence's."""
    scores = comparison.models[model]
    return -scores.skill[lead] if comparison.by_series else scores.rmse[lead]


def _errors(comparison: Comparison, first: str, second: str, lead: int) -> str:
    """`RMSE 20.5 against 21.0`, or of several series their mean skill."""
    models = [comparison.models[model] for model in (first, second)]
    if comparison.by_series:
        return f"mean skill {' against '.join(_percent(each.skill[lead]) for each in models)}"
    form = error_format(comparison)
    return f"RMSE {models[0].rmse[lead]:{form}} against {models[1].rmse[lead]:{form}}"


def _baseline_sentence(comparison: Comparison) -> str:
    """What persistence comes to on the same hours at the first lead time, and how each model stands
    to it and to the baseline that was the strongest one on validation.
    """
    models, lead = comparison.models, comparison.lead_times[0]
    form = error_format(comparison)
    mean, over = ("mean ", "over all rows an RMSE of ") if comparison.by_series else ("", "")
    parts = []
    for model in comparison.finalists:
        labels = {baseline_beside(each.name, model): each.label for each in BASELINES}
        scores = models[model]
        assert scores.best_baseline is not None
        assert scores.skill_best_baseline is not None
        best, gain = scores.best_baseline[lead], scores.skill_best_baseline[lead]
        sign = significant_signs(comparison.tests, model, best)[lead]
        certainty = "beyond luck" if sign else "not beyond luck"
        skill = f"{model}'s {mean}skill is {scores.skill[lead]:.1%}"
        if best == PERSISTENCE:
            parts.append(f"{skill} ({certainty}), and no baseline was stronger on validation")
            continue
        of_it = f"{models[best].rmse[lead]:{form}}"
        if comparison.by_series:
            of_it = f"whose mean skill is {models[best].skill[lead]:.1%}"
        parts.append(
            f"{skill}, and its {'error' if comparison.by_series else 'RMSE'} is "
            f"{abs(gain):.1%} {'higher' if gain < 0 else 'lower'} than that of {labels[best]}, "
            f"{of_it}, the strongest baseline on validation ({certainty})"
        )
    return (
        f"{comparison.lead_name(lead)} ahead, repeating the last value has "
        f"{over}{models[PERSISTENCE].rmse[lead]:{form}}: {'; '.join(parts)}."
    )


def _model_with_features(comparison: Comparison, model: str) -> str:
    """The model with the number of its features, where it has any."""
    if model not in comparison.finalists:
        return model
    count = len(comparison.finalists[model].features)
    return f"{model} ({count} feature{'s' if count > 1 else ''})"


def _percent(share: float) -> str:
    return format(share, "z.1%")
