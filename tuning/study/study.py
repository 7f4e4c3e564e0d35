"""A study's folder: begun, kept while trials run, finished and summarised.

    space.yaml, study.json     what was asked for, and what it was resolved to
    trials/<id>.json           the truth: a record a trial
    trials.csv, summary.json, optuna.journal     derived from the records
    best/                      the best trial's forecaster
    checkpoints/               of trials under way; gone when all have ended

Every file is moved into place whole.
"""

import csv
import io
import json
import math
import platform
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from lstm_model import __version__
from lstm_model.data.series import EncodedSeries
from lstm_model.data.sources import Dataset
from lstm_model.errors import InputError, os_error_text
from lstm_model.evaluation.baselines import Baselines
from lstm_model.files import read_bytes, read_json, write_file, write_folder
from tuning.search.optuna_trials import Journal
from tuning.space.search_space import SearchSpace
from tuning.study.lock import Lock, LostLease, hold
from tuning.study.resume import (
    STUDY_FORMAT,
    check_name_is_free,
    is_study,
    read_trials,
    records,
    space_as_json,
)
from tuning.study.storage import StoragePath, folder_size, map_files, relative_to, remove_tree
from tuning.study.trial import State, Trial

if TYPE_CHECKING:
    # torch takes seconds to import, and the first trials don't wait for it.
    from lstm_model.inference.predictor import TrainedForecaster
    from lstm_model.inference.warm_start import WarmUpProbe

Outcome = Literal["running", "finished", "interrupted", "failed"]

# What is derived is rewritten whole, so at most this often while trials run; and less often where
# there are so many trials that it would take more than this share of the time.
DERIVE_SECONDS = 1.0
JOURNAL_SECONDS = 10.0
DERIVE_SHARE = 0.02
# A model in best/ goes without what completed() adds for this long, since a better one may follow.
COMPLETE_SECONDS = 5.0

# After a driver that never let go of the study, its records are looked through so often.
RECLAIM_SECONDS = 15.0

# Beside the model in best/: which trial it is of.
BEST_MANIFEST = "trial.json"

LIBRARIES = ("torch", "ray", "optuna", "numpy", "pandas")


class Listener(Protocol):
    """Who wants to know how a study goes."""

    def started(self, study: "Study", trial: Trial) -> None: ...
    def reported(self, study: "Study", trial: Trial) -> None: ...
    def ended(self, study: "Study", trial: Trial) -> None: ...
    def finished(self, study: "Study") -> None: ...


