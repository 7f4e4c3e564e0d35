"""A study as TensorBoard events: curves and a row in HPARAMS for each trial, text for the whole."""

import json
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.hparams.summary_v2 import (
    Discrete,
    HParam,
    IntInterval,
    Metric,
    RealInterval,
    hparams_config_pb,
    hparams_pb,
)
from torch.utils.tensorboard import FileWriter
from torch.utils.tensorboard.summary import scalar, text

from lstm_model.configuration import HYPERPARAMETERS, Hyperparameter
from tuning.record import Trial

if TYPE_CHECKING:
    from tuning.study import Study

# Tags of the chart a trial's report goes to, and what HPARAMS shows as columns.
CURVES = {
    "loss": "training/loss",
    "learning_rate": "training/learning_rate",
    "gradient_norm": "training/gradient_norm",
    "rmse": "validation/rmse",
    "mae": "validation/mae",
    "skill": "validation/skill",
}
COLUMNS = {
    "rmse": "best/rmse",
    "mae": "best/mae",
    "skill": "best/skill",
    "epochs": "trial/epochs",
    "seconds": "trial/seconds",
}
STATUS = {
    "finished": api_pb2.STATUS_SUCCESS,
    "stopped_early": api_pb2.STATUS_SUCCESS,
    "failed": api_pb2.STATUS_FAILURE,
    "interrupted": api_pb2.STATUS_UNKNOWN,
}


class TensorBoard:
    """Writes below <study>/tensorboard: a run for the study and one for each trial.

    Over several studies TensorBoard takes one record of what the HPARAMS columns are. So each
    study writes the same: every hyperparameter there is, and the study's name.
    """

    def __init__(self, study: "Study") -> None:
        threading.excepthook = _unless_of_storage
        self._folder = study.folder / "tensorboard"
        self._trials: dict[int, FileWriter] = {}
        self._root = _writer(self._folder)
        self._root.add_summary(
            hparams_config_pb(
                hparams=[
                    HParam("study", description="the study's name"),
                    HParam("data", description="beijing, simulated, or a CSV's path"),
                    *(_column(each) for each in HYPERPARAMETERS.values()),
                ],
                metrics=[Metric(tag, display_name=name) for name, tag in COLUMNS.items()],
            )
        )
        facts = study.data()
        if study.table.simulated:
            facts = {"note": "SIMULATED DATA: it says nothing about Beijing", **facts}
        self._text("data", _table(facts))
        settings = study.space.data.model_dump(mode="json") | study.space.study.model_dump()
        self._text("settings", _table(settings))
        self._root.flush()

    def started(self, study: "Study", trial: Trial) -> None:
        if trial.id in self._trials:
            return  # tried again after its worker died: the same run goes on
        writer = self._trials[trial.id] = _writer(self._folder / f"{trial.id:04d}")
        if trial.epochs:
            # Resumed: drop the steps that will run again.
            start = SessionLog(status=SessionLog.START)
            writer.add_event(Event(session_log=start), step=trial.epochs + 1)
        values = {
            "study": study.name,
            "data": study.table.source,
            **study.space.defaults,
            **trial.config,
        }
        writer.add_summary(hparams_pb(values, trial_id=f"{study.name}/{trial.id}"))
        writer.flush()

    def reported(self, study: "Study", trial: Trial) -> None:
        writer, epoch = self._trials[trial.id], trial.history[-1]
        for name, tag in CURVES.items():
            writer.add_summary(scalar(tag, epoch[name]), trial.epochs)
        values = {**(trial.best or {}), "epochs": trial.epochs, "seconds": trial.seconds}
        for name, tag in COLUMNS.items():
            writer.add_summary(scalar(tag, values[name]), trial.epochs)

    def ended(self, study: "Study", trial: Trial) -> None:
        writer = self._trials.pop(trial.id)
        if trial.reason:
            writer.add_summary(text("reason", trial.reason))
        writer.add_summary(_session_end(STATUS[trial.state]))
        writer.close()

    def finished(self, study: "Study") -> None:
        summary = study.summary()
        if best := summary["best"]:
            self._text("best trial", _table({"trial": best["trial"], **best["config"]}))
            self._text("best trial's validation", _table(best["validation"]))
        self._text("outcome", _table({"state": summary["state"], **summary["trials"]}))
        self._root.close()
        for writer in self._trials.values():
            writer.close()

    def _text(self, tag: str, markdown: str) -> None:
        self._root.add_summary(text(tag, markdown))


def _unless_of_storage(told: threading.ExceptHookArgs) -> None:
    """The writers' threads meet a full disk as well; the next event raises it where it is told."""
    if not isinstance(told.exc_value, OSError):
        threading.__excepthook__(told)


def _writer(folder: Path) -> FileWriter:
    folder.mkdir(parents=True, exist_ok=True)
    return FileWriter(str(folder), max_queue=100, flush_secs=5)


def _session_end(status: int) -> Summary:
    """What summary_v2 has no function for, and tensorboard's other one needs TensorFlow for."""
    end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=time.time())
    value = Summary.Value(
        tag=metadata.SESSION_END_INFO_TAG,
        metadata=metadata.create_summary_metadata(
            plugin_data_pb2.HParamsPluginData(session_end_info=end)
        ),
        tensor=metadata.NULL_TENSOR,
    )
    return Summary(value=[value])


def _column(hyperparameter: Hyperparameter) -> HParam:
    low, high = hyperparameter.low, hyperparameter.high
    if low is None or high is None:
        domain: Any = Discrete(hyperparameter.choices, dtype=str)
    elif hyperparameter.kind == "int":
        domain = IntInterval(int(low), int(high))
    else:
        domain = RealInterval(float(low), float(high))
    return HParam(hyperparameter.name, domain, description=hyperparameter.meaning)


def _table(facts: dict[str, Any]) -> str:
    """Markdown: a row a fact."""
    rows = [f"| {key} | {_cell(value)} |" for key, value in facts.items()]
    return "\n".join(["| | |", "|---|---|", *rows])


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        return value
    return json.dumps(value).replace("|", "\\|")
