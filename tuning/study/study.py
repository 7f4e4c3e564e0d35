"""A study under way: it hears what happens to its trials, writes it down, and tells its listeners.

    space.yaml, study.json     what was asked for, and what it was resolved to
    trials/<id>.json           the truth: a record a trial
    trials.csv, summary.json, optuna.journal     derived from the records
    best/                      the best trial's forecaster
    checkpoints/               of trials under way; gone when all have ended

Every file is moved into place whole.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from lstm_model.errors import InputError, os_error_text
from lstm_model.files import write_file
from tuning.space.search_space import SearchSpace, Value
from tuning.study.best_model import BestModel
from tuning.study.lock import Lock, LostLease, hold
from tuning.study.manifest import MANIFEST, extend_manifest, make_manifest
from tuning.study.records import Records, read_trials
from tuning.study.resume import (
    check_name_is_free,
    check_records,
    is_study,
    remove_leftovers,
    return_to_checkpoint,
)
from tuning.study.storage import (
    StoragePath,
    folder_size,
    relative_to,
    remove_tree,
    to_json_bytes,
)
from tuning.study.summary import DerivedFiles
from tuning.study.trial import EpochReport, State, Trial
from tuning.study.view import Listener, Outcome, StudyView


class Study:
    """Events in, listeners out.

    It is created or resumed first, then told what happens in the order in which it does, and
    finished or released at last.

    Attributes:
        trials: by number.
        listeners: told of every event in this order, once it is written down.
    """

    def __init__(self, initial: StudyView) -> None:
        """initial: its trials are replaced by the records in resume()."""
        self._initial = initial
        self.trials: dict[int, Trial] = dict(initial.trials)
        self.listeners: list[Listener] = []
        self._outcome: Outcome = "running"
        self._disk_bytes = 0
        self._lock: Lock | None = None
        self._open(initial.folder)

    def _open(self, folder: StoragePath) -> None:
        self._initial = replace(self._initial, folder=folder)
        self._records = Records(folder)
        self._best = BestModel(self._initial)
        self._derived = DerivedFiles(folder)

    @property
    def folder(self) -> StoragePath:
        return self._initial.folder

    @property
    def space(self) -> SearchSpace:
        return self._initial.space

    @property
    def view(self) -> StudyView:
        """The study as others may see it, now."""
        number = self._best.trial
        return replace(
            self._initial,
            trials=self.trials,
            best_trial=None if number is None else self.trials[number],
            best_score=self._best.score,
            outcome=self._outcome,
            disk_bytes=self._disk_bytes,
        )

    def create(
        self, command: Sequence[str], ray: Mapping[str, object] | None = None, *, wait: bool = False
    ) -> None:
        """Make the folder, with the settings in it; or fill it, where a kill left it half begun.

        Args:
            ray: the changes made to Ray, for study.json.
            wait: for a dead driver's lease to end.

        Raises:
            InputError: the folder is another one's, or another process is at it.
        """
        check_name_is_free(self.folder, self.space)
        try:
            with self._released_on_error():
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
                manifest = make_manifest(self._initial, command, ray)
                write_file(self.folder / MANIFEST, to_json_bytes(manifest))
                if self._lock is not None:
                    self._lock.check()
                self._rewrite_derived()
        except LostLease as lost:
            raise InputError(str(lost)) from None
        except OSError as error:
            raise InputError(
                f"{self.folder} can't be written: {os_error_text(error)}; choose another --runs "
                "directory or --storage"
            ) from error

    def resume(
        self, command: Sequence[str], ray: Mapping[str, object] | None = None, *, wait: bool = False
    ) -> list[str]:
        """Take up the folder again, with the trials that it holds.

        Args:
            ray: the changes made to Ray this time, for study.json.
            wait: for a dead driver's lease to end.

        Returns:
            Warnings: what is damaged, and made again.

        Raises:
            InputError: another process is at it, or a record is damaged.
        """
        with self._released_on_error():
            self._hold(wait)
            if self._lock is not None and self._lock.took_over:
                self._records.expect_late_writes()
            self.trials = read_trials(self.folder)  # now that nobody else writes them
            warnings = self._best.recover(self.trials)
            for trial in self.trials.values():
                if trial.under_way and (warning := return_to_checkpoint(self.folder, trial)):
                    warnings.append(warning)
            check_records(self.folder, self.space, self.trials)
            # Nothing is written before all that was read is known to be in order.
            extend_manifest(self._initial, command, ray)
            remove_leftovers(self.folder, self.trials)
            self._rewrite_derived()
            return warnings

    def _hold(self, wait: bool) -> None:
        """Hold the study until this process ends, however it does."""
        self._lock = hold(self.folder, wait=wait)
        self._open(self._lock.guarded(self.folder))

    @contextmanager
    def _released_on_error(self) -> Iterator[None]:
        """So that what is mended can be tried again at once."""
        try:
            yield
        except BaseException:
            self.release()
            raise

    def attach(self, listener: Listener) -> None:
        """Tell it of all that happens from now on."""
        listener.on_study_start(self.view)
        self.listeners.append(listener)

    def heartbeat(self) -> None:
        """Check the lock, undo late writes, calibrate best/ when due: while trials run.

        Raises:
            LostLease: another process runs the study now.
        """
        if self._lock is not None:
            self._lock.check()
        self._records.reclaim_if_due(self.trials)
        self._best.calibrate_if_due()

    def new_checkpoint_folder(self) -> StoragePath:
        """A folder for the checkpoints of this run of the study."""
        folder = self.folder / "checkpoints"
        numbers = [int(run.name) for run in folder.glob("*") if run.name.isdecimal()]
        return folder / str(max(numbers, default=-1) + 1)

    def needs_checkpoint(self, id: int, objective: float) -> bool:
        """Whether a trial that ends so has to leave a checkpoint: best/ is made from it."""
        return self._best.needs_checkpoint(id, objective)

    def on_trial_start(self, id: int, config: Mapping[str, Value]) -> None:
        """A trial starts, or starts again from its last checkpoint."""
        trial = self.trials.setdefault(id, Trial(id, config))
        trial.state = "running"
        self._records.write(trial)
        view = self.view
        for listener in self.listeners:
            listener.on_trial_start(view, trial)

    def on_epoch(self, id: int, report: EpochReport) -> None:
        """A trial had one more epoch."""
        trial = self.trials[id]
        trial.report(report)
        view = self.view
        for listener in self.listeners:
            listener.on_epoch(view, trial)

    def on_checkpoint(self, id: int, checkpoint: str | Path) -> None:
        """A trial's checkpoint is complete; its path is in the folder's file system."""
        trial = self.trials[id]
        trial.checkpoint = relative_to(self.folder, checkpoint)
        trial.saved = trial.best
        self._records.write(trial)
        self._best.take_checkpoint(trial)

    def on_trial_end(self, id: int, state: State, reason: str | None = None) -> None:
        """A trial ended; what it would take to go on is dropped unless it was interrupted."""
        trial = self.trials[id]
        self._best.take_end(trial, state)
        trial.state, trial.reason = state, reason
        # A worker that died may have left a part of one. On a disk it costs nothing to look.
        has_checkpoints = trial.checkpoint is not None or isinstance(self.folder, Path)
        if state != "interrupted":
            trial.checkpoint = None
        self._records.write(trial)
        if state != "interrupted" and has_checkpoints:
            for run in (self.folder / "checkpoints").glob("*"):
                remove_tree(run / str(id))
        view = self.view
        self._derived.rewrite_if_due(view)
        for listener in self.listeners:
            listener.on_trial_end(view, trial)

    def finish(self, outcome: Outcome) -> None:
        """No trial is under way any more; one that was cut off is interrupted."""
        self._outcome = outcome
        try:
            for trial in self.trials.values():
                if trial.state == "running":
                    self.on_trial_end(trial.id, "interrupted")
            self._records.reclaim(self.trials)
            if not any(trial.under_way for trial in self.trials.values()):
                remove_tree(self.folder / "checkpoints")
            self._best.calibrate()
            self._rewrite_derived()
        finally:
            try:
                with ExitStack() as at_end:  # each is told whatever comes of the others
                    for listener in reversed(self.listeners):
                        at_end.callback(listener.on_study_end, self.view)
            finally:
                with suppress(OSError):  # which was told before
                    self._rewrite_derived()  # with the time and the room that they took
                self.release()

    def release(self) -> None:
        """Let another process have the study."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _rewrite_derived(self) -> None:
        self._disk_bytes = folder_size(self.folder)
        self._derived.rewrite(self.view)
