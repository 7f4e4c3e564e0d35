"""A comparison's scores by series, as tables and figures read them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Literal, Self

import numpy as np

from lstm_model.arrays import Float64Array
from lstm_model.evaluation.baselines import PERSISTENCE
from lstm_model.figures.style import label
from tuning.comparison.paired_tests import own_models_name
from tuning.comparison.result import Comparison, Coverage, ModelScores
from tuning.reporting.comparison_tables import ComparisonTables, format_known, percent
from tuning.reporting.render import ReportTable
from tuning.reporting.series_words import (
    FROM_EACH_END,
    rank_series,
    rows_by_rank,
)
from tuning.wording import list_names


@dataclass(frozen=True)
class ScoresBySeries:
    """The scores of several series on the test hours.

    Attributes:
        scores: by model, by series.
        shown: the models that there is room for: those of the studies, the same trained on each
            series alone, and the strongest baselines on validation.
    """

    scores: Mapping[str, Mapping[str, ModelScores]]
    shown: tuple[str, ...]

    @classmethod
    def of(cls, comparison: Comparison) -> Self | None:
        """None of one series."""
        if not (scores := comparison.by_series):
            return None
        models = list(comparison.finalists)
        first = comparison.tests[0].a  # of the question itself
        models.sort(key=lambda model: model != first)
        shown = [*models, *map(own_models_name, models)]
        for model in models:
            shown += (comparison.models[model].best_baseline or {}).values()
        return cls(
            scores,
            tuple(name for name in dict.fromkeys(shown) if name in scores and name != PERSISTENCE),
        )

    @cached_property
    def ranked(self) -> list[str]:
        """The series by the first model's skill, the best first."""
        first = self.shown[0]
        return rank_series({name: self.mean("skill", first, name) for name in self.scores[first]})

    def mean(self, metric: Literal["rmse", "mae", "skill"], model: str, series: str) -> float:
        """Over the lead times at which the series is scored; NaN where it is at none."""
        scores = self.scores[model].get(series)
        values = getattr(scores, metric).values() if scores else ()
        return fmean(values) if values else float("nan")

    def skill(self, model: str) -> Float64Array:
        """(N,) of the ranked series."""
        return np.array([self.mean("skill", model, name) for name in self.ranked])


class SeriesTables:
    """A comparison's tables of its series."""

    def __init__(self, tables: ComparisonTables) -> None:
        self._tables, self._comparison = tables, tables.comparison

    def all(self) -> Iterator[ReportTable]:
        """Where which model is better, and every series' skill; nothing of one series."""
        if not (by_series := ScoresBySeries.of(self._comparison)):
            return
        yield self._better()
        yield self._by_series(by_series)
        if self._comparison.coverage_by_series:
            yield self._covered_by_series(by_series, self._comparison.coverage_by_series)

    def _better(self) -> ReportTable:
        """Each pair of models that is tested: in how many series the first errs less."""
        rows = []
        for test in self._comparison.tests:
            if test.metric != "relative_rmse" or test.lead_time not in self._tables.leads:
                continue
            pair = test.a, test.b, test.lead_time
            lost = self._comparison.lost_series(*pair)
            count = len(self._comparison.series_skill(*pair))
            rows.append(
                (
                    f"{label(test.a)} against {label(test.b)}",
                    self._comparison.lead_name(test.lead_time),
                    list_names(lost) if lost else "none",
                    f"{count - len(lost)} of {count}",
                    *self._tables.with_interval(test),
                )
            )
        headings = ("models", "ahead", "no better in", "better in", "difference", "95% interval")
        return ReportTable("In how many series the first is better", headings, rows, 3)

    def _by_series(self, by_series: ScoresBySeries) -> ReportTable:
        """A row a series, the one with the most skill first."""
        shown = by_series.shown
        rows: list[tuple[str, ...]] = []
        for row in rows_by_rank(by_series.ranked):
            if row is None:
                rows.append(("...", *("" for _ in range(len(shown) + 3))))
                continue
            rank, name = row
            skill = [percent(by_series.mean("skill", model, name)) for model in shown]
            errors = [
                self._tables.error(by_series.mean("rmse", model, name))
                for model in (shown[0], PERSISTENCE)
            ]
            rows.append((name, str(rank), *skill, *errors))
        count = len(by_series.ranked)
        title = "The series by skill"
        if any(row[0] == "..." for row in rows):
            title += f": the best and the worst {FROM_EACH_END} of {count:,}"
        headings = (
            *("series", "rank", *(f"skill of {label(model)}" for model in shown)),
            *(f"RMSE{self._tables.unit} of {label(model)}" for model in (shown[0], PERSISTENCE)),
        )
        return ReportTable(title, headings, rows)

    def _covered_by_series(
        self, by_series: ScoresBySeries, coverage: Mapping[str, Sequence[Coverage]]
    ) -> ReportTable:
        """How many observations the first model's intervals held in each series."""
        model, lead = by_series.shown[0], self._comparison.lead_times[0]
        claims = list(dict.fromkeys(each.claim for each in self._comparison.coverage))
        rows: list[tuple[str, ...]] = []
        for row in rows_by_rank([name for name in by_series.ranked if name in coverage]):
            if row is None:
                rows.append(("...", *("" for _ in range(len(claims) + 1))))
                continue
            group = [
                each
                for each in coverage[row[1]]
                if (each.model, each.lead_time, each.forecast_level) == (model, lead, "all")
            ]
            held = {each.claim: each.covered for each in group}
            shares = [format_known(held.get(claim, math.nan), ".1%") for claim in claims]
            rows.append((row[1], f"{group[0].rows:,}" if group else "-", *shares))
        ahead = self._comparison.lead_name(lead)
        title = f"Held by the intervals of {label(model)}, {ahead} ahead, in the same order"
        return ReportTable(title, ("series", "rows", *(f"in {c:.0%}" for c in claims)), rows)
