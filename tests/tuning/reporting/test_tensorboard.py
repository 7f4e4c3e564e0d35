"""What TensorBoard's own readers find in the events of studies and of a comparison."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from PIL import Image
from pyarrow import fs
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2, metadata

from lstm_model.configuration import HYPERPARAMETERS
from lstm_model.data.series import EncodedSeries
from lstm_model.data.sources import load_dataset
from lstm_model.evaluation.baselines import evaluate_baselines
from lstm_model.figures import forecasts as figures
from lstm_model.inference.predictor import TrainedForecaster
from lstm_model.training.trainer import Trainer
from tests.tuning.study.test_study import report
from tuning.reporting import figure_thread as artist_module
from tuning.reporting import study_figures
from tuning.reporting.tensorboard.study_events import COLUMNS, Events, TensorBoard
from tuning.space.search_space import read_space
from tuning.study.storage import RemotePath
from tuning.study.study import Study
from tuning.study.trial import State, Trial
from tuning.study.view import StudyView

Make = Callable[..., Study]


@pytest.fixture
def make(space: Callable[..., Path], tmp_path: Path) -> Iterator[Make]:
    listeners = []

    def study(name: str, **changes: Any) -> Study:
        settled = read_space(str(space(**changes)))
        table = load_dataset(settled.data)
        series = EncodedSeries.from_table(table.frame, table.step, settled.data)
        made = Study(
            StudyView(
                tmp_path / "runs" / name,
                settled,
                table,
                series,
                evaluate_baselines(series),
                begun=0.0,
            )
        )
        made.create([])
        listeners.append(TensorBoard(made))
        made.listeners.append(listeners[-1])
        return made

    yield study
    for listener in listeners:
        listener.close()


ONE_LAYER = {"hidden_size": 8, "num_layers": 1, "learning_rate": 0.01, "loss": "mse"}
TWO_LAYERS = {**ONE_LAYER, "num_layers": 2, "dropout": 0.25}


def events(study: Study, run: str = "") -> EventAccumulator:
    return EventAccumulator(str(study.folder / "tensorboard" / run), {"images": 0}).Reload()


def curve(study: Study, run: str, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in events(study, run).Scalars(tag)]


def texts(study: Study, tag: str) -> str:
    [*_, last] = events(study).Tensors(f"{tag}/text_summary")
    return str(last.tensor_proto.string_val[0].decode())


def fit(study: Study, id: int, config: dict[str, Any], state: Any = "finished") -> None:
    """A trial, truly trained, as Ray's workers would report it."""
    study.on_trial_start(id, config)
    space = study.space
    training = Trainer(
        space.configuration(config), study.view.series, max_epochs=space.study.max_epochs, seed=id
    )
    for epoch in training:
        numbers = {"epoch": epoch.number, "loss": epoch.loss, "seconds": epoch.seconds}
        numbers |= {"learning_rate": epoch.learning_rate, "gradient_norm": epoch.gradient_norm}
        best = {"epoch": epoch.best.epoch, **epoch.best.score.as_json()}
        study.on_epoch(id, numbers | epoch.score.as_json() | {"best": best})
    folder = study.folder / "checkpoints" / "0" / str(id) / "checkpoint_000000"
    folder.mkdir(parents=True)
    assert training.best is not None
    TrainedForecaster.of(
        study.view.series, "pm", training.config, training.best.weights, training.best.score
    ).save(folder / "best")
    study.on_checkpoint(id, str(folder))
    study.on_trial_end(id, state)


