"""A study's folder read back, and what is refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lstm_model.errors import InputError
from tests.tuning.test_study import CONFIG, checkpoint, report
from tuning.resume import find_study, read_space_of, read_trials, refuse_other_data
from tuning.study import Study

pytest_plugins = ("tests.tuning.test_study",)


def test_a_study_is_found_by_its_folder_or_its_name(study: Study) -> None:
    runs = study.folder.parent
    assert find_study(str(study.folder), runs) == study.folder
    assert find_study("air", runs) == study.folder
    with pytest.raises(InputError, match=r"but 'water' holds no study\.json; in .* there is air"):
        find_study("water", runs)


def test_the_space_comes_back_with_its_flags(study: Study) -> None:
    study.space = study.space.overridden({"study.trials": 9, "data.horizon": 2})
    settings = study._settings([])
    (study.folder / "study.json").write_text(json.dumps(settings))
    found = read_space_of(study.folder)
    assert (found.study.trials, found.data.horizon) == (9, 2)
    assert found.search == study.space.search
    assert found.name == "tiny.yaml"
    assert found == study.space


def test_other_data_are_refused(study: Study) -> None:
    refuse_other_data(study.folder, study.table)
    with pytest.raises(InputError, match="was begun with other data"):
        refuse_other_data(study.folder, replace(study.table, sha256="0" * 64))


def test_records_come_back_in_order(study: Study) -> None:
    for id in (10, 2, 0):
        study.started(id, CONFIG)
        study.reported(id, report(1, 9.0))
        study.ended(id, "finished")
    assert list(read_trials(study.folder)) == [0, 2, 10]
    assert read_trials(study.folder) == study.trials


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("study.json", "{", r"study\.json is damaged"),
        ("study.json", '{"format": 2}', "the format must be 1, but got 2"),
        ("study.json", '{"format": 1}', r"study\.json is damaged"),
        ("space.yaml", "version: 3", "version"),
        ("trials/0.json", "", r"trials/0\.json is damaged"),
        ("trials/0.json", '{"id": 0}', r"trials/0\.json is damaged: it lacks 'config'"),
    ],
)
def test_a_damaged_file_is_named(study: Study, file: str, content: str, message: str) -> None:
    (study.folder / file).write_text(content)
    read = read_trials if file.startswith("trials") else read_space_of
    with pytest.raises(InputError, match=message):
        read(study.folder)


def reopened(study: Study) -> Study:
    study.release()  # as its process does when it ends
    found = read_trials(study.folder)
    again = Study(study.folder, study.space, study.table, study.series, study.baselines, 0.0, found)
    again.go_on(["--resume"])
    return again


def test_what_was_under_way_goes_back_to_its_checkpoint(study: Study) -> None:
    study.started(0, CONFIG)
    for epoch, rmse in ((1, 9.0), (2, 8.0)):
        study.reported(0, report(epoch, rmse))
    folder = checkpoint(study, 0)
    (folder / "training.json").write_text(json.dumps({"epoch": 2}))
    study.checkpointed(0, folder)
    study.reported(0, report(3, 7.0))
    study._write(study.trials[0])  # as the next checkpoint would, just before a kill
    study.started(1, CONFIG)
    study.reported(1, report(1, 9.5))

    again = reopened(study)
    assert [trial.state for trial in again.trials.values()] == ["interrupted", "interrupted"]
    assert again.trials[0].lowest == [9.0, 8.0]
    assert again.trials[0].best is None, "the best epoch came after the checkpoint"
    assert again.trials[1].epochs == 0, "without a checkpoint it starts anew"


def test_a_damaged_checkpoint_means_a_start_anew(study: Study) -> None:
    study.started(0, CONFIG)
    study.reported(0, report(1, 9.0))
    folder = checkpoint(study, 0)
    (folder / "training.json").write_text("{")
    study.checkpointed(0, folder)
    again = reopened(study)
    assert (again.trials[0].checkpoint, again.trials[0].epochs) == (None, 0)


def test_a_study_that_runs_is_not_run_twice(study: Study) -> None:
    other = Study(study.folder, study.space, study.table, study.series, study.baselines, 0.0, {})
    with pytest.raises(InputError, match="another process is running"):
        other.go_on([])


def test_resuming_is_noted(study: Study) -> None:
    reopened(study)
    settings = json.loads((study.folder / "study.json").read_text())
    assert [each["command"] for each in settings["resumed"]] == [["--resume"]]


def test_trials_are_added_to_the_budget(study: Study, space: Callable[..., Path]) -> None:
    study.space = study.space.overridden({"study.trials": 40})
    reopened(study)
    assert read_space_of(study.folder).study.trials == 40
