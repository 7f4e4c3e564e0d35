"""What TensorBoard's HPARAMS shows: its columns, and a row for each trial."""

import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import get_args

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

from lstm_model.configuration import HYPERPARAMETERS, Hyperparameter
from tuning.reporting.tensorboard.events import Events
from tuning.study.trial import State, Trial
from tuning.study.view import StudyView

# Tags of what is shown as columns, of a trial's best epoch so far. TensorBoard opens the first two
# groups of charts: these are not of them.
HPARAMS_METRICS = {
    "rmse": "whole_trial/rmse",
    "mae": "whole_trial/mae",
    "skill": "whole_trial/skill",
    "epochs": "whole_trial/epochs",
    "seconds": "whole_trial/seconds",
}
STATUS = {
    "finished": api_pb2.STATUS_SUCCESS,
    "stopped_early": api_pb2.STATUS_SUCCESS,
    "failed": api_pb2.STATUS_FAILURE,
    "interrupted": api_pb2.STATUS_UNKNOWN,
}
# Ends the name of the file that holds a trial's row.
HPARAMS_SUFFIX = ".row"


def declare_columns(shown_first: Sequence[str]) -> Summary:
    """What the columns are.

    TensorBoard takes one record of that over several studies. So each study declares the same:
    every hyperparameter there is, the study's name, and the state.

    Args:
        shown_first: the names of those that TensorBoard shows without being asked.
    """
    columns: Summary = hparams_config_pb(
        hparams=[
            HParam("study", description="the study's name"),
            HParam("state", Discrete(get_args(State), dtype=str)),
            HParam("data", description="beijing, beijing_stations, simulated, or a table's path"),
            *(_column(hyperparameter) for hyperparameter in HYPERPARAMETERS.values()),
        ],
        metrics=[Metric(tag, display_name=name) for name, tag in HPARAMS_METRICS.items()],
    )
    about = columns.value[0].metadata.plugin_data
    data = plugin_data_pb2.HParamsPluginData.FromString(about.content)
    for info in data.experiment.hparam_infos:
        info.differs = info.name in shown_first
    about.content = data.SerializeToString()
    return columns


def write_row(run: Path, study: StudyView, trial: Trial) -> None:
    """Write a trial's row as it is in its present state; metrics are scalars of the run."""
    values = {
        "study": study.name,
        "state": trial.state,
        "data": study.dataset.source,
        **study.space.defaults,
        **trial.config,
    }
    with closing(Events(run, HPARAMS_SUFFIX)) as row:
        row.add(hparams_pb(values, trial_id=f"{run.name} {study.name}"))
        if trial.state in STATUS:
            row.add(_session_end(STATUS[trial.state]))


def _column(hyperparameter: Hyperparameter) -> HParam:
    low, high = hyperparameter.low, hyperparameter.high
    if low is None or high is None:
        domain = Discrete(hyperparameter.choices, dtype=str)
    elif hyperparameter.kind == "int":
        domain = IntInterval(int(low), int(high))
    else:
        domain = RealInterval(float(low), float(high))
    return HParam(hyperparameter.name, domain, description=hyperparameter.meaning)


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
