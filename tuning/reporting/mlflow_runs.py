"""A study as MLflow runs: one for the study, and one nested in it for each trial.

The server is asked what it has, and gets what it lacks. So a study that goes on, a server that was
away for a while, and a study that ran without one are the same case, and nothing is sent twice.
"""

import getpass
import re
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lstm_model import __version__
from lstm_model.files import read_bytes, read_json
from tuning.reporting.series_words import has_several
from tuning.space.search_space import SearchSpace
from tuning.study.manifest import MANIFEST
from tuning.study.resume import collect_settings
from tuning.study.storage import StoragePath, map_files
from tuning.study.summary import summarize_study
from tuning.study.trial import BestScore, Trial
from tuning.study.view import StudyView

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Which study a run is of, wherever its folder lies by now; and which trial a nested run is.
STUDY_TAG, TRIAL_TAG, PARENT_TAG = "lstm_tuning.study", "lstm_tuning.trial", "mlflow.parentRunId"
STATUS = {
    "running": "RUNNING",
    "finished": "FINISHED",
    "stopped_early": "FINISHED",
    "failed": "FAILED",
    "interrupted": "KILLED",
}
EPOCHS_AT_ONCE = 100  # 700 metrics: MLflow takes 1,000 in one request
LONGEST = 5000  # characters: MLflow takes 6,000 of a parameter
MOST_SERIES = 50  # that have a metric each
REFUSED = r"[^\w -]"  # in the name of a series' metric; a slash or a point would make it a path


@dataclass
class _Run:
    """What the server has of a run.

    Attributes:
        steps: a trial's epochs, a study's ended trials.
        has_best: the best errors of a trial that has ended.
    """

    id: str
    status: str = "RUNNING"
    steps: int = 0
    has_params: bool = False
    has_best: bool = False


