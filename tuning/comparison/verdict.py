"""What the models' errors on the test hours say: tests, breakdowns, and a verdict in words."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from lstm_model.data.series import EncodedSeries
from lstm_model.errors import TableError
from lstm_model.evaluation.baselines import BASELINES, BY_NAME, PERSISTENCE
from lstm_model.wording import DIGITS, distinct, number_format
from tuning.comparison import significance as statistics
from tuning.comparison.backtest import ForecastErrors
from tuning.comparison.significance import diebold_mariano, effective_block, holm, paired_difference

Metric = Literal["rmse", "mae"]

# Steps of the air quality index for PM2.5 in ug/m3 (China's HJ 633-2012), and shares of the
# training rows for a target of any other kind.
AQI_BREAKPOINTS = (35.0, 75.0, 115.0, 150.0, 250.0)
LEVEL_QUANTILES = (0.2, 0.4, 0.6, 0.8, 0.95)
N_LARGEST_ERRORS = 10
ALPHA = 0.05


def paired_tests(
    period: ForecastErrors,
    pairs: Sequence[tuple[str, str]],
    metrics: Sequence[Metric],
    *,
    block: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Each pair's difference in each metric at every lead time, as comparison.json has it.

    Holm's correction covers the lead times of one pair in one metric: one question.

    Args:
        block: rows of a block of the bootstrap, and the bandwidth of Diebold-Mariano; both are cut
            in a short period.
        seed: of the bootstrap.
    """
    block = effective_block(len(period.times), block)
    found = []
    for a, b in pairs:
        for metric in metrics:
            of_pair = [
                _test(period, a, b, metric, lead, block, seed)
                for lead in range(1, period.horizon + 1)
            ]
            found += _corrected(of_pair)
    return found


def paired_with_references(
    period: ForecastErrors, models: Sequence[str], *, block: int, seed: int
) -> list[dict[str, Any]]:
    """Each model's difference in RMSE from the baselines that paired() leaves out: the seasons, and
    the mean of training.

    Holm's correction covers all of them and all lead times of one model: they are a question of
    their own, and what they answer moves no other answer.
    """
    block = effective_block(len(period.times), block)
    references = [
        baseline.name
        for baseline in BASELINES
        if baseline.name in period.errors and baseline.name != PERSISTENCE
    ]
    tests = []
    for model in models:
        tests += _corrected(
            [
                _test(period, model, reference, "rmse", lead, block, seed)
                for reference in references
                for lead in range(1, period.horizon + 1)
            ]
        )
    return tests


