"""tuning.run with a witness: a line, in a file outside the study, for all that the study is told.

WITNESS names the file; CHECKPOINT_SECONDS, where it is set, how often trials are saved; KILL_AT
when the command kills itself: `reported:3`, after the third epoch that it hears of, or
`checkpointed:2`, when the second checkpoint is complete and not yet in its trial's record.
"""

import json
import os
import signal
import sys
from pathlib import Path

from lstm_model.command import run_app
from tuning.ray_backend import environment

environment.set_environment()

from tuning import run  # noqa: E402 (Ray reads its settings when it is imported)
from tuning.ray_backend import runner  # noqa: E402
from tuning.study.study import Study  # noqa: E402
from tuning.study.trial import Trial  # noqa: E402
from tuning.study.view import Listener, StudyView  # noqa: E402
from tuning.workflows import run_study  # noqa: E402


class Witness(Listener):
    """A study's listener: it hears of things after they are written."""

    def on_trial_start(self, study: StudyView, trial: Trial) -> None:
        self._note("started", trial)

    def on_epoch(self, study: StudyView, trial: Trial) -> None:
        self._note("reported", trial)

    def on_trial_end(self, study: StudyView, trial: Trial) -> None:
        self._note("ended", trial)

    def _note(self, event: str, trial: Trial) -> None:
        best = trial.best and trial.best["rmse"]
        facts: dict[str, object] = {"trial": trial.id, "state": trial.state}
        facts |= {"epochs": trial.epochs, "rmse": best, "config": trial.config}
        handle = os.open(os.environ["WITNESS"], os.O_APPEND | os.O_CREAT | os.O_WRONLY)
        os.write(handle, (json.dumps({"event": event, **facts}) + "\n").encode())
        os.close(handle)
        reach(event)


kind, _, count = os.environ.get("KILL_AT", "never:0").partition(":")
left = {kind: int(count)}


def reach(event: str) -> None:
    """End as a machine does that loses its power, at the moment that KILL_AT says."""
    if event in left:
        left[event] -= 1
        if left[event] == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> int:
    attach_files, on_checkpoint = run_study.attach_files, Study.on_checkpoint

    def attach_witness(study: Study) -> None:
        attach_files(study)
        study.attach(Witness())

    def die_before_checkpoint(study: Study, id: int, checkpoint: str | Path) -> None:
        reach("checkpointed")
        on_checkpoint(study, id, checkpoint)

    run_study.attach_files = attach_witness
    Study.on_checkpoint = die_before_checkpoint  # type: ignore[assignment, method-assign]
    if "KILL_AT" in os.environ:
        runner.REPORT_SECONDS = 0.0  # so that it may come after any epoch
    runner.CHECKPOINT_SECONDS = float(os.environ.get("CHECKPOINT_SECONDS", "10"))
    return run_app(run.app)


if __name__ == "__main__":
    sys.exit(main())
