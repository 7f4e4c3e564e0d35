"""best/: the forecaster of a study's best trial, and when it is replaced."""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, cast

from lstm_model.errors import InputError
from lstm_model.files import read_bytes, read_json, write_folder
from tuning.space.search_space import Value
from tuning.study.storage import StoragePath, map_files, remove_tree, to_json_bytes
from tuning.study.summary import summarize_data
from tuning.study.trial import BestScore, State, Trial, objective_of
from tuning.study.view import StudyView

if TYPE_CHECKING:
    # torch takes seconds to import, and the first trials don't wait for it.
    from lstm_model.inference.predictor import TrainedForecaster
    from lstm_model.inference.warm_start import WarmUpProbe

# Calibrating takes one or two tenths of a second, in which no trial is given out. So a model goes
# without it for this long: a better one may follow.
CALIBRATE_SECONDS = 5.0

# Beside the model: which trial it is of.
BEST_MANIFEST = "trial.json"


class BestManifest(TypedDict):
    """What BEST_MANIFEST says. `saved` are the validation errors of the model."""

    study: str
    data: dict[str, object]
    trial: int
    config: Mapping[str, Value]
    saved: BestScore


class BestModel:
    """Keeps the best trial's forecaster in best/.

    The best trial is the one with the lowest objective on validation of those that ended and did
    not fail; of equals the first. Until one has ended, it is the one whose last checkpoint has the
    lowest.
    """

    def __init__(self, study: StudyView) -> None:
        self._study = study
        self._folder = study.folder / "best"
        self._manifest: BestManifest | None = None
        self._any_trial_ended = False
        # When best/ came to lack prediction intervals.
        self._uncalibrated_since: float | None = None
        self._probe: WarmUpProbe | None = None

    @property
    def trial(self) -> int | None:
        """The number of the trial whose model is there."""
        return self._manifest and self._manifest["trial"]

    @property
    def score(self) -> BestScore | None:
        return self._manifest and self._manifest["saved"]

    def needs_checkpoint(self, id: int, objective: float) -> bool:
        """Whether a trial that ends so has to leave a checkpoint: best/ is made from it."""
        return math.isfinite(objective) and (
            not self._any_trial_ended or self._is_best(id, objective)
        )

    def take_checkpoint(self, trial: Trial) -> None:
        """A trial under way has a new checkpoint."""
        if not self._any_trial_ended:
            self._keep_if_best(trial)

    def take_end(self, trial: Trial, state: State) -> None:
        """A trial ends so; its last checkpoint is still there."""
        if state in ("finished", "stopped_early"):
            if trial.saved and not self._any_trial_ended:
                self._any_trial_ended = True
                self._manifest = None  # provisional: it gives way to the first that ended
            self._keep_if_best(trial)
        elif state == "failed" and not self._any_trial_ended and self.trial == trial.id:
            self._manifest = self._uncalibrated_since = None
            remove_tree(self._folder)

    def _is_best(self, id: int, objective: float) -> bool:
        """Whether this trial would be the best; of equals the lower number is."""
        best = self._manifest
        return best is None or (objective, id) < (objective_of(best["saved"]), best["trial"])

    def _keep_if_best(self, trial: Trial) -> None:
        """Take the forecaster out of the trial's last checkpoint if none before was better."""
        if trial.checkpoint is None or trial.saved is None:
            return
        if not self._is_best(trial.id, objective_of(trial.saved)):
            return
        manifest: BestManifest = {
            "study": self._study.name,
            "data": summarize_data(self._study).to_json(),
            "trial": trial.id,
            "config": trial.config,
            "saved": trial.saved,
        }
        # Copied without a check: recover() looks whether it can be read.
        forecaster = self._study.folder / trial.checkpoint / "best"
        files: list[StoragePath] = list(forecaster.iterdir())
        contents = map_files(read_bytes, files)
        model = {file.name: content for file, content in zip(files, contents, strict=True)}
        write_folder(self._folder, {**model, BEST_MANIFEST: to_json_bytes(manifest)})
        self._manifest = manifest
        if self._uncalibrated_since is None:
            self._uncalibrated_since = time.monotonic()

    def calibrate_if_due(self) -> None:
        since = self._uncalibrated_since
        if since is not None and time.monotonic() - since >= CALIBRATE_SECONDS:
            self.calibrate()

    def calibrate(self) -> None:
        """Add prediction intervals, and how many rows a forecast needs, where they are missing."""
        if self._uncalibrated_since is None or self._manifest is None:
            return
        from lstm_model.inference.predictor import TrainedForecaster

        self._uncalibrated_since = None
        try:
            files = self._with_intervals(TrainedForecaster.load(self._folder)).files()
        except InputError:
            return  # it can't be read: recover() will make it again
        write_folder(self._folder, {**files, BEST_MANIFEST: to_json_bytes(self._manifest)})

    def _with_intervals(self, forecaster: "TrainedForecaster") -> "TrainedForecaster":
        from lstm_model.inference.warm_start import WarmUpProbe
        from lstm_model.training.evaluator import HoldoutEvaluator

        study, fold = self._study, self._study.table.folds[-1]  # whose model it is
        if self._probe is None:
            dataset, target = study.dataset, study.space.data.target
            self._probe = WarmUpProbe.of_table(dataset.frame, dataset.index, fold, target)
        return forecaster.with_intervals(
            [(fold, HoldoutEvaluator(fold).forecast(forecaster.model))],
            self._probe,
            study.dataset.reading,
            simulated=study.dataset.simulated,
        )

    def recover(self, trials: Mapping[int, Trial]) -> list[str]:
        """Find which model a study that goes on has kept. Where it is lost, its trial has to run
        again, and is `interrupted`.

        Returns:
            What is to be told.
        """
        from lstm_model.inference.predictor import TrainedForecaster

        self._any_trial_ended = any(
            trial.saved and trial.state in ("finished", "stopped_early")
            for trial in trials.values()
        )
        parent = self._study.folder
        # A kill between two renames leaves the folder under a temporary name.
        half_renamed = sorted(parent.glob(".best.*")) if isinstance(parent, Path) else []
        for folder in (self._folder, *half_renamed):
            try:
                model = TrainedForecaster.load(folder)
                manifest = read_json(folder / BEST_MANIFEST)
            except InputError:
                continue
            if manifest.get("trial") in trials and "rmse" in (manifest.get("saved") or {}):
                self._manifest = cast(BestManifest, manifest)
                self._uncalibrated_since = None if model.intervals else time.monotonic()
                if isinstance(folder, Path) and folder != self._folder:
                    remove_tree(self._folder)
                    folder.rename(self._folder)  # type: ignore[arg-type]
                return []
        ended = [
            trial
            for trial in trials.values()
            if trial.state in ("finished", "stopped_early") and trial.best
        ]
        if not ended:
            return []
        lost = min(ended, key=lambda trial: (trial.objective, trial.id))
        lost.state, lost.checkpoint, lost.reason = "interrupted", None, None
        return [
            f"{self._folder} holds no model that can be read: trial {lost.id} runs again to make it"
        ]