class StudyRuns:
    """The runs of one study. Every method but forget() raises what MLflow does."""

    def __init__(self, study: StudyView, experiment: str) -> None:
        manifest = read_json(study.folder / MANIFEST)
        self._key = f"{manifest['study']} {manifest.get('created')}"
        self._commit = manifest.get("commit")
        self._experiment = experiment
        self._runs: dict[int, _Run] | None = None

    def forget(self) -> None:
        """Let the server be asked anew what it has."""
        self._runs = None

    def look(self, client: "MlflowClient", study: StudyView) -> bool:
        """Ask the server what it has, unless that is known; True where it had no such study."""
        if self._runs is not None:
            return False
        self._client = client
        known = client.get_experiment_by_name(self._experiment)
        self._id = known.experiment_id if known else client.create_experiment(self._experiment)
        known = self._find(STUDY_TAG, self._key, "ended_trials")
        if is_new := not known:
            about = {"folder": study.folder, "mlflow.source.git.commit": self._commit}
            self._run = self._begin(study.name, {STUDY_TAG: self._key, **about})
        else:
            self._run = next(iter(known.values()))
            client.set_tag(self._run.id, "folder", str(study.folder))  # which may have moved
        self._runs = self._find(PARENT_TAG, self._run.id, "epoch")
        return is_new

    def _find(self, tag: str, value: str, steps: str) -> dict[int, _Run]:
        """The runs with this tag, by trial; steps: the metric that counts them."""
        runs, token = {}, None
        while True:
            page = self._client.search_runs(
                [self._id], f"tags.`{tag}` = '{value}'", page_token=token
            )
            for run in page:
                metrics, info = run.data.metrics, run.info
                runs[int(run.data.tags.get(TRIAL_TAG, -1))] = _Run(
                    id=info.run_id,
                    status=info.status,
                    steps=int(metrics.get(steps, 0)),
                    has_params=bool(run.data.params),
                    has_best="best_rmse" in metrics,
                )
            if not (token := page.token):
                return runs

    def _begin(self, name: str, tags: Mapping[str, object]) -> _Run:
        tags = {"mlflow.source.name": "lstm-tuning", "lstm_tuning.version": __version__, **tags}
        with suppress(KeyError, OSError):  # in a container there may be no such user
            tags = {**tags, "mlflow.user": getpass.getuser()}
        tags = {**tags, "state": "running"}
        run = self._client.create_run(self._id, tags=dict(_texts(tags)), run_name=name)
        return _Run(run.info.run_id)

    def send_trial(self, trial: Trial) -> None:
        # The state first: once it says that the trial has ended, the history is whole.
        state, history = trial.state, list(trial.history)
        assert self._runs is not None
        if trial.id not in self._runs:
            tags = {PARENT_TAG: self._run.id, TRIAL_TAG: str(trial.id)}
            self._runs[trial.id] = self._begin(f"trial {trial.id}", tags)
        run = self._runs[trial.id]
        self._log(run, {}, trial.config)
        while new := history[run.steps : run.steps + EPOCHS_AT_ONCE]:
            self._log(run, {int(epoch["epoch"]): epoch for epoch in new})
            run.steps += len(new)
        if trial.best and not trial.under_way and not run.has_best:
            self._log(
                run, {trial.best["epoch"]: _best(trial.best) | {"best_epoch": trial.best["epoch"]}}
            )
            run.has_best = True
        self._send_state(run, state, {"reason": trial.reason} if trial.reason else {})

    def send_study(self, study: StudyView, ended: int, last: bool) -> None:
        """ended: how many trials have; last: the study has ended, and its model can be sent."""
        run = self._run
        if not run.has_params:
            scores = study.baselines.scores
            metrics = {f"{name}_rmse": score.rmse for name, score in scores.items()}
            if has_several(study):  # by which trials are ranked
                metrics |= {f"{name}_skill": score.skill for name, score in scores.items()}
            self._log(run, {0: metrics}, _study_params(study.space))
        if (score := study.best_score) and ended > run.steps:
            best = _best(score) | skill_by_series(score)
            self._log(run, {ended: {"ended_trials": ended, **best}})
            run.steps = ended
        if not last:
            self._send_state(run, "running", {})
            return
        if study.best_trial is not None:
            self._send_files(run, study.folder / "best")
        summary = summarize_study(study)
        tags = {f"trials.{state}": count for state, count in summary.trials.items()} | {
            "best_trial": summary.best and summary.best.trial,
            "simulated": summary.data.simulated,
            "wall_seconds": summary.wall_seconds,
            "trial_seconds": summary.trial_seconds,
        }
        self._send_state(run, study.outcome, tags)

    def _log(
        self,
        run: _Run,
        steps: Mapping[int, Mapping[str, float]],
        params: Mapping[str, object] | None = None,
    ) -> None:
        """Send metrics by step, and the parameters where the server has none."""
        from mlflow.entities import Metric, Param

        now = int(time.time() * 1000)
        metrics = [
            Metric(name, float(value), now, step)
            for step, values in steps.items()
            for name, value in values.items()
        ]
        missing = [] if run.has_params else _texts(params or {})
        if metrics or missing:
            self._client.log_batch(run.id, metrics, [Param(*each) for each in missing])
        run.has_params = run.has_params or params is not None

    def _send_state(self, run: _Run, state: str, tags: Mapping[str, object]) -> None:
        """Send it with these tags, unless it is there."""
        from mlflow.entities import RunTag

        if run.status == STATUS[state]:
            return
        tags = {"state": state, **tags}
        self._client.log_batch(run.id, tags=[RunTag(*each) for each in _texts(tags)])
        if state == "running":
            self._client.update_run(run.id, status=STATUS[state])
        else:
            self._client.set_terminated(run.id, STATUS[state])
        run.status = STATUS[state]

    def _send_files(self, run: _Run, folder: StoragePath) -> None:
        """Send the folder's files as the artifact of its name."""
        files: list[StoragePath] = list(folder.iterdir())
        with tempfile.TemporaryDirectory() as place:
            for file, content in zip(files, map_files(read_bytes, files), strict=True):
                copy = Path(place) / file.name
                copy.write_bytes(content)
                self._client.log_artifact(run.id, str(copy), folder.name)


def _best(score: BestScore) -> dict[str, float]:
    return {"best_rmse": score["rmse"], "best_mae": score["mae"], "best_skill": score["skill"]}


def skill_by_series(score: BestScore) -> dict[str, float]:
    """A metric for each series, where they are few enough to be looked at so."""
    of_series = score.get("by_series", {})
    if len(of_series) > MOST_SERIES:
        return {}
    metrics: dict[str, float] = {}
    for number, (name, each) in enumerate(of_series.items()):
        metric = f"skill_by_series/{re.sub(REFUSED, '_', name)}"
        metrics[f"{metric} {number}" if metric in metrics else metric] = each["skill"]
    return metrics


def _study_params(space: SearchSpace) -> dict[str, object]:
    """What does not change when a study goes on."""
    settings = collect_settings(space)
    for key in ("study.trials", "search", "fixed", "initial_trials"):
        del settings[key]
    searched = {f"search.{name}": entry.describe() for name, entry in space.search.items()}
    return settings | searched | {f"fixed.{name}": value for name, value in space.fixed.items()}


def _texts(values: Mapping[str, object]) -> list[tuple[str, str]]:
    """Each but what is empty, as MLflow takes it."""
    return [
        (name, (", ".join(map(str, value)) if isinstance(value, tuple) else str(value))[:LONGEST])
        for name, value in values.items()
        if value not in (None, "", (), {})
    ]
