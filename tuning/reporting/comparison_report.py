"""Which tables, figures and sentences a comparison's report has, and in which order."""

import math
import shlex
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Literal, TypeVar

from lstm_model.figures.style import label
from lstm_model.wording import DIGITS
from tuning.comparison.result import Comparison, Coverage, PairedTest
from tuning.comparison.verdict import error_format
from tuning.reporting.render import Block, ReportFigure, ReportTable, Text, to_markdown
from tuning.wording import format_setting

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

LEAD_TIMES_SHOWN = (1, 3, 6, 12, 24)  # and the last, where there are more than four
SIMULATED = (
    "SIMULATED DATA: every number and figure below comes of made-up data and says nothing about "
    "real air."
)
TESTS = (
    "Where a difference is below zero, the first model errs less. The interval and the first p "
    "come of a bootstrap, DM is the test of Diebold and Mariano; each Holm is the p before it, "
    "corrected for all lead times of the same pair and metric; those of the seasons and of the "
    "mean of training for each other as well."
)
COVERAGE = (
    "The intervals were calibrated on validation, to hold 80% and 95% of the observations. Here is "
    "how many of the test's they held, and how wide they were on average. A level is the "
    "forecast's own, all that is known in advance; where it has few rows, its share says little."
)


def report_blocks(
    title: str, comparison: Comparison, figures: Sequence[ReportFigure]
) -> list[Block]:
    """The whole report, from the verdict to the protocol."""
    tables, data = ComparisonTables(comparison), comparison.data
    blocks: list[Block] = [Text("h1", title), Text("p", comparison.verdict)]
    if data.simulated:
        blocks.append(Text("aside", SIMULATED))
    if data.warning:
        blocks.append(Text("aside", f"Warning: {data.warning}"))
    blocks += [Text("aside", f"Look at the table: {doubt}") for doubt in data.doubts]
    blocks += [Text("h2", "The models beside the baselines"), tables.models()]
    blocks += [Text("h2", "Are the differences more than luck?"), Text("p", TESTS)]
    blocks.append(tables.tests("Test hours", comparison.tests))
    blocks += [Text("h2", "The finalists"), tables.configurations()]
    blocks += [tables.validation(), tables.test_by_seed()]
    if comparison.coverage:
        blocks += [Text("h2", "Did the prediction intervals hold?"), Text("p", COVERAGE)]
        blocks += [tables.coverage(), *tables.coverage_by_level()]
    if figures:
        blocks += [Text("h2", "Figures"), *figures]
    if comparison.breakdowns:
        blocks += [Text("h2", "Where the errors are"), *tables.breakdowns()]
    if comparison.worst:
        blocks += [Text("h2", "The worst misses"), *tables.largest_errors()]
    if comparison.years:
        blocks += [Text("h2", "Other test years"), tables.years()]
        for year, result in comparison.years.items():
            blocks.append(tables.tests(f"Test hours of {year}", result.tests))
    blocks += [Text("h2", "Protocol"), *(Text("p", note) for note in comparison.protocol_notes)]
    return blocks + [tables.protocol(), Text("pre", shlex.join(comparison.command))]


def summary_markdown(comparison: Comparison) -> str:
    """The verdict, the errors, the tests and the finalists, as Markdown."""
    tables = ComparisonTables(comparison)
    blocks: list[Block] = [Text("p", comparison.verdict)]
    if comparison.data.simulated:
        blocks.append(Text("aside", SIMULATED))
    blocks += [tables.models(), tables.tests("Test hours", comparison.tests), Text("p", TESTS)]
    return to_markdown([*blocks, tables.configurations()])


