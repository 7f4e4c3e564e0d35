"""A study's folder read back, and what is refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lstm_model.errors import InputError
from lstm_model.inference.predictor import TrainedForecaster
from lstm_model.model.forecaster import LSTMForecaster
from lstm_model.training.state import write_state
from tests.builders import copy_of, epoch_report, write_record
from tests.tuning.study.test_study import CONFIG, checkpoint, folder_of
from tuning.space.search_space import SearchSpace
from tuning.study.manifest import check_data, read_study_space
from tuning.study.records import read_trials
from tuning.study.resume import check_trials, find_study
from tuning.study.study import Study

pytest_plugins = ("tests.tuning.study.test_study",)


def test_a_study_is_found_by_its_folder_or_its_name(study: Study) -> None:
    runs = study.folder.parent
    assert find_study(str(study.folder), runs, "STUDY") == study.folder
    assert find_study("air", runs, "STUDY") == study.folder
    said = r"^STUDY must name .*, but 'water' holds no study\.json; in .* there is air"
    with pytest.raises(InputError, match=said):
        find_study("water", runs, "STUDY")


def test_the_space_comes_back_with_its_flags(study: Study) -> None:
    space = study.space.overridden({"study.trials": 9, "data.horizon": 2})
    other = copy_of(study, study.folder.parent / "longer", space)
    other.create([])
    read = read_study_space(other.folder)
    assert (read.study.trials, read.data.horizon) == (9, 2)
    assert read.search == space.search
    assert read.name == "tiny.yaml"
    assert read == space


def test_other_data_are_refused(study: Study) -> None:
    check_data(study.folder, study.view.dataset)
    with pytest.raises(InputError, match="was begun with other data"):
        check_data(study.folder, replace(study.view.dataset, sha256="0" * 64))


def test_records_come_back_in_order(study: Study) -> None:
    for id in (10, 2, 0):
        study.on_trial_start(id, CONFIG)
        study.on_epoch(id, epoch_report(1, 9.0))
        study.on_trial_end(id, "finished")
    assert list(read_trials(study.folder)) == [0, 2, 10]
    assert read_trials(study.folder) == study.trials


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("study.json", "{", r"study\.json is damaged"),
        ("study.json", '{"format": 3}', "the format must be 2 or 1, but got 3"),
        ("study.json", '{"format": 1}', r"study\.json is damaged.* records beside it can still be"),
        ("space.yaml", "version: 3", "version"),
        ("trials/0.json", "", r"trials/0\.json is damaged"),
        ("trials/0.json", '{"id": 0}', r"trials/0\.json is damaged: it lacks config, state"),
    ],
)
def test_a_damaged_file_is_named(study: Study, file: str, content: str, message: str) -> None:
    (folder_of(study) / file).write_text(content)
    read = read_trials if file.startswith("trials") else read_study_space
    with pytest.raises(InputError, match=message):
        read(study.folder)


def replicated(study: Study, space: SearchSpace | None = None) -> Study:
    """The same study in another process."""
    study.release()  # as its process does when it ends
    return copy_of(study, space=space)


def reopened(study: Study, space: SearchSpace | None = None) -> Study:
    again = replicated(study, space)
    assert again.resume(["--resume"]) == []
    return again


def test_what_was_under_way_goes_back_to_its_checkpoint(study: Study) -> None:
    study.on_trial_start(0, CONFIG)
    for epoch, rmse in ((1, 9.0), (2, 8.0)):
        study.on_epoch(0, epoch_report(epoch, rmse))
    folder = checkpoint(study, 0)
    write_state(folder, {}, {"epoch": 2})
    study.on_checkpoint(0, folder)
    study.on_epoch(0, epoch_report(3, 7.0))
    write_record(study, study.trials[0])  # as the next checkpoint would, just before a kill
    study.on_trial_start(1, CONFIG)
    study.on_epoch(1, epoch_report(1, 9.5))

    again = reopened(study)
    assert [trial.state for trial in again.trials.values()] == ["interrupted", "interrupted"]
    assert again.trials[0].best_rmse_by_epoch == [9.0, 8.0]
    assert again.trials[0].best == epoch_report(2, 8.0)["best"], "the better one came after it"
    assert again.trials[1].epochs == 0, "without a checkpoint it starts anew"


@pytest.mark.parametrize("file", ["training.json", "training.safetensors"])
def test_a_damaged_checkpoint_means_a_start_anew(study: Study, file: str) -> None:
    study.on_trial_start(0, CONFIG)
    study.on_epoch(0, epoch_report(1, 9.0))
    folder = checkpoint(study, 0)
    write_state(folder, {}, {"epoch": 1})
    (folder / file).write_bytes((folder / file).read_bytes()[:-1])
    study.on_checkpoint(0, folder)
    found = replicated(study)
    (told,) = found.resume([])
    assert told.startswith("the checkpoint of trial 0 is lost, so it starts anew: ")
    assert file in told
    trial = found.trials[0]
    assert (trial.checkpoint, trial.epochs, trial.best, trial.saved) == (None, 0, None, None)


def test_a_study_that_runs_is_not_run_twice(study: Study) -> None:
    other = copy_of(study)
    with pytest.raises(InputError, match="another process is running"):
        other.resume([])


def test_resuming_is_noted(study: Study) -> None:
    reopened(study, study.space.overridden({"resources.cpu": 2}))
    assert read_study_space(study.folder).resources.cpu == 2
    settings = json.loads((folder_of(study) / "study.json").read_text())
    assert [each["command"] for each in settings["resumed"]] == [["--resume"]]


def test_trials_are_added_to_the_budget(study: Study, space: Callable[..., Path]) -> None:
    reopened(study, study.space.overridden({"study.trials": 40}))
    assert read_study_space(study.folder).study.trials == 40


def test_a_budget_below_the_trials_that_there_are_is_refused(study: Study) -> None:
    for id in range(3):
        study.on_trial_start(id, CONFIG)
    (folder_of(study) / "trials" / ".2.json.half").write_text("{")  # is no record
    for enough in (None, 3, 4):
        check_trials(study.folder, enough)
    with pytest.raises(InputError, match=r"^--trials must be at least 3, .*, but got 2; leave it"):
        check_trials(study.folder, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": 5}, "it is of trial 5"),
        ({"state": "done"}, "state: Input should be"),
        ({"seconds": "long"}, "seconds: "),
        ({"history": [{"epoch": 2, "rmse": 1.0}]}, "its history skips epochs"),
        ({"history": [{"epoch": 1}]}, "it lacks metrics"),
        ({"best": {"epoch": 1}}, "best.rmse: Field required"),
        ({"best": None}, "it is finished, but has no RMSE"),
        ({"checkpoint": "../other/checkpoints"}, "its checkpoint lies outside the study"),
        ({"checkpoint": "checkpoints/../../other"}, "its checkpoint lies outside the study"),
        ({"checkpoint": "/checkpoints"}, "its checkpoint lies outside the study"),
    ],
)
def test_a_record_that_contradicts_itself_is_damaged(
    study: Study, change: dict[str, object], message: str
) -> None:
    for id in range(3):
        study.on_trial_start(id, CONFIG)
        study.on_epoch(id, epoch_report(1, 9.0))
        study.on_trial_end(id, "finished")
    file = folder_of(study) / "trials" / "1.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    before = sorted((path, path.read_bytes()) for path in study.folder.rglob("*.*"))
    with pytest.raises(InputError) as refused:
        replicated(study).resume([])
    first, last = str(refused.value).splitlines()
    assert first.startswith(f"{file} is damaged: {message}")
    assert last == (
        "the records of 2 other trials are whole; remove what is damaged, and these trials will "
        "run again"
    )
    assert sorted((path, path.read_bytes()) for path in study.folder.rglob("*.*")) == before


def test_a_record_of_another_space_is_damaged(study: Study) -> None:
    study.on_trial_start(0, {**CONFIG, "hidden_size": 4000})
    study.on_epoch(0, epoch_report(1, 9.0))
    record = study.trials[0]
    record.state = "failed"
    write_record(study, record)
    before = (study.folder / "study.json").read_bytes()
    with pytest.raises(InputError, match=r"trials/0\.json is damaged: .*4000"):
        replicated(study).resume([])
    assert (study.folder / "study.json").read_bytes() == before


def test_a_space_that_was_changed_is_refused(study: Study) -> None:
    file = folder_of(study) / "space.yaml"
    file.write_text(file.read_text().replace("high: 16", "high: 32"))
    with pytest.raises(InputError, match=r"space\.yaml must be as .*, but its search changed"):
        read_study_space(study.folder)


@pytest.fixture
def trained(study: Study) -> TrainedForecaster:
    space = study.space
    config = space.configuration(space.initial_trials[0])
    model = LSTMForecaster.seeded(len(study.view.series.encoder.channels), config, 1, seed=1)
    return TrainedForecaster.from_weights(
        study.view.series, space.data.target, config, model.state_dict()
    )


def ended(study: Study, id: int, rmse: float, forecaster: TrainedForecaster) -> None:
    """Trial `id` with one epoch."""
    study.on_trial_start(id, CONFIG)
    study.on_epoch(id, epoch_report(1, rmse))
    folder = checkpoint(study, id)
    forecaster.save(folder / "best")
    study.on_checkpoint(id, folder)
    study.on_trial_end(id, "finished")


@pytest.mark.parametrize("file", ["model.safetensors", "model.json", "trial.json"])
def test_a_lost_best_model_is_made_again(
    study: Study, trained: TrainedForecaster, file: str
) -> None:
    ended(study, 0, 9.0, trained)
    ended(study, 1, 8.0, trained)
    damaged = study.folder / "best" / file
    damaged.write_bytes(damaged.read_bytes()[:-3])
    again = replicated(study)
    (told,) = again.resume([])
    assert told.endswith("best holds no model that can be read: trial 1 runs again to make it")
    assert [trial.state for trial in again.trials.values()] == ["finished", "interrupted"]
    assert (again.trials[1].epochs, again.trials[1].saved, again.view.best_trial) == (0, None, None)


def test_a_best_model_between_two_renames_is_found(
    study: Study, trained: TrainedForecaster
) -> None:
    """A kill in the middle of replacing best/: the new folder is whole, and has yet to move."""
    ended(study, 0, 9.0, trained)
    folder = folder_of(study)
    (folder / "best").rename(folder / ".best.new")
    (folder / "trials" / ".0.json.half").write_text("{")
    again = reopened(study)
    assert again.view.best_trial is not None
    assert again.view.best_trial.id == 0
    assert (study.folder / "best" / "model.safetensors").exists()
    assert not list(study.folder.rglob(".*"))


def test_checkpoints_that_nobody_needs_are_removed(study: Study) -> None:
    for id in range(2):
        study.on_trial_start(id, CONFIG)
        study.on_epoch(id, epoch_report(1, 9.0))
        folder = checkpoint(study, id)
        write_state(folder, {}, {"epoch": 1})
        study.on_checkpoint(id, folder)
    # Killed after the record was written, before its checkpoints were removed.
    study.trials[0].state, study.trials[0].checkpoint = "failed", None
    write_record(study, study.trials[0])
    again = reopened(study)
    home = folder_of(again)
    left = [str(path.relative_to(home)) for path in home.glob("checkpoints/*/*")]
    assert left == ["checkpoints/0/1"]
