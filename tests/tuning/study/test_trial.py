"""A trial's record, and a study's name."""

import pytest

from lstm_model.errors import InputError
from tests.builders import epoch_report
from tests.tuning.study.studies import CONFIG
from tuning.study.study import Study
from tuning.study.trial import study_name


def test_epochs_that_run_again_after_a_restore_count_once(study: Study) -> None:
    study.on_trial_start(0, CONFIG)
    for epoch in (1, 2, 3):
        study.on_epoch(0, epoch_report(epoch, 9.0 - epoch))
    study.on_trial_start(0, CONFIG)  # its worker died; its checkpoint was of epoch 1
    study.on_epoch(0, epoch_report(2, 7.0))
    assert study.trials[0].epochs == 2
    assert [epoch["epoch"] for epoch in study.trials[0].history] == [1, 2]


@pytest.mark.parametrize("name", ["a", "air-2", "2020.01", "A_b+c", "x" * 100])
def test_names_that_a_study_may_have(name: str) -> None:
    assert study_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "/etc", "-x", ".x", "a b", "a\n", "x" * 101, "ü", "a\0"]
)
def test_names_that_could_mean_another_folder(name: str) -> None:
    with pytest.raises(InputError, match="a study's name must be"):
        study_name(name)
