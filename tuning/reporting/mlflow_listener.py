"""A study's way to an MLflow server: a thread sends what the server lacks, beside the trials."""

import os
import queue
import re
import shlex
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lstm_model.command import print_stderr
from lstm_model.errors import InputError
from tuning.reporting.mlflow_runs import StudyRuns
from tuning.shell import resume_command
from tuning.study.trial import Trial
from tuning.study.view import Listener, StudyView

if TYPE_CHECKING:
    from mlflow import MlflowClient

RETRY_SECONDS = 30.0  # after a request that failed twice
END_SECONDS = 30.0  # a study that has ended waits so long for what is still to be sent
DEFAULT_EXPERIMENT = "lstm-tuning"
# How MLflow's client behaves, where the user's environment does not say it: no minutes of waiting
# for a dead server, which is asked again anyway, and no line on standard output for each run.
SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


@dataclass(frozen=True)
class MLflowServer:
    """Where runs go."""

    uri: str
    experiment: str

    @property
    def shown(self) -> str:
        """The URI without a password in it."""
        return hide_password(self.uri)

    @contextmanager
    def client(self) -> "Iterator[MlflowClient]":
        """A client of its own: MLflow's global server and its active run stay the user's."""
        from mlflow import MlflowClient  # takes seconds

        added = {name: value for name, value in SETTINGS.items() if name not in os.environ}
        os.environ.update(added)
        try:
            yield MlflowClient(tracking_uri=self.uri)
        finally:
            for name in added:
                os.environ.pop(name, None)


def hide_password(text: str) -> str:
    """A text without what stands before the last @ of a URI in it."""
    return re.sub(r"//\S*@", "//", text)


def find_server(uri: str, experiment: str | None = None) -> MLflowServer:
    """The server at this URI, once it has answered.

    Args:
        experiment: without it that of MLFLOW_EXPERIMENT_NAME, else DEFAULT_EXPERIMENT.

    Raises:
        InputError: the library is missing, nobody answers, or the experiment was deleted.
    """
    if not uri.strip():
        raise InputError(
            "--mlflow must be the URI of an MLflow server, such as http://127.0.0.1:5000, but got "
            f"{uri!r}"
        )
    name = experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME") or DEFAULT_EXPERIMENT
    server = MLflowServer(uri, name)
    try:
        with server.client() as client:
            known = client.get_experiment_by_name(name)
    except ModuleNotFoundError as error:
        if error.name != "mlflow":  # a database's driver
            raise InputError(
                f"--mlflow {server.shown} needs the module {error.name}, which is not installed; "
                "install it, or name a server"
            ) from error
        raise InputError(
            "--mlflow needs the library mlflow, which is not installed; "
            "pip install 'lstm-tuning[mlflow]'"
        ) from error
    except Exception as error:  # MLflow's own, and those of others that it lets through
        raise InputError(
            f"--mlflow must be the URI of an MLflow server that answers, but got {server.shown}: "
            f"{reason_of(error)}; start one (mlflow server), or name another"
        ) from error
    if known and known.lifecycle_stage == "deleted":
        raise InputError(
            f"--mlflow-experiment must name one that is there, or a new one, but {name!r} was "
            f"deleted on {server.shown}; restore it, or choose another one"
        )
    return server


def reason_of(error: BaseException) -> str:
    """What went wrong at the bottom of MLflow's error, in a line."""
    chain = [error]
    while cause := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(cause)
    for each in reversed(chain):
        if isinstance(each, OSError) and each.strerror:
            return each.strerror
        if isinstance(each, ConnectionError):
            return str(each)
        if isinstance(each, TimeoutError):
            return "it takes too long to answer"
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return hide_password(first)[:200]


class MLflow(Listener):
    """Has a study sent: the study's own thread only says what has changed.

    Whatever the server does, the study goes on. What is missing there is told once, and once more
    where the server fails again after it had answered.
    """

    def __init__(self, server: MLflowServer) -> None:
        self._server = server
        # A study, which of its trials has changed, and how many have ended; None wakes the thread.
        self._events: queue.SimpleQueue[tuple[StudyView, Trial | None, int] | None]
        self._events = queue.SimpleQueue()
        self._waiting: dict[int, Trial] = {}  # of these the server may lack something
        self._over = threading.Event()
        self._has_warned = False  # since the server last had everything

    def on_study_start(self, study: StudyView) -> None:
        self._study, self._ended = study, study.done
        self._runs = StudyRuns(study, self._server.experiment)
        self._put(study)
        for trial in study.trials.values():
            self._put(study, trial)
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
        self._thread.start()

    def on_trial_start(self, study: StudyView, trial: Trial) -> None:
        self._put(study, trial)

    def on_epoch(self, study: StudyView, trial: Trial) -> None:
        self._put(study, trial)

    def on_trial_end(self, study: StudyView, trial: Trial) -> None:
        self._ended += not trial.under_way
        self._put(study, trial)

    def on_study_end(self, study: StudyView) -> None:
        self._put(study)
        self._over.set()
        self._events.put(None)  # the thread may have taken the last already
        self._thread.join(END_SECONDS)
        if self._thread.is_alive():
            self._tell(f"no answer within {END_SECONDS:g} s")

    def _put(self, study: StudyView, trial: Trial | None = None) -> None:
        self._events.put((study, trial, self._ended))

    def _work(self) -> None:
        failures, last = 0, False
        with self._server.client() as client:
            # A first failure may be a connection that had been idle for too long: it is asked at
            # once again, and nobody is told.
            while not last or failures == 1:
                if failures > 1:
                    self._over.wait(RETRY_SECONDS)
                last = self._take(wait=not failures)
                try:
                    if self._runs.look(client, self._study):  # the server has nothing yet
                        self._waiting = {
                            each.id: each for each in list(self._study.trials.values())
                        }
                    for trial in list(self._waiting.values()):
                        self._runs.send_trial(trial)
                        del self._waiting[trial.id]
                    self._runs.send_study(self._study, self._count, last)
                    failures, self._has_warned = 0, False
                except Exception as error:  # MLflow's own, and those of others
                    failures += 1
                    self._runs.forget()
                    if failures > 1:
                        self._tell(reason_of(error))

    def _take(self, wait: bool) -> bool:
        """Take all that has changed; whether nothing more will."""
        event = self._events.get() if wait else None
        last = self._over.is_set()  # set after the last event was put
        while True:
            if event:
                self._study, trial, self._count = event
                if trial:
                    self._waiting[trial.id] = trial
            try:
                event = self._events.get_nowait()
            except queue.Empty:
                return last

    def _tell(self, reason: str) -> None:
        if self._has_warned:
            return
        self._has_warned = True
        study, server = self._study, self._server
        trials = sorted(self._waiting)
        numbers = ", ".join(map(str, trials[:5])) + (" and more" if len(trials) > 5 else "")
        lacking = f"of trials {numbers}" if trials else "of the study itself"
        again = f"{resume_command(study.folder)} --mlflow {shlex.quote(server.shown)}"
        if server.experiment != DEFAULT_EXPERIMENT:
            again += f" --mlflow-experiment {shlex.quote(server.experiment)}"
        print_stderr(
            f"warning: MLflow on {server.shown} lacks what is new {lacking} in study {study.name}: "
            f"{reason}. The study goes on, and what is missing is sent once the server answers; "
            f"after the study's end, by: {again}"
        )
