"""The trials' records, read back."""

import json

import pytest

from lstm_model.errors import InputError
from tests.builders import epoch_report
from tests.tuning.study.studies import CONFIG, folder_of, replicated
from tuning.study.records import read_trials
from tuning.study.study import Study


def test_records_come_back_in_order(study: Study) -> None:
    for id in (10, 2, 0):
        study.on_trial_start(id, CONFIG)
        study.on_epoch(id, epoch_report(1, 9.0))
        study.on_trial_end(id, "finished")
    assert list(read_trials(study.folder)) == [0, 2, 10]
    assert read_trials(study.folder) == study.trials


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