def test_every_epochs_curves_are_there(make: Make) -> None:
    study = make("air")
    study.on_trial_start(0, ONE_LAYER)
    for epoch, rmse in ((1, 9.0), (2, 10.0)):
        study.on_epoch(0, report(epoch, rmse, best=(1, 9.0)))
    # Before the trial has ended, and without anybody having closed a file.
    assert curve(study, "running/0000", "validation/rmse") == [(1, 9.0), (2, 10.0)]
    study.on_trial_end(0, "finished")
    run = "trials/0000"
    assert curve(study, run, "validation/rmse") == [(1, 9.0), (2, 10.0)]
    assert curve(study, run, "whole_trial/rmse") == [(1, 9.0), (2, 9.0)]
    assert curve(study, run, "training/loss") == [(1, 0.5), (2, 0.5)]
    assert curve(study, run, "validation/mae") == [(1, 4.5), (2, 5.0)]
    assert [step for step, _ in curve(study, run, "validation/skill")] == [1, 2]
    assert curve(study, run, "whole_trial/seconds") == [(1, 2.0), (2, 4.0)]


def test_the_baselines_are_lines_in_the_same_charts(make: Make) -> None:
    study = make("air")
    rmse = study.view.baselines.persistence.rmse
    assert [step for step, _ in curve(study, "persistence", "validation/rmse")] == [1, 2, 3, 4]
    lines = curve(study, "persistence", "validation/rmse")
    assert [value for _, value in lines] == pytest.approx([rmse] * 4)
    step, lowest = curve(study, "persistence", "whole_study/lowest_rmse")[-1]
    assert step == 4
    assert lowest == pytest.approx(rmse)
    skill = study.view.baselines.scores["ridge"].skill
    step, first = curve(study, "ridge", "validation/skill")[0]
    assert step == 1
    assert first == pytest.approx(skill)


def row(study: Study, run: str) -> Any:
    """(row in HPARAMS, status) of a trial."""
    found = events(study, run).summary_metadata
    start = metadata.parse_session_start_info_plugin_data(
        found[metadata.SESSION_START_INFO_TAG].plugin_data.content
    )
    if metadata.SESSION_END_INFO_TAG not in found:
        return start, None
    end = metadata.parse_session_end_info_plugin_data(
        found[metadata.SESSION_END_INFO_TAG].plugin_data.content
    )
    return start, end.status


def test_a_running_trial_has_its_row_with_conditional_columns(make: Make) -> None:
    study = make("air")
    study.on_trial_start(0, ONE_LAYER)
    study.on_trial_start(1, TWO_LAYERS)  # nothing has ended, nothing is closed
    (first, status), (second, _) = row(study, "running/0000"), row(study, "running/0001")
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
def test_how_a_trial_ended_is_in_its_row(make: Make, state: Any, status: int) -> None:
    study = make("air")
    study.on_trial_start(0, ONE_LAYER)
    study.on_epoch(0, report(1, 9.0))
    study.on_trial_end(0, state)
    start, end = row(study, "trials/0000")
    assert (start.hparams["state"].string_value, end) == (state, status)
    # Else TensorBoard would show the mean of the two.
    assert not list((study.folder / "tensorboard" / "running").iterdir())


def test_a_trial_that_goes_on_has_one_row_and_one_curve(make: Make) -> None:
    study = make("air")
    study.on_trial_start(0, ONE_LAYER)
    for epoch in (1, 2, 3):
        study.on_epoch(0, report(epoch, 9.0 - epoch))
    study.on_trial_end(0, "interrupted")
    del study.trials[0].history[1:]  # its last checkpoint was of epoch 1
    again = TensorBoard(study.view)
    study.listeners[:] = [again]
    study.on_trial_start(0, ONE_LAYER)
    assert not (study.folder / "tensorboard" / "trials" / "0000").exists()
    study.on_epoch(0, report(2, 5.0))
    assert curve(study, "running/0000", "validation/rmse") == [(1, 8.0), (2, 5.0)]
    study.on_trial_end(0, "finished")
    assert curve(study, "trials/0000", "validation/rmse") == [(1, 8.0), (2, 5.0)]
    assert row(study, "trials/0000")[0].hparams["state"].string_value == "finished"
    again.close()