class Study:
    """A study under way. Its methods are told what happens, in the order in which it does."""

    def __init__(
        self,
        folder: StoragePath,
        space: SearchSpace,
        table: Dataset,
        series: EncodedSeries,
        baselines: Baselines,
        begun: float,
        trials: dict[int, Trial] | None = None,
    ) -> None:
        """begun: time.monotonic() at the command's start. trials: of a study that goes on."""
        self.folder, self.space, self.table = folder, space, table
        self.series, self.baselines = series, baselines
        self.trials = trials or {}
        self.outcome: Outcome = "running"
        self.listeners: list[Listener] = []
        self._begun = begun
        # What best/ holds, as KEPT beside the model says: the trial's number, its `saved`, and
        # whether its data were simulated.
        self._kept: dict[str, Any] | None = None
        # Whether best/ is a trial's that ended. Until then it is replaced as trials are saved.
        self._one_ended = False
        # Since when the model there lacks what completed() adds.
        self._incomplete: float | None = None
        self._starts: WarmUpProbe | None = None
        self._journal = Journal(self.name, space)
        self._derive_at = self._journal_at = -math.inf
        self._lock: Lock | None = None
        # When each record was written, as the store lists it, and when that was last looked at.
        self._listed: dict[StoragePath, tuple[float, int]] = {}
        self._reclaim_at = -math.inf
        # Of the whole folder, when it was last begun, taken up or finished.
        self.disk_bytes = 0

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def counts(self) -> Counter[State]:
        return Counter(trial.state for trial in self.trials.values())

    @property
    def to_run(self) -> int:
        """How many trials have yet to end."""
        return self.space.study.trials - sum(not each.under_way for each in self.trials.values())

    @property
    def best(self) -> Trial | None:
        """The trial whose forecaster is in best/: of those that ended, and did not fail, the one
        with the lowest validation RMSE; the first of equals. Until one has ended, the one whose
        last checkpoint has the lowest.
        """
        return None if self._kept is None else self.trials[self._kept["trial"]]

    @property
    def target_is_pm25(self) -> bool:
        """Whether the target is known to be PM2.5, in ug/m3."""
        return self.table.source in ("beijing", "simulated") and self.space.data.target == "pm2.5"

    @property
    def wall_seconds(self) -> float:
        return time.monotonic() - self._begun

    def begin(
        self, command: Sequence[str], ray: Mapping[str, Any] | None = None, *, wait: bool = False
    ) -> None:
        """Make the folder, with the settings in it; or fill it, where a kill left it half begun.

        Args:
            ray: what is done otherwise than Ray does it.
            wait: as of hold().

        Raises:
            InputError: the folder is another one's, or another process is at it.
        """
        settings = self._settings(command) | ({"ray": dict(ray)} if ray else {})
        check_name_is_free(self.folder, self.space)
        try:
            with self._released_if_it_fails():
                (self.folder / "trials").mkdir(parents=True, exist_ok=True)
                if not isinstance(self.folder, Path):
                    self._hold(wait)
                if not (self.folder / "space.yaml").exists():
                    write_file(self.folder / "space.yaml", self.space.text.encode())
                # On a disk two may begin at once, and each put space.yaml there, which is what is
                # locked. Who comes last sees the other's study.json; who comes first, that its
                # lock is of a file that is gone.
                if self._lock is None:
                    self._hold(wait)
                if is_study(self.folder):
                    check_name_is_free(self.folder)
                write_file(self.folder / "study.json", _json(settings))
                if self._lock is not None:
                    self._lock.check()
                self._derive(last=True)
        except LostLease as lost:
            raise InputError(str(lost)) from None
        except OSError as error:
            raise InputError(
                f"{self.folder} can't be written: {os_error_text(error)}; choose another --runs "
                "directory or --storage"
            ) from error

    def resume(
        self, command: Sequence[str], ray: Mapping[str, Any] | None = None, *, wait: bool = False
    ) -> list[str]:
        """Take up the folder again, with the trials that it holds.

        Args:
            ray: what is done otherwise than Ray does it, this time.
            wait: as of hold().

        Returns:
            What was found damaged and is made again, to be told.

        Raises:
            InputError: another process is at it, or a record is damaged.
        """
        with self._released_if_it_fails():
            self._hold(wait)
            return self._take_up(command, ray)

    def _take_up(self, command: Sequence[str], ray: Mapping[str, Any] | None) -> list[str]:
        if self._lock is not None and self._lock.took_over:
            self._listed = _list_records(self.folder)
        self.trials = read_trials(self.folder)  # now that nobody else writes them
        self._one_ended = any(
            trial.saved and trial.state in ("finished", "stopped_early")
            for trial in self.trials.values()
        )
        told = [
            *self._recover_best(),
            *(
                said
                for trial in self.trials.values()
                if trial.under_way and (said := self._back_to_checkpoint(trial))
            ),
        ]
        for trial in self.trials.values():
            if not trial.under_way:
                try:
                    self._journal.add(trial)
                except ValueError as error:
                    file = self.folder / "trials" / f"{trial.id}.json"
                    raise InputError(f"{file} is damaged: {error}") from error
        # Nothing is written before all that was read is known to be in order.
        before = read_json(self.folder / "study.json")
        before["format"] = STUDY_FORMAT
        before["settings"]["trials"] = self.space.study.trials
        before["resources"] = self.space.resources.model_dump(mode="json")
        before["data"]["settings"] = self.space.data.model_dump(mode="json")
        again = {"command": list(command), "at": _now()} | ({"ray": dict(ray)} if ray else {})
        before.setdefault("resumed", []).append(again)
        write_file(self.folder / "study.json", _json(before))
        self._sweep()
        self._derive(last=True)
        return told

    def _recover_best(self) -> list[str]:
        """Find what best/ holds; where its model is lost, that trial has to run again."""
        from lstm_model.inference.predictor import TrainedForecaster

        best = self.folder / "best"
        # A kill between two renames leaves the folder under a temporary name.
        between = sorted(self.folder.glob(".best.*")) if isinstance(self.folder, Path) else []
        for folder in (best, *between):
            try:
                model = TrainedForecaster.load(folder)
                kept = read_json(folder / BEST_MANIFEST)
            except InputError:
                continue
            if kept.get("trial") in self.trials and "rmse" in (kept.get("saved") or {}):
                self._kept = kept
                self._incomplete = None if model.intervals else time.monotonic()
                if isinstance(folder, Path) and folder != best:
                    remove_tree(best)
                    folder.rename(self.folder / "best")  # type: ignore[arg-type]
                return []
        ended = [
            trial
            for trial in self.trials.values()
            if trial.state in ("finished", "stopped_early") and trial.best
        ]
        if not ended:
            return []
        lost = min(ended, key=lambda trial: (trial.rmse, trial.id))
        lost.state, lost.checkpoint, lost.reason = "interrupted", None, None
        return [f"{best} holds no model that can be read: trial {lost.id} runs again to make it"]

    def _sweep(self) -> None:
        """Remove what a kill left behind: half-written files, checkpoints that nobody needs."""
        for left in (*self.folder.glob(".*"), *(self.folder / "trials").glob(".*")):
            remove_tree(left)
        needed = {
            (self.folder / trial.checkpoint).parent
            for trial in self.trials.values()
            if trial.under_way and trial.checkpoint
        }
        for left in (self.folder / "checkpoints").glob("*/*"):
            if left not in needed:
                remove_tree(left)

    def _hold(self, wait: bool) -> None:
        """Hold the study until this process ends, however it does."""
        self._lock = hold(self.folder, wait=wait)
        self.folder = self._lock.guarded(self.folder)

    @contextmanager
    def _released_if_it_fails(self) -> Iterator[None]:
        """So that what is mended can be tried again at once."""
        try:
            yield
        except BaseException:
            self.release()
            raise

    def heartbeat(self) -> None:
        """Called again and again while trials run.

        Raises:
            LostLease: another process runs the study now.
        """
        now = time.monotonic()
        if self._lock is not None:
            self._lock.check()
        if now >= self._reclaim_at:
            self._reclaim()
            self._reclaim_at = time.monotonic() + RECLAIM_SECONDS
        if self._incomplete is not None and now - self._incomplete >= COMPLETE_SECONDS:
            self._complete()

    def _reclaim(self) -> None:
        """Write a record again where a write of the driver before has replaced it: one that was on
        its way for more than half a term, and came when this driver had entered.
        """
        if self._lock is None or not self._lock.took_over:
            return
        listed = _list_records(self.folder)
        changed = [file for file, facts in listed.items() if self._listed.get(file) != facts]
        for file, content in zip(changed, map_files(read_bytes, changed), strict=True):
            trial = self.trials.get(int(file.stem))
            if trial is None:
                remove_tree(file)  # its number will be that of another trial
            elif content != trial.content():
                self._write(trial)
        self._listed = listed

    def attempt(self) -> StoragePath:
        """A folder for the checkpoints of this run of the study."""
        folder = self.folder / "checkpoints"
        numbers = [int(each.name) for each in folder.glob("*") if each.name.isdecimal()]
        return folder / str(max(numbers, default=-1) + 1)

    def _back_to_checkpoint(self, trial: Trial) -> str | None:
        """Forget the epochs since the trial's last checkpoint: they will run again.

        Returns:
            What is to be told where the checkpoint is damaged.
        """
        trial.state, epochs, told = "interrupted", 0, None
        if trial.checkpoint is not None:
            from lstm_model.inference.predictor import read_state

            try:
                _, numbers = read_state(self.folder / trial.checkpoint)
                epochs = int(numbers["epoch"])
            except (InputError, KeyError, TypeError, ValueError) as error:
                told = f"the checkpoint of trial {trial.id} is lost, so it starts anew: {error}"
                trial.checkpoint = None
        if trial.checkpoint is None:
            trial.saved = None
        del trial.history[epochs:]
        trial.best = trial.saved
        return told

    def started(self, id: int, config: dict[str, Any]) -> None:
        """A trial starts, or starts again from its last checkpoint."""
        known = self.trials.get(id)
        trial = self.trials[id] = known or Trial(id, config)
        trial.state = "running"
        self._write(trial)
        for listener in self.listeners:
            listener.started(self, trial)

    def reported(self, id: int, report: dict[str, Any]) -> None:
        """A trial had one more epoch."""
        trial = self.trials[id]
        trial.report(report)
        for listener in self.listeners:
            listener.reported(self, trial)

    def checkpointed(self, id: int, checkpoint: str | Path) -> None:
        """A trial's checkpoint is complete; its path is in the folder's file system."""
        trial = self.trials[id]
        trial.checkpoint = relative_to(self.folder, checkpoint)
        trial.saved = trial.best
        self._write(trial)
        if not self._one_ended:
            self._keep_if_best(trial)

    def ended(self, id: int, state: State, reason: str | None = None) -> None:
        """A trial ended; what it would take to go on is dropped unless it was interrupted."""
        trial = self.trials[id]
        if state in ("finished", "stopped_early"):
            if trial.saved and not self._one_ended:
                self._one_ended = True
                self._kept = None  # of a trial under way
            self._keep_if_best(trial)
        elif state == "failed" and not self._one_ended and self._kept and self._kept["trial"] == id:
            self._kept = self._incomplete = None
            remove_tree(self.folder / "best")
        trial.state, trial.reason = state, reason
        # A worker that died may have left a part of one. On a disk it costs nothing to look.
        has_checkpoints = trial.checkpoint is not None or isinstance(self.folder, Path)
        if state != "interrupted":
            trial.checkpoint = None
        self._write(trial)
        if state != "interrupted" and has_checkpoints:
            for attempt in (self.folder / "checkpoints").glob("*"):
                remove_tree(attempt / str(id))
        if state != "interrupted":
            self._journal.add(trial)
        self._derive()
        for listener in self.listeners:
            listener.ended(self, trial)

    def needs_checkpoint(self, id: int, rmse: float) -> bool:
        """Whether a trial that ends so has to leave a checkpoint: best/ is made from it."""
        return math.isfinite(rmse) and (not self._one_ended or self._is_best(id, rmse))

    def _is_best(self, id: int, rmse: float) -> bool:
        """Whether no trial that best/ may hold is better; of equals the first one is."""
        kept = self._kept
        return kept is None or (rmse, id) < (kept["saved"]["rmse"], kept["trial"])

    def _keep_if_best(self, trial: Trial) -> None:
        """Take the forecaster out of the trial's last checkpoint if none before was better."""
        if trial.checkpoint is None or trial.saved is None:
            return
        if not self._is_best(trial.id, trial.saved["rmse"]):
            return
        kept = {
            "study": self.name,
            "data": self.data(),
            "trial": trial.id,
            "config": trial.config,
            "saved": trial.saved,
        }
        # As it lies: resume() looks whether it can be read.
        forecaster = self.folder / trial.checkpoint / "best"
        files: list[StoragePath] = list(forecaster.iterdir())
        contents = map_files(read_bytes, files)
        model = {file.name: content for file, content in zip(files, contents, strict=True)}
        write_folder(self.folder / "best", {**model, BEST_MANIFEST: _json(kept)})
        self._kept = kept
        if self._incomplete is None:
            self._incomplete = time.monotonic()

    def _complete(self) -> None:
        """Add to the model in best/ what a forecast needs. That takes one or two tenths of a
        second, in which no trial is given out: so not for every checkpoint, nor for all of the
        models that are the best one in turn while a study is young.
        """
        if self._incomplete is None or self._kept is None:
            return
        from lstm_model.inference.predictor import TrainedForecaster

        self._incomplete = None
        best = self.folder / "best"
        try:
            files = self._completed(TrainedForecaster.load(best)).files()
        except InputError:
            return  # as in resume()
        write_folder(best, {**files, BEST_MANIFEST: _json(self._kept)})

    def _completed(self, forecaster: "TrainedForecaster") -> "TrainedForecaster":
        """With intervals and the rows that it takes to settle."""
        from lstm_model.inference.warm_start import WarmUpProbe
        from lstm_model.training.trainer import HoldoutEvaluator

        fold = self.series.folds[-1]  # whose model it is
        if self._starts is None:
            frame, before = self.table.frame, self.space.data.test_from
            self._starts = WarmUpProbe(
                frame.loc[frame.index < before], fold.encoding, self.space.data.target
            )
        return forecaster.completed(
            [(fold, HoldoutEvaluator(fold).forecast(forecaster.model))],
            self._starts,
            self.table.reading,
            simulated=self.table.simulated,
        )

    def finish(self, outcome: Outcome) -> None:
        """No trial is under way any more; one that was cut off is interrupted."""
        self.outcome = outcome
        try:
            for trial in self.trials.values():
                if trial.state == "running":
                    self.ended(trial.id, "interrupted")
            self._reclaim()
            if not any(trial.under_way for trial in self.trials.values()):
                remove_tree(self.folder / "checkpoints")
            self._complete()
            self._derive(last=True)
        finally:
            try:
                with ExitStack() as at_end:  # each is told whatever comes of the others
                    for listener in reversed(self.listeners):
                        at_end.callback(listener.finished, self)
            finally:
                with suppress(OSError):  # which was told before
                    self._derive(last=True)  # with the time and the room that they took
                self.release()

    def release(self) -> None:
        """Let another process have the study."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def summary(self) -> dict[str, Any]:
        """The outcome so far, as summary.json has it."""
        counts, best = self.counts, self.best
        baselines = self.baselines
        reference = baselines.as_json()
        saved = self._kept["saved"] if self._kept else {}
        validation = {k: v for k, v in saved.items() if k != "epoch"}
        if "by_lead_time" in validation:
            validation["by_lead_time"] = validation["by_lead_time"] | {
                f"{name}_rmse": score.by_lead_time()["rmse"]
                for name, score in baselines.scores.items()
            }
        if validation:
            by_lead_time = saved.get("by_lead_time", {}).get("rmse", {"1": saved["rmse"]})
            errors = np.array(list(by_lead_time.values()), np.float64)
            validation["skill_best_baseline"] = baselines.skill_beyond(errors)
        return {
            "study": self.name,
            "state": self.outcome,
            "space": self.space.name,
            "data": self.data(),
            "trials": {state: counts[state] for state in ("finished", "stopped_early", "failed")}
            | {state: counts[state] for state in ("running", "interrupted") if counts[state]},
            "best": best
            and {
                "trial": best.id,
                "config": best.config,
                "epoch": saved["epoch"],
                "validation": validation | reference,
            },
            "baselines": reference,
            "wall_seconds": round(self.wall_seconds, 3),
            "trial_seconds": round(sum(trial.seconds for trial in self.trials.values()), 3),
            "disk_bytes": self.disk_bytes,
        }

    def data(self) -> dict[str, Any]:
        """Which data the study reads, as summary.json and study.json have it."""
        facts: dict[str, Any] = {
            "source": self.table.source,
            "simulated": self.table.simulated,
            "sha256": self.table.sha256,
            "features": list(self.space.data.features),
            "input_channels": len(self.series.encoding.channels),
            "rows": len(self.table.frame),
        }
        if self.table.repairs:
            facts["repairs"] = [repair.as_json() for repair in self.table.repairs]
        if self.table.doubts:
            facts["doubts"] = list(self.table.doubts)
        if self.table.warning:
            facts["warning"] = self.table.warning
        return facts

    def _settings(self, command: Sequence[str]) -> dict[str, Any]:
        space = self.space
        return {
            "format": STUDY_FORMAT,
            "study": self.name,
            "space": space.name,
            "data": self.data() | {"settings": space.data.model_dump(mode="json")},
            "settings": space.study.model_dump(mode="json"),
            "resources": space.resources.model_dump(mode="json"),
            **space_as_json(space),
            "defaults": space.defaults,
            "input_channels": list(self.series.encoding.channels),
            "seed": space.study.seed,
            "versions": {"python": platform.python_version(), "lstm-tuning": __version__}
            | {name: version(name) for name in LIBRARIES},
            "command": list(command),
            "commit": _commit(),
            "created": _now(),
        }

    def _write(self, trial: Trial) -> None:
        write_file(self.folder / "trials" / f"{trial.id}.json", trial.content())

    def _derive(self, last: bool = False) -> None:
        """Rewrite what is derived from the records, unless that was done a moment ago."""
        now = time.monotonic()
        if last:
            self.disk_bytes = folder_size(self.folder)
        if last or now >= self._derive_at:
            write_file(self.folder / "summary.json", _json(self.summary()))
            write_file(self.folder / "trials.csv", trials_csv(self.trials, self.space))
            self._derive_at = _next(now, DERIVE_SECONDS)
        if last or (now := time.monotonic()) >= self._journal_at:
            write_file(self.folder / "optuna.journal", self._journal.to_bytes())
            self._journal_at = _next(now, JOURNAL_SECONDS)


def _next(begun: float, seconds: float) -> float:
    """When to write again what was begun to be written then and has just been done."""
    return begun + max(seconds, (time.monotonic() - begun) / DERIVE_SHARE)


def _list_records(folder: StoragePath) -> dict[StoragePath, tuple[float, int]]:
    """When each record was written, by the server's clock, and its size."""
    files = [file for file in records(folder) if not isinstance(file, Path)]
    return {file: (file.modified(), file.stat().st_size) for file in files}


def trials_csv(trials: Mapping[int, Trial], space: SearchSpace) -> bytes:
    """A row a trial, a column a hyperparameter; empty where there is none in the trial."""
    names = [*space.search, *space.fixed]
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(
        ["id", "state", "epochs", "seconds", "rmse", "mae", "skill", "best_epoch", *names, "reason"]
    )
    for _, trial in sorted(trials.items()):
        best = trial.best or {}
        metrics = [best.get(key, "") for key in ("rmse", "mae", "skill", "epoch")]
        values = [trial.config.get(name, "") for name in names]
        table.writerow(
            [trial.id, trial.state, trial.epochs, round(trial.seconds, 3), *metrics, *values]
            + [trial.reason or ""]
        )
    return out.getvalue().encode()


def _json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _commit() -> str | None:
    """The project's commit where it runs from a checkout."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    asked = subprocess.run(
        ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or None