def _corrected(tests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tests of one question, with Holm's correction for all of them."""
    for key in ("p_value", "p_value_bootstrap"):
        for test, value in zip(tests, holm([test[key] for test in tests]), strict=True):
            test[f"{key}_holm"] = value
    return tests


def baseline_beside(baseline: str, model: str) -> str:
    """A baseline's name in a comparison: one that reads features stands beside each model."""
    return f"{baseline}_{model}" if BY_NAME[baseline].per_features else baseline


def bootstrap_replicates(horizon: int) -> int:
    """How many the bootstrap needs: its least p-value times the lead times, which Holm's correction
    may come to, is at most 0.01.
    """
    return max(4000, 100 * horizon)


def block_length(step: pd.Timedelta, horizon: int) -> int:
    """Rows of a block: errors at neighbouring hours are alike, for days; those of one long forecast
    for its length.
    """
    return max(round(pd.Timedelta(days=7) / step), 7 * horizon)


def check_test_observations(
    final: EncodedSeries, label: str, step: pd.Timedelta, seed: int
) -> None:
    """Raises TableError where too little of a test period was observed for paired(), before
    anything is trained for it.
    """
    leads = np.arange(1, final.horizon + 1)
    origins = np.arange(final.validation_start, len(final.target))[:, None] - leads
    known = np.isfinite(final.changes[origins, leads - 1])
    block, most = block_length(step, final.horizon), bootstrap_replicates(final.horizon)
    for lead, observed in enumerate(known.T, start=1):
        try:
            statistics.check_observations(observed, seed=seed, block=block, replicates=most)
        except ValueError as error:
            raise TableError(
                f"the test period {label} can't be used, {lead} rows ahead: {error}; "
                "move test_from, or leave the year out of --test-years"
            ) from None


def _test(
    period: ForecastErrors, a: str, b: str, metric: Metric, lead: int, block: int, seed: int
) -> dict[str, Any]:
    of_a, of_b = (period.errors[model][:, :, lead - 1] for model in (a, b))
    found = paired_difference(
        of_a, of_b, metric, seed=seed, block=block, replicates=bootstrap_replicates(period.horizon)
    )
    mean_a, mean_b = of_a.mean(axis=0), of_b.mean(axis=0)
    loss_a, loss_b = (
        np.square(mean) if metric == "rmse" else np.abs(mean) for mean in (mean_a, mean_b)
    )
    beside = diebold_mariano(loss_a, loss_b, bandwidth=block)
    return {
        "a": a,
        "b": b,
        "metric": metric,
        "lead_time": lead,
        "difference": found.difference,
        "ci95": [found.low, found.high],
        "p_value_bootstrap": found.p_value,
        "dm_statistic": beside.statistic,
        "p_value": beside.p_value,
    }


def breakdowns(
    period: ForecastErrors,
    models: Sequence[str],
    levels: Sequence[float],
    kinds: Mapping[str, npt.NDArray[np.object_]],
) -> list[dict[str, Any]]:
    """RMSE of the hours of each month, hour of the day, level and category, by lead time.

    Month and hour are of the hour that is forecast; level and category are what was known at the
    forecast's origin, since sorting by what came of it would favour models that exaggerate
    (Lerch et al. 2017, doi:10.1214/16-STS588).

    Args:
        levels: the inner borders between levels, in the target's unit.
        kinds: (rows of the table,) of each categorical column, the last one known.
    """
    squares = {model: np.square(period.mean_errors(model)) for model in models}
    found = []
    for by, group, chosen in _groups(period, levels, kinds):
        for lead in range(1, period.horizon + 1):
            hours = chosen[:, lead - 1] & period.known[:, lead - 1]
            if not hours.any():
                continue
            found.append(
                {
                    "by": by,
                    "lead_time": lead,
                    "group": group,
                    "rows": int(hours.sum()),
                    "rmse": {
                        model: float(np.sqrt(squares[model][hours, lead - 1].mean()))
                        for model in models
                    },
                }
            )
    return found


def _groups(
    period: ForecastErrors, levels: Sequence[float], kinds: Mapping[str, npt.NDArray[np.object_]]
) -> Iterator[tuple[str, str, npt.NDArray[np.bool_]]]:
    """(breakdown, group, (T, L) which forecasts are in it)."""

    def of_hour(values: Any, wanted: int) -> npt.NDArray[np.bool_]:
        return np.repeat(np.asarray(values == wanted)[:, None], period.horizon, axis=1)

    for month in sorted(set(period.times.month)):
        yield "month", str(month), of_hour(period.times.month, month)
    for hour in sorted(set(period.times.hour)):
        yield "hour of day", f"{hour:02d}", of_hour(period.times.hour, hour)
    for name, chosen in by_level(period.levels, levels).items():
        yield "level", name, chosen
    for column, of_row in kinds.items():
        at_origin = of_row[period.origins]
        for kind in sorted({str(kind) for kind in of_row if isinstance(kind, str)}):
            yield column, kind, at_origin == kind


def by_level(
    values: npt.NDArray[np.float64], levels: Sequence[float]
) -> dict[str, npt.NDArray[np.bool_]]:
    """Which of the values, of any shape, lie between which of the inner borders `levels`."""
    number = np.searchsorted(levels, values, side="right")
    shown = distinct(levels)
    names = [f"below {shown[0]}"]
    names += [f"{low} to {high}" for low, high in pairwise(shown)]
    names += [f"{shown[-1]} and more"]
    return {name: number == each for each, name in enumerate(names)}


def largest_errors(period: ForecastErrors, model: str, lead: int) -> list[dict[str, Any]]:
    """The hours that the model missed by most at a lead time."""
    errors = period.mean_errors(model)[:, lead - 1]
    order = np.argsort(-np.abs(np.nan_to_num(errors)), kind="stable")[:N_LARGEST_ERRORS]
    return [
        {
            "model": model,
            "lead_time": lead,
            "time": f"{period.times[row]:%Y-%m-%d %H:%M}",
            "observed": float(period.observed[row]),
            "forecast": float(period.observed[row] + errors[row]),
            "error": float(errors[row]),
        }
        for row in order
        if np.isfinite(errors[row])
    ]


def level_edges(final: EncodedSeries, air: bool) -> list[float]:
    """Where levels begin: the air quality index's for PM2.5, else shares of the training rows."""
    if air:
        return list(AQI_BREAKPOINTS)
    target = final.target[: final.validation_start]
    return sorted({float(q) for q in np.nanquantile(target, LEVEL_QUANTILES)})


def significant_signs(found: Sequence[dict[str, Any]], a: str, b: str) -> dict[int, int]:
    """By lead time: -1 where a's RMSE is lower beyond luck, 1 where b's is, 0 where neither.

    The bootstrap decides, after Holm's correction.
    """
    return {
        test["lead_time"]: int(np.sign(test["difference"]))
        if test["p_value_bootstrap_holm"] < ALPHA
        else 0
        for test in found
        if (test["a"], test["b"], test["metric"]) == (a, b, "rmse")
    }


def direction(by_lead_time: Mapping[int, int]) -> str:
    """ "better", "worse", "mixed" or "no difference", of a against b."""
    signs = set(by_lead_time.values()) - {0}
    if len(signs) == 2:
        return "mixed"
    return {-1: "better", 1: "worse"}[signs.pop()] if signs else "no difference"


def verdict(comparison: Mapping[str, Any]) -> str:
    """The answer in plain sentences, from comparison.json's own figures."""
    a, b = comparison["tests"][0]["a"], comparison["tests"][0]["b"]
    by_lead_time = significant_signs(comparison["tests"], a, b)
    answer = "; ".join([_answer(comparison, a, b, by_lead_time), *_losses(comparison)])
    sentences = [f"{answer}.", _beside_baselines(comparison)]
    years = comparison["years"]
    if years:
        answer_here = direction(by_lead_time)
        agree = [
            year
            for year, one in years.items()
            if direction(significant_signs(one["tests"], a, b)) == answer_here
        ]
        listed = f": {', '.join(agree)}" if agree else ""
        sentences.append(
            f"The same answer comes of {len(agree)} of {len(years)} other test years{listed}."
        )
    if comparison["data"]["simulated"]:
        sentences.append("The data are simulated: this says nothing about real air.")
    return " ".join(sentences)


def _answer(comparison: Mapping[str, Any], a: str, b: str, signs: Mapping[int, int]) -> str:
    """Which of the two forecasts better, and where, without its full stop."""
    target, leads = comparison["target"], comparison["lead_times"]
    answer = direction(signs)
    # The winner is named first.
    first, second = (b, a) if answer == "worse" else (a, b)
    names = [_named(comparison, model) for model in (first, second)]
    won = [lead for lead in leads if signs[lead] == (1 if answer == "worse" else -1)]
    lost = [lead for lead in leads if signs[lead] == (-1 if answer == "worse" else 1)]
    figures = [_figures(comparison, a, b, first, lead) for lead in sorted({leads[0], leads[-1]})]
    if len(leads) == 1:
        when = f"{lead_name(comparison, leads[0])} ahead"
        if answer == "no difference":
            return f"No difference is shown between {names[0]} and {names[1]} {when}: {figures[0]}"
        return f"{names[0]} forecasts {target} {when} better than {names[1]}: {figures[0]}"
    spread = "; ".join(
        f"{lead_name(comparison, lead)} ahead, {text}"
        for lead, text in zip((leads[0], leads[-1]), figures, strict=True)
    )
    if answer == "no difference":
        return (
            f"No difference is shown between {names[0]} and {names[1]} at any of {len(leads)} "
            f"lead times: {spread}"
        )
    where = f"at {_listed(won)} of {len(leads)} lead times"
    rest = f", and worse at {_listed(lost)}" if lost else ""
    return f"{names[0]} forecasts {target} better than {names[1]} {where}{rest}: {spread}"


def _figures(comparison: Mapping[str, Any], a: str, b: str, first: str, lead: int) -> str:
    """RMSE against RMSE, the difference with its interval, and in how many months it is better."""
    second = b if first == a else a
    models, unit = comparison["models"], comparison["unit"]
    rmse = [models[model]["rmse"][str(lead)] for model in (first, second)]
    test = next(
        test
        for test in comparison["tests"]
        if (test["a"], test["b"], test["metric"], test["lead_time"]) == (a, b, "rmse", lead)
    )
    low, high = sorted(end if first == b else -end for end in test["ci95"])
    months = [
        one["rmse"][first] < one["rmse"][second]
        for one in comparison["breakdowns"]
        if one["by"] == "month" and one["lead_time"] == lead
    ]
    told = ""
    # The interval is of this lead time alone, and the answer of all of them.
    count, p = len(comparison["lead_times"]), test["p_value_bootstrap_holm"]
    if count > 1 and (low > 0 or high < 0) and p >= ALPHA:
        told = f" that does not stand once corrected for the {count} lead times (p {p:.2g})"
    if len(months) > 1:
        told += f", better in {sum(months)} of {len(months)} months"
    form = error_format(comparison)
    return (
        f"RMSE {rmse[0]:{form}} against {rmse[1]:{form}}{unit and f' {unit}'}, a difference of "
        f"{rmse[1] - rmse[0]:{form}} [{low:{form}}, {high:{form}}]{told}"
    )


def error_format(comparison: Mapping[str, Any], digits: int = DIGITS) -> str:
    """In which a comparison's errors are shown: those of all models to the same decimals."""
    models = comparison["models"].values()
    return number_format((value for each in models for value in each["rmse"].values()), digits)


def _losses(comparison: Mapping[str, Any]) -> list[str]:
    """A clause for each model that errs more on the test than baselines do, with their RMSE at the
    first lead time where that is so: a better model than another one may still be no good.
    """
    models, leads = comparison["models"], comparison["lead_times"]
    form = error_format(comparison)
    clauses = []
    for model in comparison["finalists"]:
        lost = {}
        for baseline in BASELINES:
            name = baseline_beside(baseline.name, model)
            errors = models[name]["rmse"] if name in models else {}
            where = [
                lead for lead in leads if errors and errors[str(lead)] < _rmse(models, model, lead)
            ]
            if where:
                lost[baseline.label] = where, errors[str(where[0])]
        parts = []
        for label, (where, error) in lost.items():
            at = f" at {_listed(where)} of {len(leads)} lead times" if len(leads) > 1 else ""
            own = _rmse(models, model, where[0])
            parts.append(f"{label}{at} (RMSE {error:{form}} against {own:{form}})")
        if parts:
            verb = "errs" if len(parts) == 1 else "err"
            clauses.append(f"but less than {model} {verb} {' and '.join(parts)}")
    return clauses


def _beside_baselines(comparison: Mapping[str, Any]) -> str:
    """What persistence comes to on the same hours at the first lead time, and how each model stands
    to it and to the baseline that was the strongest one on validation.
    """
    models, lead = comparison["models"], comparison["lead_times"][0]
    labels = {
        baseline_beside(each.name, model): each.label
        for model in comparison["finalists"]
        for each in BASELINES
    }
    form = error_format(comparison)
    parts = []
    for model in comparison["finalists"]:
        best = models[model]["best_baseline"][str(lead)]
        signs = significant_signs(comparison["tests"], model, best)
        beyond = {-1: "beyond luck", 0: "not beyond luck", 1: "beyond luck"}[signs[lead]]
        less = models[model]["skill_best_baseline"][str(lead)]
        own = f"{model}'s skill is {models[model]['skill'][str(lead)]:.1%}"
        if best == PERSISTENCE:
            parts.append(f"{own} ({beyond}), and no baseline was stronger on validation")
            continue
        parts.append(
            f"{own}, and its RMSE is "
            f"{abs(less):.1%} {'higher' if less < 0 else 'lower'} than that of {labels[best]}, "
            f"{_rmse(models, best, lead):{form}}, the strongest baseline on validation ({beyond})"
        )
    return (
        f"{lead_name(comparison, lead)} ahead, repeating the last value has "
        f"{_rmse(models, PERSISTENCE, lead):{form}}: {'; '.join(parts)}."
    )


def _rmse(models: Mapping[str, Any], model: str, lead: int) -> float:
    return float(models[model]["rmse"][str(lead)])


def _named(comparison: Mapping[str, Any], model: str) -> str:
    """The model with the number of its features, where it has any."""
    finalist = comparison["finalists"].get(model)
    if finalist is None:
        return model
    count = len(finalist["features"])
    return f"{model} ({count} feature{'s' if count > 1 else ''})"


def lead_name(comparison: Mapping[str, Any], lead: int) -> str:
    """3 h, or 3 steps of 15 min."""
    step = comparison["step"]
    return f"{lead} h" if step == "1 h" else f"{lead} step{'s' if lead > 1 else ''} of {step}"


def _listed(leads: Sequence[int]) -> str:
    """1 to 24, or 1, 3 to 5."""
    parts: list[list[int]] = []
    for lead in leads:
        if parts and parts[-1][-1] == lead - 1:
            parts[-1].append(lead)
        else:
            parts.append([lead])
    return ", ".join(f"{p[0]} to {p[-1]}" if len(p) > 1 else str(p[0]) for p in parts)
