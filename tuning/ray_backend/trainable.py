"""lstm_model's epochs as a Ray Tune trial."""

import math
import time
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray import tune
from ray.tune.result import DONE, SHOULD_CHECKPOINT

from lstm_model.configuration import Configuration, Reading
from lstm_model.data.series import EncodedSeries
from lstm_model.errors import InputError, TrainingFailed
from tuning.study.storage import StoragePath

if TYPE_CHECKING:
    # torch takes seconds to import. Workers have it before their first trial; the command, which
    # has this module too, gives its first trials out without it.
    from torch import Tensor

    from lstm_model.training.trainer import Epoch, Trainer

# While no trial has ended, checkpoints are the models that there are: the first one comes after so
# long, the others after twice as long each.
FIRST_CHECKPOINT_SECONDS = 1.0
# The arguments of a call, and those that have a name.
Call = tuple[tuple[Any, ...], dict[str, Any]]
# What ends a trial and not its worker.
OWN_FAULTS = (TrainingFailed, InputError, MemoryError)


class Trainable(tune.Trainable):  # type: ignore[misc]
    """One trial after another in the same process, and some epochs a step.

    It reports `epoch` and `rmse` (the lowest so far), which searcher and scheduler go by, `reports`
    for the trial's record, one an epoch, and `reason` where it can't go on by its own fault.
    """

    def setup(
        self,
        config: dict[str, Any],
        series: EncodedSeries,
        folder: StoragePath,
        target: str,
        reading: Reading,
        max_epochs: int,
        seed: int,
        threads: int,
        gpu: bool,
        decision_epochs: Collection[int],
        report_seconds: float,
        checkpoint_seconds: float,
    ) -> None:
        """config: what OptunaSearcher suggests. The rest is the same for all trials of a study.

        folder: of the study; a trial that goes on finds its checkpoint in it.
        reading: of the study's table, for the model that a checkpoint holds.
        decision_epochs: epochs that a step ends with, because the trial may be stopped after them.
        report_seconds: a step ends when it has taken so long, unless it would end by itself within
            as long again.
        checkpoint_seconds: it ends when the last checkpoint is so long ago.
        """
        import torch

        torch.set_num_threads(threads)
        self._series, self._target, self._folder = series, target, folder
        self._reading = reading
        self._max_epochs, self._seed = max_epochs, seed
        self._device = "cuda" if gpu else "cpu"
        self._decision_epochs = decision_epochs
        self._report_seconds, self._checkpoint_seconds = report_seconds, checkpoint_seconds
        self._made: Trainer | None = None
        self._begin(config)

    def train(self, new: Call | None = None) -> dict[str, Any]:
        """Take a step: of another trial where there is what Tune would call reset() with."""
        self._reset_to(new)
        result: dict[str, Any] = super().train()
        return result

    def restore(self, checkpoint_path: Any, new: Call | None = None) -> None:
        """Go on from a checkpoint: of another trial where there is what Tune would call reset()
        with.
        """
        self._reset_to(new)
        super().restore(checkpoint_path)

    def _reset_to(self, new: Call | None) -> None:
        if new is not None:
            arguments, named = new
            self.reset(*arguments, **named)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take on another trial: nothing of the last one stays but the process and the data."""
        self._begin(new_config)
        return True

    def _begin(self, config: dict[str, Any]) -> None:
        # The training is made in the first step: what goes wrong in it is the trial's own, and the
        # last trial's memory is free before the next one's is taken.
        self._suggested, self._made = config, None
        self._saved = time.monotonic()
        self._patience = self._checkpoint_seconds
        if config.get("early"):
            self._patience = min(FIRST_CHECKPOINT_SECONDS, self._patience)

    @property
    def _fit(self) -> "Trainer":
        if self._made is None:
            from lstm_model.training.trainer import Trainer

            config = self._suggested
            self._made = Trainer(
                Configuration(**config["config"]),
                self._series,
                max_epochs=self._max_epochs,
                seed=self._seed,
                device=self._device,
            )
            if config.get("checkpoint"):
                self._made.load_state(*_state(self._folder / config["checkpoint"]))
        return self._made

    @property
    def _epochs_to_judge(self) -> int:
        """How many are left to the next one that a step ends with, or to the trial's end."""
        epoch = self._fit.epoch
        return (
            min((at for at in self._decision_epochs if at > epoch), default=self._max_epochs)
            - epoch
        )

    @property
    def _due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return time.monotonic() - self._saved >= self._patience

    def step(self) -> dict[str, Any]:
        reports: list[dict[str, Any]] = []
        begun = time.monotonic()
        try:
            # A trial that is resumed at its very end trains no more: the study has to hear of it.
            while self._fit.epoch < self._max_epochs:
                reports.append(epoch_report(epoch := self._fit.run_epoch()))
                spent = time.monotonic() - begun
                # What ends the step anyway may be as near again: a report more is milliseconds in
                # which nothing is trained.
                left = spent / len(reports) * self._epochs_to_judge
                enough = spent >= self._report_seconds and left > self._report_seconds
                if enough or self._due or epoch.number in self._decision_epochs:
                    break
        except (*OWN_FAULTS, RuntimeError) as error:
            # Of torch's own errors want of memory is the trial's fault; after another one the
            # process may be spoilt, and Tune replaces it.
            if not isinstance(error, OWN_FAULTS) and not _wants_memory(error):
                raise
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            epochs = self._made.epoch if self._made else 0
            ended = {"reason": reason, DONE: True}
            return {"epoch": epochs, "rmse": math.nan, "reports": reports, **ended}
        assert self._fit.best is not None
        done = self._fit.epoch >= self._max_epochs
        result = {
            "epoch": self._fit.epoch,
            "rmse": self._fit.best.score.rmse,
            "reports": reports,
            DONE: done,
        }
        return {**result, SHOULD_CHECKPOINT: True} if self._due and not done else result

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """The best epoch's forecaster, and the state that the next epoch goes on from."""
        from lstm_model.inference.predictor import TrainedForecaster
        from lstm_model.training.state import write_state

        folder, fit = Path(checkpoint_dir), self._made
        if fit is not None and fit.best is not None:
            forecaster = TrainedForecaster.of(
                self._series,
                self._target,
                fit.config,
                fit.best.weights,
                fit.best.score,
                self._reading,
            )
            forecaster.save(folder / "best")
            write_state(folder, *fit.state())
        self._saved = time.monotonic()
        self._patience = min(2 * self._patience, self._checkpoint_seconds)

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        self._fit.load_state(*_state(Path(checkpoint_dir)))


def _state(folder: StoragePath) -> tuple[dict[str, "Tensor"], dict[str, Any]]:
    """What write_state() wrote there.

    Raises:
        InputError: it is damaged, which is the trial's own fault.
        OSError: it can't be read, which is the storage's.
    """
    from lstm_model.training.state import read_state

    try:
        return read_state(folder)
    except InputError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def _wants_memory(error: RuntimeError) -> bool:
    """Whether torch could not have as much memory as it asked for."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def epoch_report(epoch: "Epoch") -> dict[str, Any]:
    """An epoch as Trial.report() takes it."""
    best = {"epoch": epoch.best.epoch, **epoch.best.score.as_json()}
    return {
        "epoch": epoch.number,
        "loss": epoch.loss,
        "rmse": epoch.score.rmse,
        "mae": epoch.score.mae,
        "skill": epoch.score.skill,
        "learning_rate": epoch.learning_rate,
        "gradient_norm": epoch.gradient_norm,
        "seconds": epoch.seconds,
        "best": best,
    }
