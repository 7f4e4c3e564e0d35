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

from rich.console import Console

from lstm_model.command import run_app
from tuning.ray_backend import environment

environment.set_environment()

from tuning import run  # noqa: E402 (Ray reads its settings when it is imported)
from tuning.ray_backend import runner  # noqa: E402
from tuning.study.study import Study  # noqa: E402
from tuning.study.trial import Trial  # noqa: E402


class Witness:
    """A study's listener: it hears of things after they are written."""

    def started(self, study: Study, trial: Trial) -> None:
        self._note("started", trial)

    def reported(self, study: Study, trial: Trial) -> None:
        self._note("reported", trial)

    def ended(self, study: Study, trial: Trial) -> None:
        self._note("ended", trial)

    def finished(self, study: Study) -> None: ...

    def _note(self, event: str, trial: Trial) -> None:
        best = trial.best and trial.best["rmse"]
        facts = {"trial": trial.id, "state": trial.state, "epochs": trial.epochs, "rmse": best}
        facts["config"] = trial.config
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
    listen = run.listen

    def listen_too(study: Study, console: Console, at_once: int) -> None:
        listen(study, console, at_once)
        study.listeners.append(Witness())

    checkpointed = Study.checkpointed

    def checkpointed_too(study: Study, id: int, checkpoint: str | Path) -> None:
        reach("checkpointed")
        checkpointed(study, id, checkpoint)

    run.listen = listen_too
    Study.checkpointed = checkpointed_too  # type: ignore[assignment, method-assign]
    if "KILL_AT" in os.environ:
        runner.REPORT_SECONDS = 0.0  # so that it may come after any epoch
    runner.CHECKPOINT_SECONDS = float(os.environ.get("CHECKPOINT_SECONDS", "10"))
    return run_app(run.app)


if __name__ == "__main__":
    sys.exit(main())
