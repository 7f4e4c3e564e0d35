"""Rows and columns of TensorBoard's HPARAMS."""

from typing import Any

import pytest
from tensorboard.plugins.hparams import api_pb2, metadata

from lstm_model.configuration import HYPERPARAMETERS
from tests.builders import epoch_report
from tests.tuning.reporting.conftest import MakeStudy
from tests.tuning.reporting.event_files import ONE_LAYER, TWO_LAYERS, events, row
from tuning.reporting.tensorboard.hparams import HPARAMS_METRICS


def test_running_trial_has_a_row_with_conditional_columns(make_study: MakeStudy) -> None:
    study = make_study("air")
    study.on_trial_start(0, ONE_LAYER)
    study.on_trial_start(1, TWO_LAYERS)  # nothing has ended, nothing is closed
    (first, status), (second, _) = (row(study.folder, f"running/000{id}") for id in (0, 1))
    assert "dropout" not in first.hparams
    assert second.hparams["dropout"].number_value == 0.25
    assert second.hparams["loss"].string_value == "mse"
    assert second.hparams["batch_size"].number_value == 8
    assert second.hparams["study"].string_value == "air"
    assert (first.hparams["state"].string_value, status) == ("running", None)
    assert first.group_name == "0000 air"


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("finished", api_pb2.STATUS_SUCCESS),
        ("stopped_early", api_pb2.STATUS_SUCCESS),
        ("failed", api_pb2.STATUS_FAILURE),
        ("interrupted", api_pb2.STATUS_UNKNOWN),
    ],
)
def test_row_says_how_a_trial_ended(make_study: MakeStudy, state: Any, status: int) -> None:
    study = make_study("air")
    study.on_trial_start(0, ONE_LAYER)
    study.on_epoch(0, epoch_report(1, 9.0))
    study.on_trial_end(0, state)
    start, end = row(study.folder, "trials/0000")
    assert (start.hparams["state"].string_value, end) == (state, status)
    # Else TensorBoard would show the mean of the two.
    assert not list((study.folder / "tensorboard" / "running").iterdir())


def test_studies_declare_the_same_columns(make_study: MakeStudy) -> None:
    declared = []
    for name in ("air", "other"):
        summaries = events(make_study(name).folder).summary_metadata
        content = summaries[metadata.EXPERIMENT_TAG].plugin_data.content
        experiment = metadata.parse_experiment_plugin_data(content)
        declared.append((list(experiment.hparam_infos), list(experiment.metric_infos)))
    assert declared[0] == declared[1]
    names = {info.name for info in declared[0][0]}
    assert names == {"study", "state", "data", *HYPERPARAMETERS}
    assert [info.name.tag for info in declared[0][1]] == list(HPARAMS_METRICS.values())
    # TensorBoard shows five at first: these, and not the first five of the alphabet. Its parallel
    # coordinates leave out trials without a dropout where that is shown.
    shown = {info.name for info in declared[0][0] if info.differs}
    assert shown == {"state", "hidden_size", "num_layers", "learning_rate", "loss"}