def test_studies_declare_the_same_columns(make: Make) -> None:
    declared = []
    for name in ("air", "other"):
        study = make(name)
        content = events(study).summary_metadata[metadata.EXPERIMENT_TAG].plugin_data.content
        experiment = metadata.parse_experiment_plugin_data(content)
        declared.append((list(experiment.hparam_infos), list(experiment.metric_infos)))
    assert declared[0] == declared[1]
    names = {info.name for info in declared[0][0]}
    assert names == {"study", "state", "data", *HYPERPARAMETERS}
    assert [info.name.tag for info in declared[0][1]] == list(COLUMNS.values())
    # TensorBoard shows five at first: these, and not the first five of the alphabet. Its parallel
    # coordinates leave out trials without a dropout where that is shown.
    shown = {info.name for info in declared[0][0] if info.differs}
    assert shown == {"state", "hidden_size", "num_layers", "learning_rate", "loss"}


def test_simulated_data_are_labelled(make: Make) -> None:
    study = make("air")
    object.__setattr__(study.view.table, "simulated", True)
    object.__setattr__(study.view.table, "warning", "Beijing's data could not be had (no network)")
    TensorBoard(study.view).close()
    for tag in ("settings", "outcome"):
        assert "SIMULATED DATA" in texts(study, tag)
    assert "could not be had (no network)" in texts(study, "settings")


