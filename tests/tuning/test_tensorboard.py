"""What TensorBoard's own readers find in the events of two studies."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2, metadata

from lstm_model.baselines import evaluate
from lstm_model.configuration import HYPERPARAMETERS
from lstm_model.series import Series
from lstm_model.sources import load_table
from tests.tuning.test_study import report
from tuning.search_space import read_space
from tuning.study import Study
from tuning.tensorboard import COLUMNS, TensorBoard


@pytest.fixture
def make(space: Callable[..., Path], tmp_path: Path) -> Callable[[str], Study]:
    def study(name: str) -> Study:
        settled = read_space(str(space()))
        table = load_table(settled.data)
        series = Series.from_table(table.frame, table.step, settled.data)
        made = Study(tmp_path / "runs" / name, settled, table, series, evaluate(series), begun=0.0)
        made.begin([])
        made.listeners.append(TensorBoard(made))
        return made

    return study


ONE_LAYER = {"hidden_size": 8, "num_layers": 1, "learning_rate": 0.01, "loss": "mse"}
TWO_LAYERS = {**ONE_LAYER, "num_layers": 2, "dropout": 0.25}


def test_every_epochs_curves_are_there(make: Callable[[str], Study]) -> None:
    study = make("air")
    study.started(0, ONE_LAYER)
    for epoch, rmse in ((1, 9.0), (2, 10.0)):
        study.reported(0, report(epoch, rmse, best=(1, 9.0)))
    study.ended(0, "finished")
    events = EventAccumulator(str(study.folder / "tensorboard" / "0000")).Reload()
    curve = {
        tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]
    }
    assert curve["validation/rmse"] == [(1, 9.0), (2, 10.0)]
    assert curve["best/rmse"] == [(1, 9.0), (2, 9.0)]
    assert curve["training/loss"] == [(1, 0.5), (2, 0.5)]
    assert curve["validation/mae"] == [(1, 4.5), (2, 5.0)]
    assert [step for step, _ in curve["validation/skill"]] == [1, 2]
    assert curve["trial/seconds"] == [(1, 2.0), (2, 4.0)]


def hparams(study: Study, run: str) -> Any:
    return EventAccumulator(str(study.folder / "tensorboard" / run)).Reload().summary_metadata


def test_a_running_trial_has_its_row_with_conditional_columns(
    make: Callable[[str], Study],
) -> None:
    study = make("air")
    study.started(0, ONE_LAYER)
    study.started(1, TWO_LAYERS)  # nothing has ended, nothing is closed
    starts = {}
    for run in ("0000", "0001"):
        [content] = [
            metadata.parse_session_start_info_plugin_data(m.plugin_data.content)
            for tag, m in hparams(study, run).items()
            if tag == metadata.SESSION_START_INFO_TAG
        ]
        starts[run] = content
    assert "dropout" not in starts["0000"].hparams
    assert starts["0001"].hparams["dropout"].number_value == 0.25
    assert starts["0001"].hparams["loss"].string_value == "mse"
    assert starts["0001"].hparams["batch_size"].number_value == 8
    assert starts["0001"].hparams["study"].string_value == "air"
    assert starts["0000"].group_name == "air/0"
    study.finish("interrupted")


def test_studies_declare_the_same_columns(make: Callable[[str], Study]) -> None:
    declared = []
    for name in ("air", "other"):
        study = make(name)
        content = hparams(study, "")[metadata.EXPERIMENT_TAG].plugin_data.content
        experiment = metadata.parse_experiment_plugin_data(content)
        declared.append((list(experiment.hparam_infos), list(experiment.metric_infos)))
        study.finish("interrupted")
    assert declared[0] == declared[1]
    assert {info.name for info in declared[0][0]} == {"study", "data", *HYPERPARAMETERS}
    assert [info.name.tag for info in declared[0][1]] == list(COLUMNS.values())


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("finished", api_pb2.STATUS_SUCCESS),
        ("stopped_early", api_pb2.STATUS_SUCCESS),
        ("failed", api_pb2.STATUS_FAILURE),
        ("interrupted", api_pb2.STATUS_UNKNOWN),
    ],
)
def test_how_a_trial_ended_is_its_status(
    make: Callable[[str], Study], state: Any, status: int
) -> None:
    study = make("air")
    study.started(0, ONE_LAYER)
    study.reported(0, report(1, 9.0))
    study.ended(0, state)
    content = hparams(study, "0000")[metadata.SESSION_END_INFO_TAG].plugin_data.content
    assert metadata.parse_session_end_info_plugin_data(content).status == status


def test_simulated_data_are_labelled(make: Callable[[str], Study]) -> None:
    study = make("air")
    object.__setattr__(study.table, "simulated", True)
    object.__setattr__(study.table, "warning", "Beijing's data could not be had (no network)")
    TensorBoard(study)._root.close()
    events = EventAccumulator(str(study.folder / "tensorboard")).Reload()
    texts = [e.tensor_proto.string_val[0].decode() for e in events.Tensors("data/text_summary")]
    assert "SIMULATED DATA" in texts[-1]
    assert "could not be had (no network)" in texts[-1]
    study.finish("finished")
