"""lstm_model's epochs as a Ray Tune trial."""

import math
import time
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ray import tune

from lstm_model.configuration import Configuration, Reading
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.errors import InputError, TrainingFailed
from tuning.study.storage import StoragePath

if TYPE_CHECKING:
    # torch takes seconds to import. Workers have it before their first trial; the command, which
    # has this module too, gives its first trials out without it.
    from torch import Tensor

    from lstm_model.training.trainer import Epoch, Trainer
    from tuning.search.searcher import Suggestion, TrialResult
    from tuning.study.trial import BestScore, EpochReport

# A trial's first checkpoint while no other has ended; see CheckpointTimer.
FIRST_CHECKPOINT_SECONDS = 1.0
# What ends a trial and not its worker.
TRIAL_ERRORS = (TrainingFailed, InputError, MemoryError)
# The arguments of a call of reset(), and those that have a name.
ResetArguments = tuple[tuple[object, ...], dict[str, object]]


class CheckpointTimer:
    """When a trial's next checkpoint is due: `seconds` after its last one, or after its start.

    While no trial has ended, checkpoints are the only models that there are. The first one then
    comes after FIRST_CHECKPOINT_SECONDS, and each further one after twice as long as the last.
    """

    def __init__(self, seconds: float, *, soon: bool) -> None:
        self._longest = seconds
        self._interval = min(FIRST_CHECKPOINT_SECONDS, seconds) if soon else seconds
        self._last = time.monotonic()

    def is_due(self) -> bool:
        return time.monotonic() - self._last >= self._interval

    def restart(self) -> None:
        """Count from now on: a checkpoint has been written."""
        self._last = time.monotonic()
        self._interval = min(2 * self._interval, self._longest)


class Trainable(tune.Trainable):  # type: ignore[misc]
    """One trial after another in the same process, and some epochs a step.

    Attributes:
        suggestion: what the trial is to train.
        checkpoint_timer: when the trial is to be saved.
    """

    def setup(
        self,
        config: "Suggestion",
        table: EncodedTable,
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
        self._table, self._target, self._folder = table, target, folder
        self._reading = reading
        self._max_epochs, self._seed = max_epochs, seed
        self._device = "cuda" if gpu else "cpu"
        self._decision_epochs = decision_epochs
        self._report_seconds, self._checkpoint_seconds = report_seconds, checkpoint_seconds
        self.begin_trial(config)

    def train(self, reset_first: ResetArguments | None = None) -> "TrialResult":
        """Take a step; of another trial where there is what Tune would call reset() with."""
        self._reset(reset_first)
        result: TrialResult = super().train()
        return result

    def restore(self, checkpoint_path: str, reset_first: ResetArguments | None = None) -> None:
        """Go on from a checkpoint; `reset_first` as in train()."""
        self._reset(reset_first)
        super().restore(checkpoint_path)

    def _reset(self, call: ResetArguments | None) -> None:
        if call is not None:
            arguments, named = call
            self.reset(*arguments, **named)

    def reset_config(self, new_config: "Suggestion") -> bool:
        """Take on another trial: nothing of the last one stays but the process and the data."""
        self.begin_trial(new_config)
        return True

    def begin_trial(self, suggestion: "Suggestion") -> None:
        self.suggestion = suggestion
        # Created in the first step: what goes wrong in that is the trial's own, and the last
        # trial's memory is free before the next one's is taken.
        self._trainer: Trainer | None = None
        soon = suggestion.get("checkpoint_soon", False)
        self.checkpoint_timer = CheckpointTimer(self._checkpoint_seconds, soon=soon)

    def create_trainer(self) -> "Trainer":
        """The trial's training, at its beginning or at the checkpoint that it goes on from."""
        from lstm_model.training.trainer import Trainer

        trainer = Trainer(
            Configuration.model_validate(self.suggestion["hyperparameters"]),
            self._table,
            max_epochs=self._max_epochs,
            seed=self._seed,
            device=self._device,
        )
        if checkpoint := self.suggestion.get("checkpoint"):
            trainer.load_state(*read_checkpoint(self._folder / checkpoint))
        return trainer

    def _get_trainer(self) -> "Trainer":
        if self._trainer is None:
            self._trainer = self.create_trainer()
        return self._trainer

    def step(self) -> "TrialResult":
        reports: list[EpochReport] = []
        begun = time.monotonic()
        try:
            trainer = self._get_trainer()
            # A trial that is resumed at its very end trains no more: the study has to hear of it.
            while trainer.epoch < self._max_epochs:
                reports.append(epoch_report(trainer.run_epoch()))
                spent = time.monotonic() - begun
                # What ends the step anyway may be as near again: a report more is milliseconds in
                # which nothing is trained.
                left = spent / len(reports) * self._epochs_to_decision(trainer.epoch)
                enough = spent >= self._report_seconds and left > self._report_seconds
                decision = trainer.epoch in self._decision_epochs
                if enough or decision or self.checkpoint_timer.is_due():
                    break
        except (*TRIAL_ERRORS, RuntimeError) as error:
            # Of torch's own errors want of memory is the trial's fault; after another one the
            # process may be spoilt, and Tune replaces it.
            if not isinstance(error, TRIAL_ERRORS) and not _is_out_of_memory(error):
                raise
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            epoch = self._trainer.epoch if self._trainer else 0
            failed: TrialResult = {"epoch": epoch, "objective": math.nan, "reports": reports}
            return {**failed, "reason": reason, "done": True}
        assert trainer.best is not None
        objective, done = trainer.best.score.objective, trainer.epoch >= self._max_epochs
        result: TrialResult = {"epoch": trainer.epoch, "objective": objective, "reports": reports}
        if self.checkpoint_timer.is_due() and not done:
            result["should_checkpoint"] = True
        return {**result, "done": done}

    def _epochs_to_decision(self, epoch: int) -> int:
        """How many are left to the next one that a step ends with, or to the trial's end."""
        ahead = (at for at in self._decision_epochs if at > epoch)
        return min(ahead, default=self._max_epochs) - epoch

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """The best epoch's forecaster, and the state that the next epoch goes on from."""
        from lstm_model.inference.predictor import TrainedForecaster
        from lstm_model.training.state import write_state

        folder, trainer = Path(checkpoint_dir), self._trainer
        if trainer is not None and trainer.best is not None:
            best, config = trainer.best, trainer.config
            forecaster = TrainedForecaster.from_weights(
                self._table, self._target, config, best.weights, best.score, self._reading
            )
            forecaster.save(folder / "best")
            write_state(folder, *trainer.state())
        self.checkpoint_timer.restart()

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        self._get_trainer().load_state(*read_checkpoint(Path(checkpoint_dir)))


def read_checkpoint(folder: StoragePath) -> "tuple[dict[str, Tensor], dict[str, Any]]":
    """The state that a trial goes on from: what write_state() wrote there.

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


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch could not have as much memory as it asked for."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def epoch_report(epoch: "Epoch") -> "EpochReport":
    """An epoch for the trial's record."""
    best = {"epoch": epoch.best.epoch, **epoch.best.score.to_json()}
    return {
        "epoch": epoch.number,
        "loss": epoch.loss,
        "rmse": epoch.score.rmse,
        "mae": epoch.score.mae,
        "skill": epoch.score.skill,
        "learning_rate": epoch.learning_rate,
        "gradient_norm": epoch.gradient_norm,
        "seconds": epoch.seconds,
        "best": cast("BestScore", best),
    }
