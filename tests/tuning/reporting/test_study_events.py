"""What TensorBoard's own readers find in a study's events."""

from dataclasses import replace
from pathlib import Path

import fsspec
import pytest
from pyarrow import fs

from tests.builders import epoch_report
from tests.tuning.reporting.conftest import MakeStudy
from tests.tuning.reporting.event_files import ONE_LAYER, curve, events, row, texts
from tuning.reporting.tensorboard.study_events import TensorBoard
from tuning.study.storage import RemotePath
from tuning.study.trial import State, Trial


def test_every_epochs_curves_are_there(make_study: MakeStudy) -> None:
    study = make_study("air")
    study.on_trial_start(0, ONE_LAYER)
    for epoch, rmse in ((1, 9.0), (2, 10.0)):
        study.on_epoch(0, epoch_report(epoch, rmse, best=(1, 9.0)))
    # Before the trial has ended, and without anybody having closed a file.
    assert curve(study.folder, "running/0000", "validation/rmse") == [(1, 9.0), (2, 10.0)]
    study.on_trial_end(0, "finished")
    run = "trials/0000"
    assert curve(study.folder, run, "validation/rmse") == [(1, 9.0), (2, 10.0)]
    assert curve(study.folder, run, "whole_trial/rmse") == [(1, 9.0), (2, 9.0)]
    assert curve(study.folder, run, "training/loss") == [(1, 0.5), (2, 0.5)]
    assert curve(study.folder, run, "validation/mae") == [(1, 4.5), (2, 5.0)]
    assert [step for step, _ in curve(study.folder, run, "validation/skill")] == [1, 2]
    assert curve(study.folder, run, "whole_trial/seconds") == [(1, 2.0), (2, 4.0)]


def test_baselines_are_lines_in_the_same_charts(make_study: MakeStudy) -> None:
    study = make_study("air")
    baselines = study.view.baselines
    rmse = baselines.persistence.rmse
    lines = curve(study.folder, "persistence", "validation/rmse")
    assert [step for step, _ in lines] == [1, 2, 3, 4]
    assert [value for _, value in lines] == pytest.approx([rmse] * 4)
    step, lowest = curve(study.folder, "persistence", "whole_study/lowest_rmse")[-1]
    assert step == 4
    assert lowest == pytest.approx(rmse)
    step, first = curve(study.folder, "ridge", "validation/skill")[0]
    assert step == 1
    assert first == pytest.approx(baselines.scores["ridge"].skill)
    assert "`best|persistence|same|training|ridge`" in texts(study.folder, "outcome")


def test_resumed_trial_has_one_row_and_one_curve(make_study: MakeStudy) -> None:
    study = make_study("air")
    study.on_trial_start(0, ONE_LAYER)
    for epoch in (1, 2, 3):
        study.on_epoch(0, epoch_report(epoch, 9.0 - epoch))
    study.on_trial_end(0, "interrupted")
    del study.trials[0].history[1:]  # its last checkpoint was of epoch 1
    study.listeners.clear()
    again = TensorBoard()
    study.attach(again)
    study.on_trial_start(0, ONE_LAYER)
    assert not (study.folder / "tensorboard" / "trials" / "0000").exists()
    study.on_epoch(0, epoch_report(2, 5.0))
    assert curve(study.folder, "running/0000", "validation/rmse") == [(1, 8.0), (2, 5.0)]
    study.on_trial_end(0, "finished")
    assert curve(study.folder, "trials/0000", "validation/rmse") == [(1, 8.0), (2, 5.0)]
    assert row(study.folder, "trials/0000")[0].hparams["state"].string_value == "finished"
    again.close()


def test_simulated_data_are_labelled(make_study: MakeStudy) -> None:
    view = make_study("air").view
    warning = "Beijing's data could not be had (no network)"
    listener = TensorBoard()
    listener.on_study_start(
        replace(view, dataset=replace(view.dataset, simulated=True, warning=warning))
    )
    listener.close()
    for tag in ("settings", "outcome"):
        assert "SIMULATED DATA" in texts(view.folder, tag)
    assert "could not be had (no network)" in texts(view.folder, "settings")


def test_hundred_trials_take_little_room(make_study: MakeStudy) -> None:
    study = make_study("air")
    for id in range(10):
        study.on_trial_start(id, ONE_LAYER)
        for epoch in range(1, 31):
            study.on_epoch(id, epoch_report(epoch, 9.0))
        study.on_trial_end(id, "finished")
    folder = study.folder / "tensorboard"
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    assert 10 * size < 5e6, "the rest of 20 MB is for figures"


def test_bucket_has_a_resumed_study_whole(make_study: MakeStudy, tmp_path: Path) -> None:
    """A file system in memory stands for an object store, in which no file grows."""
    memory = fsspec.filesystem("memory")
    system = fs.PyFileSystem(fs.FSSpecHandler(memory))
    trial = Trial(0, ONE_LAYER)
    view = replace(
        make_study("air").view,
        folder=RemotePath(system, "/bucket/air", ("memory:/", "")),
        trials={0: trial},
    )
    states: tuple[State, ...] = ("interrupted", "finished")
    for state in states:
        listener = TensorBoard()
        listener.on_study_start(view)
        trial.state = "running"
        listener.on_trial_start(view, trial)
        trial.report(epoch_report(trial.epochs + 1, 9.0))
        listener.on_epoch(view, trial)
        trial.state = state
        listener.on_trial_end(view, trial)
        listener.on_study_end(view)
    fetched = tmp_path / "fetched"
    memory.get("/bucket/air", str(fetched), recursive=True)
    assert curve(fetched, "trials/0000", "validation/rmse") == [(1, 9.0), (2, 9.0)]
    assert row(fetched, "trials/0000")[0].hparams["state"].string_value == "finished"
    assert not events(fetched, "trials/0000").Tags()["images"]