class ComparisonTables:
    """A comparison's tables: errors to the same decimals all through, so that columns align."""

    def __init__(self, comparison: Comparison, narrow: bool = False) -> None:
        """narrow: for a terminal of 80 columns, with short names and at most two lead times."""
        self._comparison = comparison
        self._error_format = error_format(comparison)
        self._difference_format = error_format(comparison, DIGITS + 1)
        self._unit = f" ({comparison.unit})" if comparison.unit else ""
        leads = comparison.lead_times
        self._narrow = narrow and len(leads) > 1
        if self._narrow:
            self._leads: Sequence[int] = comparison.outer_lead_times
        elif len(leads) <= 4:
            self._leads = leads
        else:
            self._leads = [lead for lead in leads if lead in (*LEAD_TIMES_SHOWN, leads[-1])]
        self._ahead = [comparison.lead_name(lead) for lead in self._leads]

    def models(self) -> ReportTable:
        """With one lead time a column for each measure, with several one for each of them."""
        models = self._comparison.models
        measures: dict[str, tuple[Callable[[float], str], list[Mapping[int, float]]]] = {
            f"RMSE{self._unit}": (self._error, [scores.rmse for scores in models.values()]),
            f"MAE{self._unit}": (self._error, [scores.mae for scores in models.values()]),
            "skill": (_percent, [scores.skill for scores in models.values()]),
        }
        names = [self._titled(name) for name in models]
        if len(self._leads) == 1:
            columns = [
                [form(values[self._leads[0]]) for values in each]
                for form, each in measures.values()
            ]
            rows = list(zip(names, *columns, strict=True))
            return ReportTable(f"Test hours, {self._ahead[0]} ahead", ("model", *measures), rows)
        rows = [
            (name, measure, *map(form, [*self._at(values), fmean(values.values())]))
            for measure, (form, each) in measures.items()
            for name, values in zip(names, each, strict=True)
        ]
        mean = f"mean of all {len(self._comparison.lead_times)}"
        headings = ("model", "measure", *self._ahead, mean)
        return ReportTable("Test hours, by lead time", headings, rows, 2)

    def tests(self, title: str, tests: Sequence[PairedTest]) -> ReportTable:
        rows = [
            (
                f"{label(test.a)} minus {label(test.b)}",
                test.metric.upper(),
                self._comparison.lead_name(test.lead_time),
                self._difference(test.difference),
                " to ".join(map(self._difference, test.ci95)),
                *map(_p_value, (test.p_value_bootstrap, test.p_value_bootstrap_holm)),
                _format(test.dm_statistic, ".2f"),
                *map(_p_value, (test.p_value, test.p_value_holm)),
            )
            for test in tests
            if test.lead_time in self._leads
        ]
        numbers = (f"difference{self._unit}", "95% interval", "p", "Holm", "DM", "p of DM", "Holm")
        return ReportTable(title, ("models", "metric", "ahead", *numbers), rows, 3)

    def configurations(self) -> ReportTable:
        finalists = self._comparison.finalists
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
        for name, finalist in self._comparison.finalists.items():
            seeds, mean = finalist.by_seed, finalist.validation
            rmse, mae = [seed.score.rmse for seed in seeds], [seed.score.mae for seed in seeds]
            lines = [(f"seed {seed.seed}", str(seed.epoch)) for seed in seeds]
            lines += [(f"{which} of the seeds", "") for which in ("mean", "lowest", "highest")]
            lines.append(("their mean forecast", ""))
            rmse += [fmean(rmse), min(rmse), max(rmse), mean.rmse]
            mae += [fmean(mae), min(mae), max(mae), mean.mae]
            skills = [""] * (len(lines) - 1) + [_percent(mean.skill)]
            for line, *errors, skill in zip(lines, rmse, mae, skills, strict=True):
                rows.append((label(name), *line, *map(self._error, errors), skill))
        over = ", mean of all lead times" if len(self._leads) > 1 else ""
        headings = ("model", "trained with", "epoch", f"RMSE{self._unit}", f"MAE{self._unit}")
        return ReportTable(f"Validation{over}", (*headings, "skill"), rows, 2)

    def test_by_seed(self) -> ReportTable:
        rows = [
            (label(name), ahead, *map(self._error, (mean, fmean(seeds), min(seeds), max(seeds))))
            for name, scores in self._comparison.models.items()
            if scores.rmse_by_seed
            for ahead, mean, seeds in zip(
                self._ahead, self._at(scores.rmse), self._at(scores.rmse_by_seed), strict=True
            )
        ]
        numbers = ("mean forecast", "mean of the seeds", "lowest", "highest")
        title = f"Test hours: RMSE{self._unit} by seed"
        return ReportTable(title, ("model", "ahead", *numbers), rows, 2)

    def coverage(self) -> ReportTable:
        """Of all forecasts of a lead time; of every lead time, since it claims to hold at each."""
        coverage = [each for each in self._comparison.coverage if each.forecast_level == "all"]
        return self._covered("By lead time", coverage, "ahead")

    def coverage_by_level(self) -> Iterator[ReportTable]:
        coverage = [each for each in self._comparison.coverage if each.forecast_level != "all"]
        for lead, group in _grouped(coverage, lambda each: each.lead_time).items():
            ahead = self._comparison.lead_name(lead)
            title = f"By the forecast's level{self._unit}, {ahead} ahead"
            yield self._covered(title, group, "level")

    def _covered(
        self, title: str, coverage: Sequence[Coverage], by: Literal["ahead", "level"]
    ) -> ReportTable:
        """A row for each model and group, with the share and the width that each claim had."""
        claims = list(dict.fromkeys(each.claim for each in coverage))
        rows: list[tuple[str, ...]] = []
        groups = _grouped(coverage, lambda each: (each.model, each.lead_time, each.forecast_level))
        for (model, lead, level), group in groups.items():
            cells = [label(model), self._comparison.lead_name(lead) if by == "ahead" else level]
            cells.append(f"{group[0].rows:,}")
            for each in sorted(group, key=lambda each: claims.index(each.claim)):
                cells += [_format(each.covered, ".1%"), self._error(each.mean_width)]
            rows.append(tuple(cells))
        numbers = [name for c in claims for name in (f"in {c:.0%}", f"mean width{self._unit}")]
        return ReportTable(title, ("model", by, "rows", *numbers), rows, 2)

    def breakdowns(self) -> Iterator[ReportTable]:
        groups = _grouped(self._comparison.breakdowns, lambda each: (each.by, each.lead_time))
        for (by, lead), group in groups.items():
            models = list(group[0].rmse)
            rows = [
                (each.group, f"{each.rows:,}", *(self._error(each.rmse[name]) for name in models))
                for each in group
            ]
            title = f"RMSE{self._unit} by {by}, {self._comparison.lead_name(lead)} ahead"
            yield ReportTable(title, (by, "rows", *map(label, models)), rows)

    def largest_errors(self) -> Iterator[ReportTable]:
        groups = _grouped(self._comparison.worst, lambda each: (each.model, each.lead_time))
        for (model, lead), group in groups.items():
            rows = [
                (each.time, *map(self._error, (each.observed, each.forecast, each.error)))
                for each in group
            ]
            title = f"{label(model)}, {self._comparison.lead_name(lead)} ahead"
            headings = ("time", f"observed{self._unit}", "forecast", "error")
            yield ReportTable(title, headings, rows)

    def years(self) -> ReportTable:
        rows: list[tuple[str, ...]] = []
        for year, result in self._comparison.years.items():
            rows.append((year, "rows scored", *(f"{n:,}" for n in self._at(result.rows))))
            for name, errors in result.rmse.items():
                rows.append((year, label(name), *map(self._error, self._at(errors))))
        headings = ("year", "model", *(f"{ahead} ahead" for ahead in self._ahead))
        return ReportTable(f"RMSE{self._unit}", headings, rows, 2)

    def protocol(self) -> ReportTable:
        comparison, data = self._comparison, self._comparison.data
        counts = zip(self._ahead, self._at(comparison.rows), strict=True)
        facts = {
            "forecast": f"{comparison.quantity}, one row every {comparison.step}",
            "data": f"{data.source}, SHA-256 {data.sha256 or 'not known'}",
            **({"cells": "; ".join(data.repairs)} if data.repairs else {}),
            "training": f"from {comparison.train_from} until validation begins",
            "validation": f"from {comparison.validation_from}, folds: {comparison.folds}",
            "test": f"from {comparison.test_from} to {comparison.test_until}",
            "rows scored": ", ".join(f"{count:,} at {ahead}" for ahead, count in counts),
            "settings": _listed(comparison.settings),
        }
        for name, study in comparison.studies.items():
            states = {state.replace("_", " "): count for state, count in study.trials.items()}
            facts[f"trials of {label(name)}"] = f"{_listed(states)}, in {study.folder}"
        facts |= {"versions": _listed(comparison.versions), "created": comparison.created}
        return ReportTable("", ("what", "value"), list(facts.items()), 2)

    def _titled(self, name: str) -> str:
        seeds = None if self._narrow else self._comparison.models[name].seeds
        return f"{label(name)} (LSTM, mean of {seeds} seeds)" if seeds else label(name)

    def _at(self, by_lead_time: Mapping[int, T]) -> list[T]:
        return [by_lead_time[lead] for lead in self._leads]

    def _error(self, value: float) -> str:
        return _format(value, self._error_format)

    def _difference(self, value: float) -> str:
        return _format(value, self._difference_format)


def _format(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "-"


def _percent(value: float) -> str:
    return _format(value, "z.1%")


def _p_value(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else _format(value, ".4f")


def _listed(facts: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def _grouped(values: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """In the order in which the groups come first."""
    groups: dict[K, list[T]] = {}
    for value in values:
        groups.setdefault(key(value), []).append(value)
    return groups
