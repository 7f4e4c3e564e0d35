"""A comparison's tables, as its report and the terminal have them."""

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Literal, TypeVar

from lstm_model.figures.style import label
from lstm_model.wording import DIGITS
from tuning.comparison.result import Comparison, Coverage, PairedTest
from tuning.comparison.significance import RELATIVE, Metric
from tuning.comparison.verdict import error_format
from tuning.reporting.render import ReportTable
from tuning.reporting.series_words import RELATIVE_RMSE
from tuning.wording import format_setting

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

LEAD_TIMES_SHOWN = (1, 3, 6, 12, 24)  # and the last, where there are more than four
# What is tested, of several series the mean of each one's error by persistence's.
METRICS: Mapping[Metric, str] = {
    "rmse": "RMSE",
    "mae": "MAE",
    "relative_rmse": RELATIVE_RMSE,
    "relative_mae": "MAE / persistence's",
}
RELATIVE_FORMAT = "z.4f"


class ComparisonTables:
    """A comparison's tables: errors to the same decimals all through, so that columns align."""

    def __init__(self, comparison: Comparison, narrow: bool = False) -> None:
        """narrow: for a terminal of 80 columns, with short names and at most two lead times."""
        self.comparison = comparison
        self._error_format = error_format(comparison)
        self._difference_format = error_format(comparison, DIGITS + 1)
        self.unit = f" ({comparison.unit})" if comparison.unit else ""
        leads = comparison.lead_times
        self._several = comparison.by_series is not None
        self._over = " (all rows)" if self._several else ""  # what RMSE and MAE are of
        self._narrow = narrow and len(leads) > 1
        if self._narrow:
            self.leads: Sequence[int] = comparison.outer_lead_times
        elif len(leads) <= 4:
            self.leads = leads
        else:
            self.leads = [lead for lead in leads if lead in (*LEAD_TIMES_SHOWN, leads[-1])]
        self._ahead = [comparison.lead_name(lead) for lead in self.leads]

    def models(self) -> ReportTable:
        """With one lead time a column for each measure, with several one for each of them."""
        models, over = self.comparison.models, self._over
        measures: dict[str, tuple[Callable[[float], str], list[Mapping[int, float]]]] = {
            f"RMSE{over}{self.unit}": (self.error, [scores.rmse for scores in models.values()]),
            f"MAE{over}{self.unit}": (self.error, [scores.mae for scores in models.values()]),
            "skill": (percent, [scores.skill for scores in models.values()]),
        }
        if self._several:  # by which they are compared
            measures = {"skill": measures.pop("skill"), **measures}
        names = [self._titled(name) for name in models]
        if len(self.leads) == 1:
            columns = [
                [form(values[self.leads[0]]) for values in each] for form, each in measures.values()
            ]
            rows = list(zip(names, *columns, strict=True))
            return ReportTable(f"Test hours, {self._ahead[0]} ahead", ("model", *measures), rows)
        rows = [
            (name, measure, *map(form, [*self._at(values), fmean(values.values())]))
            for measure, (form, each) in measures.items()
            for name, values in zip(names, each, strict=True)
        ]
        mean = f"mean of all {len(self.comparison.lead_times)}"
        headings = ("model", "measure", *self._ahead, mean)
        return ReportTable("Test hours, by lead time", headings, rows, 2)

    def tests(self, title: str, tests: Sequence[PairedTest]) -> ReportTable:
        rows = [
            (
                f"{label(test.a)} minus {label(test.b)}",
                METRICS[test.metric],
                self.comparison.lead_name(test.lead_time),
                *self.with_interval(test),
                *map(_p_value, (test.p_value_bootstrap, test.p_value_bootstrap_holm)),
                format_known(test.dm_statistic, ".2f"),
                *map(_p_value, (test.p_value, test.p_value_holm)),
            )
            for test in tests
            if test.lead_time in self.leads
        ]
        unit = "" if self._several else self.unit
        numbers = (f"difference{unit}", "95% interval", "p", "Holm", "DM", "p of DM", "Holm")
        return ReportTable(title, ("models", "metric", "ahead", *numbers), rows, 3)

    def configurations(self) -> ReportTable:
        finalists = self.comparison.finalists
        facts = [
            {"trial": finalist.trial, "epochs": finalist.epochs}
            | dict(finalist.config)
            | {"features": ", ".join(finalist.features) or "none"}
            | {"calendar": ", ".join(finalist.calendar) or "none"}
            for finalist in finalists.values()
        ]
        names = dict.fromkeys(name for each in facts for name in each)
        rows = [(name, *(format_setting(each.get(name, "-")) for each in facts)) for name in names]
        headings = ("", *map(label, finalists))
        return ReportTable("Configurations", headings, rows, len(headings))

    def validation(self) -> ReportTable:
        rows: list[tuple[str, ...]] = []
        for name, finalist in self.comparison.finalists.items():
            seeds, mean = finalist.by_seed, finalist.validation
            rmse, mae = [seed.score.rmse for seed in seeds], [seed.score.mae for seed in seeds]
            lines = [(f"seed {seed.seed}", str(seed.epoch)) for seed in seeds]
            lines += [(f"{which} of the seeds", "") for which in ("mean", "lowest", "highest")]
            lines.append(("their mean forecast", ""))
            rmse += [fmean(rmse), min(rmse), max(rmse), mean.rmse]
            mae += [fmean(mae), min(mae), max(mae), mean.mae]
            skills = [""] * (len(lines) - 1) + [percent(mean.skill)]
            if self._several:  # by which the finalist was chosen
                skill = [seed.score.skill for seed in seeds]
                every = [*skill, fmean(skill), min(skill), max(skill), mean.skill]
                skills = list(map(percent, every))
            for line, *errors, own in zip(lines, rmse, mae, skills, strict=True):
                rows.append((label(name), *line, *map(self.error, errors), own))
        over = ", mean of all lead times" if len(self.leads) > 1 else ""
        headings = ("model", "trained with", "epoch", f"RMSE{self.unit}", f"MAE{self.unit}")
        return ReportTable(f"Validation{over}", (*headings, "skill"), rows, 2)

    def test_by_seed(self) -> ReportTable:
        title, form = f"Test hours: RMSE{self.unit} by seed", self.error
        if self._several:
            title, form = "Test hours: skill by seed", percent
        rows = []
        for name, scores in self.comparison.models.items():
            mean, by_seed = scores.rmse, scores.rmse_by_seed
            if self._several:
                mean, by_seed = scores.skill, scores.skill_by_seed
            if not by_seed:
                continue
            for ahead, value, seeds in zip(
                self._ahead, self._at(mean), self._at(by_seed), strict=True
            ):
                figures = (value, fmean(seeds), min(seeds), max(seeds))
                rows.append((label(name), ahead, *map(form, figures)))
        numbers = ("mean forecast", "mean of the seeds", "lowest", "highest")
        return ReportTable(title, ("model", "ahead", *numbers), rows, 2)

    def coverage(self) -> ReportTable:
        """Of all forecasts of a lead time; of every lead time, since it claims to hold at each."""
        coverage = [each for each in self.comparison.coverage if each.forecast_level == "all"]
        return self._covered("By lead time", coverage, "ahead")

    def coverage_by_level(self) -> Iterator[ReportTable]:
        coverage = [each for each in self.comparison.coverage if each.forecast_level != "all"]
        for lead, group in _grouped(coverage, lambda each: each.lead_time).items():
            ahead = self.comparison.lead_name(lead)
            title = f"By the forecast's level{self.unit}, {ahead} ahead"
            yield self._covered(title, group, "level")

    def _covered(
        self, title: str, coverage: Sequence[Coverage], by: Literal["ahead", "level"]
    ) -> ReportTable:
        """A row for each model and group, with the share and the width that each claim had."""
        claims = list(dict.fromkeys(each.claim for each in coverage))
        rows: list[tuple[str, ...]] = []
        groups = _grouped(coverage, lambda each: (each.model, each.lead_time, each.forecast_level))
        for (model, lead, level), group in groups.items():
            cells = [label(model), self.comparison.lead_name(lead) if by == "ahead" else level]
            cells.append(f"{group[0].rows:,}")
            for each in sorted(group, key=lambda each: claims.index(each.claim)):
                cells += [format_known(each.covered, ".1%"), self.error(each.mean_width)]
            rows.append(tuple(cells))
        numbers = [name for c in claims for name in (f"in {c:.0%}", f"mean width{self.unit}")]
        return ReportTable(title, ("model", by, "rows", *numbers), rows, 2)

    def breakdowns(self) -> Iterator[ReportTable]:
        groups = _grouped(self.comparison.breakdowns, lambda each: (each.by, each.lead_time))
        for (by, lead), group in groups.items():
            models = list(group[0].rmse)
            rows = [
                (each.group, f"{each.rows:,}", *(self.error(each.rmse[name]) for name in models))
                for each in group
            ]
            title = f"RMSE{self._over}{self.unit} by {by}, {self.comparison.lead_name(lead)} ahead"
            yield ReportTable(title, (by, "rows", *map(label, models)), rows)

    def largest_errors(self) -> Iterator[ReportTable]:
        groups = _grouped(self.comparison.worst, lambda each: (each.model, each.lead_time))
        for (model, lead), group in groups.items():
            rows: list[tuple[str, ...]] = [
                (each.time, *map(self.error, (each.observed, each.forecast, each.error)))
                for each in group
            ]
            title = f"{label(model)}, {self.comparison.lead_name(lead)} ahead"
            headings: tuple[str, ...] = ("time", f"observed{self.unit}", "forecast", "error")
            if self._several:
                headings = ("series", *headings)
                rows = [(each.series or "", *row) for each, row in zip(group, rows, strict=True)]
            yield ReportTable(title, headings, rows, 1 + self._several)

    def years(self) -> ReportTable:
        rows: list[tuple[str, ...]] = []
        for year, result in self.comparison.years.items():
            rows.append((year, "rows scored", *(f"{n:,}" for n in self._at(result.rows))))
            for name, skill in (result.skill or {}).items():
                rows.append((year, f"{label(name)}: skill", *map(percent, self._at(skill))))
            for name, errors in result.rmse.items():
                which = f"{label(name)}: RMSE" if self._several else label(name)
                rows.append((year, which, *map(self.error, self._at(errors))))
        headings = ("year", "model", *(f"{ahead} ahead" for ahead in self._ahead))
        title = f"RMSE{self._over}{self.unit}"
        return ReportTable(f"Skill, and {title}" if self._several else title, headings, rows, 2)

    def protocol(self) -> ReportTable:
        comparison, data = self.comparison, self.comparison.data
        counts = zip(self._ahead, self._at(comparison.rows), strict=True)
        facts = {
            "forecast": f"{comparison.quantity}, one row every {comparison.step}",
            "data": f"{data.source}, SHA-256 {data.sha256 or 'not known'}",
            **({"cells": "; ".join(data.repairs)} if data.repairs else {}),
            "training": f"from {comparison.train_from} until validation begins",
            "validation": f"from {comparison.validation_from}, folds: {comparison.folds}",
            "test": f"from {comparison.test_from} to {comparison.test_until}",
            **({"series scored": f"{len(comparison.series):,}"} if self._several else {}),
            "rows scored": ", ".join(f"{count:,} at {ahead}" for ahead, count in counts),
            "settings": _listed(comparison.settings),
        }
        for name, study in comparison.studies.items():
            states = {state.replace("_", " "): count for state, count in study.trials.items()}
            facts[f"trials of {label(name)}"] = f"{_listed(states)}, in {study.folder}"
        facts |= {"versions": _listed(comparison.versions), "created": comparison.created}
        return ReportTable("", ("what", "value"), list(facts.items()), 2)

    def _titled(self, name: str) -> str:
        seeds = None if self._narrow else self.comparison.models[name].seeds
        return f"{label(name)} (LSTM, mean of {seeds} seeds)" if seeds else label(name)

    def _at(self, by_lead_time: Mapping[int, T]) -> list[T]:
        return [by_lead_time[lead] for lead in self.leads]

    def error(self, value: float) -> str:
        return format_known(value, self._error_format)

    def with_interval(self, test: PairedTest) -> tuple[str, str]:
        form = RELATIVE_FORMAT if test.metric in RELATIVE else self._difference_format
        low, high = (format_known(end, form) for end in test.ci95)
        return format_known(test.difference, form), f"{low} to {high}"


def format_known(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "-"


def percent(value: float) -> str:
    return format_known(value, "z.1%")


def _p_value(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else format_known(value, ".4f")


def _listed(facts: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def _grouped(values: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """In the order in which the groups come first."""
    groups: dict[K, list[T]] = {}
    for value in values:
        groups.setdefault(key(value), []).append(value)
    return groups
