"""A study's outcome so far: summary.json and trials.csv, which are derived from the records."""

import csv
import io
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lstm_model.files import write_file
from tuning.space.search_space import SearchSpace, Value
from tuning.study.json_record import JsonRecord
from tuning.study.storage import StoragePath, to_json_bytes
from tuning.study.trial import Trial
from tuning.study.view import Outcome, StudyView

# Derived files are rewritten whole: at most this often while trials run, and less often where
# there are so many trials that it would take more than this share of the time.
DERIVE_SECONDS = 1.0
DERIVE_SHARE = 0.02


def next_rewrite(begun: float, seconds: float) -> float:
    """When to rewrite a derived file again whose last rewriting began then and is just done.

    Args:
        begun: by time.monotonic().
        seconds: at least so long after it.
    """
    return begun + max(seconds, (time.monotonic() - begun) / DERIVE_SHARE)


@dataclass(frozen=True)
class DataSummary(JsonRecord):
    """Which data a study reads, as summary.json and study.json have it.

    Attributes:
        rows: of the whole table, the test's too.
        repairs, doubts, warning: what was done to the table, and what may be wrong with it.
        series: how many, where there are several.
        left_out: those that training does not learn from or validation does not score, and why.
    """

    source: str
    simulated: bool
    sha256: str
    features: tuple[str, ...]
    input_channels: int
    rows: int
    repairs: tuple[Mapping[str, object], ...] = ()
    doubts: tuple[str, ...] = ()
    warning: str | None = None
    series: int | None = None
    left_out: tuple[Mapping[str, str], ...] | None = None


def summarize_data(study: StudyView) -> DataSummary:
    table = study.dataset
    return DataSummary(
        source=table.source,
        simulated=table.simulated,
        sha256=table.sha256,
        features=tuple(study.space.data.features),
        input_channels=len(study.table.channels),
        rows=len(table.frame),
        repairs=tuple(repair.to_json() for repair in table.repairs),
        doubts=tuple(table.doubts),
        warning=table.warning or None,
        **_summarize_series(study),
    )


def _summarize_series(study: StudyView) -> dict[str, Any]:
    """Nothing of one series, whose records are what they were before there were several."""
    count, left_out = len(study.dataset.index), study.table.left_out
    if count == 1:
        return {}
    return {"series": count, "left_out": tuple(asdict(each) for each in left_out)}


@dataclass(frozen=True)
class BestSummary(JsonRecord):
    """The best trial: its epoch, and the validation errors of the model in best/ beside those of
    the baselines (`persistence_rmse` and so on).
    """

    trial: int
    config: Mapping[str, Value]
    epoch: int
    validation: dict[str, object]


@dataclass(frozen=True)
class StudySummary(JsonRecord):
    """The outcome so far, as summary.json has it.

    Attributes:
        trials: how many by state.
        baselines: validation RMSE of each, as `<name>_rmse`.
        wall_seconds: from the command's start.
        trial_seconds: that trials spent in training and evaluation, added up.
    """

    study: str
    state: Outcome
    space: str
    data: DataSummary
    trials: dict[str, int]
    best: BestSummary | None
    baselines: dict[str, object]
    wall_seconds: float
    trial_seconds: float
    disk_bytes: int


def summarize_study(study: StudyView) -> StudySummary:
    counts = study.counts
    return StudySummary(
        study=study.name,
        state=study.outcome,
        space=study.space.name,
        data=summarize_data(study),
        trials={state: counts[state] for state in ("finished", "stopped_early", "failed")}
        | {state: counts[state] for state in ("running", "interrupted") if counts[state]},
        best=_summarize_best(study),
        baselines=study.baselines.to_json(),
        wall_seconds=round(study.wall_seconds, 3),
        trial_seconds=round(sum(trial.seconds for trial in study.trials.values()), 3),
        disk_bytes=study.disk_bytes,
    )


def _summarize_best(study: StudyView) -> BestSummary | None:
    score, baselines = study.best_score, study.baselines
    if study.best_trial is None or score is None:
        return None
    validation: dict[str, object] = {
        "rmse": score["rmse"],
        "mae": score["mae"],
        "skill": score["skill"],
    }
    if "by_lead_time" in score:
        validation["by_lead_time"] = score["by_lead_time"] | {
            f"{name}_rmse": baseline.by_lead_time()["rmse"]
            for name, baseline in baselines.scores.items()
        }
    if "by_series" in score:
        validation["by_series"] = score["by_series"]
    validation["skill_best_baseline"] = baselines.skill_beyond(score)
    return BestSummary(
        study.best_trial.id,
        study.best_trial.config,
        score["epoch"],
        validation | baselines.to_json(),
    )


class DerivedFiles:
    """Rewrites summary.json and trials.csv as trials end."""

    def __init__(self, folder: StoragePath) -> None:
        self._folder = folder
        self._due = 0.0

    def rewrite(self, study: StudyView) -> None:
        begun = time.monotonic()
        summary = summarize_study(study).to_json()
        write_file(self._folder / "summary.json", to_json_bytes(summary))
        write_file(self._folder / "trials.csv", trials_csv(study.trials, study.space))
        self._due = next_rewrite(begun, DERIVE_SECONDS)

    def rewrite_if_due(self, study: StudyView) -> None:
        """Unless that was done a moment ago."""
        if time.monotonic() >= self._due:
            self.rewrite(study)


def trials_csv(trials: Mapping[int, Trial], space: SearchSpace) -> bytes:
    """A row a trial, a column a hyperparameter; empty where there is none in the trial."""
    names = [*space.search, *space.fixed]
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(
        ["id", "state", "epochs", "seconds", "rmse", "mae", "skill", "best_epoch", *names, "reason"]
    )
    for _, trial in sorted(trials.items()):
        best = trial.best
        metrics = [best["rmse"], best["mae"], best["skill"], best["epoch"]] if best else [""] * 4
        values = [trial.config.get(name, "") for name in names]
        table.writerow(
            [trial.id, trial.state, trial.epochs, round(trial.seconds, 3), *metrics, *values]
            + [trial.reason or ""]
        )
    return out.getvalue().encode()
