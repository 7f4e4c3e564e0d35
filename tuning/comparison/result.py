"""What a comparison found, as values; `Comparison.to_json()` is comparison.json.

Fields have the names and the order of comparison.json's keys. Lead times count rows from 1, and
errors are forecast minus observation in the target's unit. Of several series, `rmse` and `mae` are
over all rows of those that are scored, and `skill` is the mean of theirs.
"""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lstm_model.data.step import lead_name
from lstm_model.evaluation.baselines import Baselines
from lstm_model.evaluation.metrics import Score
from tuning.comparison.significance import Metric
from tuning.space.search_space import Value
from tuning.study.json_record import JsonRecord
from tuning.study.trial import State

ByLeadTime = Mapping[int, float]


@dataclass(frozen=True)
class DataSource(JsonRecord):
    """Which table was read."""

    source: str
    simulated: bool
    sha256: str | None
    warning: str | None = None  # that it is another table than was asked for
    repairs: Sequence[str] = ()  # what was done to its cells
    doubts: Sequence[str] = ()  # what may be wrong with it


@dataclass(frozen=True)
class ModelScores(JsonRecord):
    """The errors of a model's mean forecast on the test hours, by lead time."""

    rmse: ByLeadTime
    mae: ByLeadTime
    skill: ByLeadTime
    seeds: int | None = None  # of a model that was trained several times
    rmse_by_seed: Mapping[int, Sequence[float]] | None = None
    mae_by_seed: Mapping[int, Sequence[float]] | None = None
    best_baseline: Mapping[int, str] | None = None  # the strongest on validation
    # 1 - RMSE / that baseline's, on the test hours; of several series of their mean ratios
    skill_best_baseline: ByLeadTime | None = None
    skill_by_seed: Mapping[int, Sequence[float]] | None = None  # of several series


@dataclass(frozen=True)
class PairedTest(JsonRecord):
    """Is model a's error another than b's? Where the difference is below 0, a errs less.

    The relative metrics are of several series: the mean of each one's error divided by that of
    persistence, so that the difference in `relative_rmse` is b's skill minus a's.

    Holm's corrections are for all tests of the same question.
    """

    a: str
    b: str
    metric: Metric
    lead_time: int
    difference: float
    ci95: tuple[float, float]  # of the bootstrap
    p_value_bootstrap: float  # on which the verdict rests
    dm_statistic: float  # of Diebold and Mariano's test
    p_value: float  # of that test
    p_value_holm: float
    p_value_bootstrap_holm: float


@dataclass(frozen=True)
class SeedScore(JsonRecord):
    """One training's best epoch on validation, and its errors there."""

    seed: int
    epoch: int
    score: Score

    def to_json(self) -> dict[str, object]:
        return {"seed": self.seed, "epoch": self.epoch, **self.score.to_json()}


@dataclass(frozen=True)
class Candidate(JsonRecord):
    """A trial that was trained again with fresh seeds; all RMSE are of validation."""

    trial: int
    study_rmse: float  # of the trial itself
    rmse: float  # of the seeds' mean forecast
    rmse_by_seed: Sequence[float]
    skill: float | None = None  # of several series, by which it was chosen


@dataclass(frozen=True)
class Finalist(JsonRecord):
    """The configuration of a study that was tested."""

    trial: int
    config: Mapping[str, Value]
    epochs: int  # of the final models' training
    features: Sequence[str]
    calendar: Sequence[str]
    validation: Score  # of the seeds' mean forecast
    by_seed: Sequence[SeedScore]
    candidates: Sequence[Candidate]  # it was chosen from them, and is the first
    baselines: Baselines  # on validation


@dataclass(frozen=True)
class Importances(JsonRecord):
    """Each hyperparameter's share of 1 in the RMSE of so many finished trials."""

    trials: int
    shares: Mapping[str, float]


@dataclass(frozen=True)
class StudyFacts(JsonRecord):
    """The study that a model comes from."""

    folder: str
    space: str
    trials: Mapping[State, int]  # counted by state
    importances: Importances | None  # None where too few trials finished


@dataclass(frozen=True)
class Breakdown(JsonRecord):
    """The models' RMSE on the test hours that belong to a group, such as month 2."""

    by: str
    lead_time: int
    group: str
    rows: int
    rmse: Mapping[str, float]


@dataclass(frozen=True)
class LargestError(JsonRecord):
    """A test hour that a model missed by much."""

    model: str
    lead_time: int
    time: str
    observed: float
    forecast: float
    error: float
    series: str | None = None  # where there are several


@dataclass(frozen=True)
class YearResult(JsonRecord):
    """The same test on another year, with models that learned from what came before it."""

    rows: Mapping[int, int]
    rmse: Mapping[str, ByLeadTime]
    tests: Sequence[PairedTest]
    skill: Mapping[str, ByLeadTime] | None = None  # of several series


@dataclass(frozen=True)
class Coverage(JsonRecord):
    """How many observations a model's prediction intervals held."""

    model: str
    claim: float  # the share of 1 that they should hold
    lead_time: int
    forecast_level: str  # that the forecasts lie in, or "all"
    rows: int
    covered: float  # the share of 1 that they held
    mean_width: float