def test_what_won_is_told_and_drawn_of_rows_before_the_test(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    weeks = figures.weeks

    def spy(times: Any, *rest: Any, **options: Any) -> Any:
        seen.append(times)
        return weeks(times, *rest, **options)

    monkeypatch.setattr(figures, "weeks", spy)
    study = make("air", horizon=2)
    fit(study, 0, ONE_LAYER | {"learning_rate": 1e-3})
    fit(study, 1, ONE_LAYER)
    fit(study, 2, TWO_LAYERS | {"learning_rate": 1e-3}, "stopped_early")
    study.finish("finished")
    assert study.view.best is study.trials[1]
    assert set(events(study).Tags()["images"]) == {
        "best model/forecasts, first lead time",
        "best model/forecasts, last lead time",
        "best model/errors by lead time",
        "best model/errors by level",
        "best model/gates in the highest week",
        "search/history",  # eight trials are needed for importances
    }
    for tag in events(study).Tags()["images"]:
        [image] = events(study).Images(tag)
        assert image.step == 3
        with Image.open(BytesIO(image.encoded_image_string)) as png:
            assert png.size == (image.width, image.height)
    for times in seen:
        assert times[0] == np.datetime64("2020-02-10")
        assert times[-1] == np.datetime64("2020-02-24T23:00")
    best = [epoch["rmse"] for epoch in study.trials[1].history]
    assert [value for _, value in curve(study, "best", "validation/rmse")] == pytest.approx(best)
    said = texts(study, "outcome")
    assert "air: finished. 2 finished, 1 stopped early, 0 failed." in said
    assert "**Trial 1 is the best**" in said
    assert "below persistence" in said
    assert "| persistence |" in said
    lowest = curve(study, "", "whole_study/lowest_rmse")
    assert [step for step, _ in lowest] == [1, 2, 3]
    assert lowest[0][1] > lowest[1][1] == lowest[2][1] == pytest.approx(min(best))


def test_figures_are_drawn_at_most_once_a_minute_while_trials_go_on(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make("air")
    for id in (0, 1):
        fit(study, id, ONE_LAYER)
    assert not events(study).Tags()["images"], "a minute has not gone"
    drawn: list[int] = []
    gate = threading.Event()

    def show(pngs: Any, step: int) -> None:
        gate.wait(60)
        drawn.append(step)

    minute = time.monotonic() + artist_module.LEAST_SECONDS
    put_by: list[str] = []
    artist = artist_module.FigureThread(
        show, lambda: put_by.append(threading.current_thread().name)
    )
    monkeypatch.setattr("tuning.reporting.figure_thread.time.monotonic", lambda: minute + 1)
    assert artist.look(study)
    assert not drawn, "nobody waits for what is drawn"
    assert not artist.look(study)
    gate.set()
    artist.close()
    assert drawn == [2]
    assert put_by == ["figures"], "a bucket holds up no trial"
    assert not artist.look(study), "the next minute has not gone"
    monkeypatch.setattr("tuning.reporting.figure_thread.time.monotonic", lambda: minute + 20)
    assert not artist.look(study)
    artist.close()
    assert put_by == ["figures"] * 2, "that is not as dear as to draw"
    artist.finish(study)
    assert drawn == [2, 2]
    assert not [thread for thread in threading.enumerate() if thread.name == "figures"]
    assert sys.getswitchinterval() == pytest.approx(0.005), "Python's own: the process is not ours"


def test_the_model_is_drawn_while_the_last_trials_train(make: Make) -> None:
    """The end has less to do."""
    study = make("air", trials=3)
    drawn: list[tuple[list[str], int]] = []
    artist = artist_module.FigureThread(lambda found, step: drawn.append((sorted(found), step)))
    fit(study, 0, ONE_LAYER)
    assert not artist.look(study), "there are trials to come"
    artist.close()
    for id in (1, 2):
        study.on_trial_start(id, ONE_LAYER)
    assert artist.look(study)
    artist.close()
    assert not artist.look(study), "once"
    best = study.trials[0].best
    assert best is not None
    study.trials[0].best = best | {"rmse": 1.0}  # its model is the one drawn
    [(tags, step)] = drawn
    assert {tag.partition("/")[0] for tag in tags} == {"best model"} and step == 1
    for id in (1, 2):
        study.on_trial_end(id, "failed", "NaN")
    artist.finish(study)
    assert drawn[1:] == [(["search/history"], 3)]


@pytest.mark.parametrize(("failure", "told"), [(OSError(28, "full"), ""), (ValueError("x"), "x")])
def test_a_figure_that_fails_is_no_matter_to_the_study(
    make: Make,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    failure: Exception,
    told: str,
) -> None:
    def fail(shown: Any) -> Any:
        raise failure

    monkeypatch.setattr(study_figures, "_of_the_search", fail)
    study = make("air")
    fit(study, 0, ONE_LAYER)
    study.finish("finished")
    said = capsys.readouterr().err
    assert said.count("warning: no figures for TensorBoard") == bool(told)
    assert told in said
    assert "Traceback" not in said


def test_a_full_disk_is_an_error_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = Events(tmp_path)
    written.close()
    with open("/dev/full", "wb", buffering=0) as full:
        monkeypatch.setattr(written._records, "_writer", full)
        with pytest.raises(OSError, match="No space left"):
            written.scalars({"a": 1.0}, 1)


def test_a_hundred_trials_take_little_room(make: Make) -> None:
    study = make("air")
    for id in range(10):
        study.on_trial_start(id, ONE_LAYER)
        for epoch in range(1, 31):
            study.on_epoch(id, report(epoch, 9.0))
        study.on_trial_end(id, "finished")
    folder = study.folder / "tensorboard"
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    assert 10 * size < 5e6, "the rest of 20 MB is for figures"


def test_events_are_put_where_no_file_grows(make: Make) -> None:
    """As in an object store: a file system in memory stands for one."""
    study = make("air")
    local = study.folder
    memory = fsspec.filesystem("memory")
    system = fs.PyFileSystem(fs.FSSpecHandler(memory))
    study.folder = RemotePath(system, "/bucket/air", ("memory:/", ""))
    states: tuple[State, ...] = ("interrupted", "finished")
    for state in states:
        listener = TensorBoard(study.view)
        trial = study.trials.setdefault(0, Trial(0, ONE_LAYER))
        trial.state = "running"
        listener.on_trial_start(study.view, trial)
        trial.report(report(trial.epochs + 1, 9.0))
        listener.on_epoch(study.view, trial)
        trial.state = state
        listener.on_trial_end(study.view, trial)
        listener.on_study_end(study.view)
    study.folder = local.parent / "fetched"
    memory.get("/bucket/air", str(study.folder), recursive=True)
    assert curve(study, "trials/0000", "validation/rmse") == [(1, 9.0), (2, 9.0)]
    assert row(study, "trials/0000")[0].hparams["state"].string_value == "finished"
    study.folder = local
