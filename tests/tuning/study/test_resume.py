"""A study's folder read back, and what is refused."""

import pytest

from lstm_model.errors import InputError
from lstm_model.training.state import write_state
from tests.builders import copy_of, epoch_report, write_record
from tests.tuning.study.studies import CONFIG, checkpoint, folder_of, reopened, replicated
from tuning.study.manifest import read_study_space
from tuning.study.records import read_trials
from tuning.study.resume import check_trials, find_study
from tuning.study.study import Study


def test_a_study_is_found_by_its_folder_or_its_name(study: Study) -> None:
    runs = study.folder.parent
    assert find_study(str(study.folder), runs, "STUDY") == study.folder
    assert find_study("air", runs, "STUDY") == study.folder
    said = r"^STUDY must name .*, but 'water' holds no study\.json; in .* there is air"
    with pytest.raises(InputError, match=said):
        find_study("water", runs, "STUDY")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("study.json", "{", r"study\.json is damaged"),
        ("study.json", '{"format": 5}', "the format must be 4 or 3, but got 5"),
        ("study.json", '{"format": 3}', r"study\.json is damaged.* records beside it can still be"),
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
    assert again.trials[0].best_objective_by_epoch == [9.0, 8.0]
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


def test_a_budget_below_the_trials_that_there_are_is_refused(study: Study) -> None:
    for id in range(3):
        study.on_trial_start(id, CONFIG)
    (folder_of(study) / "trials" / ".2.json.half").write_text("{")  # is no record
    for enough in (None, 3, 4):
        check_trials(study.folder, enough)
    with pytest.raises(InputError, match=r"^--trials must be at least 3, .*, but got 2; leave it"):
        check_trials(study.folder, 2)


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