@dataclass(frozen=True, repr=False)
class Comparison(JsonRecord):
    """Which model forecasts better, by how much, and how surely."""

    verdict: str
    data: DataSource
    target: str
    unit: str
    step: str  # between rows, such as "1 h"
    train_from: str
    validation_from: str
    folds: int
    test_from: str
    test_until: str
    lead_times: Sequence[int]
    rows: Mapping[int, int]  # that count, by lead time
    block: int  # rows of a block of the bootstrap
    models: Mapping[str, ModelScores]  # the LSTMs, persistence, the other baselines
    tests: Sequence[PairedTest]  # the first is of the question itself
    finalists: Mapping[str, Finalist]  # by LSTM
    studies: Mapping[str, StudyFacts]  # by LSTM
    settings: Mapping[str, Value]
    breakdowns: Sequence[Breakdown]
    worst: Sequence[LargestError]
    years: Mapping[str, YearResult]  # other test years
    protocol_notes: Sequence[str]  # what a reader has to know to judge the figures
    versions: Mapping[str, str]
    command: Sequence[str]
    created: str
    coverage: Sequence[Coverage]  # of all series together
    # With several series: those that the test scores, at the lead times at which it does.
    by_series: Mapping[str, Mapping[str, ModelScores]] | None = None  # by model, by series
    left_out: Sequence[str] = ()  # what was not scored, or not learned from, a sentence each
    coverage_by_series: Mapping[str, Sequence[Coverage]] | None = None  # at the outer lead times

    def to_json(self) -> dict[str, object]:
        record = super().to_json()
        if self.by_series is not None:
            record["by_series"] = {"models": record["by_series"]}
        return record

    @property
    def series(self) -> list[str]:
        """The names of those that are scored; none where the table is one series."""
        first = next(iter((self.by_series or {}).values()), {})
        return list(first)

    def series_skill(self, a: str, b: str, lead: int) -> dict[str, tuple[float, float]]:
        """a's and b's skill in each series that both are scored in at a lead time."""
        ours, theirs = ((self.by_series or {}).get(model, {}) for model in (a, b))
        return {
            name: (ours[name].skill[lead], theirs[name].skill[lead])
            for name in ours
            if name in theirs and lead in ours[name].skill
        }

    def lost_series(self, a: str, b: str, lead: int) -> list[str]:
        """The series in which a errs no less than b at a lead time, the one that it loses by most
        first.
        """
        gain = {
            name: ours - theirs for name, (ours, theirs) in self.series_skill(a, b, lead).items()
        }
        return [name for name in sorted(gain, key=lambda each: gain[each]) if not gain[name] > 0]

    @property
    def quantity(self) -> str:
        """The target with its unit: `pm2.5 (ug/m3)`."""
        return f"{self.target} ({self.unit})" if self.unit else self.target

    @property
    def outer_lead_times(self) -> list[int]:
        """The first and the last; one where they are the same."""
        return sorted({self.lead_times[0], self.lead_times[-1]})

    @property
    def main_tests(self) -> list[PairedTest]:
        """The question itself, in (of several series, relative) RMSE, at every lead time."""
        first = self.tests[0]
        question = first.a, first.b, first.metric
        return [test for test in self.tests if (test.a, test.b, test.metric) == question]

    def lead_name(self, lead: int) -> str:
        """`3 h`, or `3 steps of 15 min`."""
        return lead_name(self.step, lead)

    def __repr__(self) -> str:
        return f"Comparison({self.verdict!r})"

    def _repr_html_(self) -> str:
        """In a notebook: the verdict, and every model's RMSE at the first and last lead time, or of
        several series its skill.
        """
        import pandas as pd  # not needed by who reads facts alone

        if self.by_series is not None:
            return self._series_html()
        columns = {
            f"{self.lead_name(lead)} ahead": [scores.rmse[lead] for scores in self.models.values()]
            for lead in self.outer_lead_times
        }
        table = pd.DataFrame(columns, index=list(self.models)).sort_values(next(iter(columns)))
        heading = f"RMSE on the test hours, {self.quantity}:"
        return f"<p>{html.escape(self.verdict)}</p><p>{html.escape(heading)}</p>" + table.to_html(
            float_format="{:.4g}".format
        )

    def _series_html(self) -> str:
        import pandas as pd

        columns = {
            f"{self.lead_name(lead)} ahead": [scores.skill[lead] for scores in self.models.values()]
            for lead in self.outer_lead_times
        }
        table = pd.DataFrame(columns, index=list(self.models))
        table = table.sort_values(next(iter(columns)), ascending=False)
        heading = f"Mean skill of {len(self.series)} series on the test hours, {self.target}:"
        texts = [self.verdict, heading, *self.left_out]
        paragraphs = "".join(f"<p>{html.escape(text)}</p>" for text in texts)
        return paragraphs + table.to_html(float_format="{:.1%}".format)
