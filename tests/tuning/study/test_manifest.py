"""study.json, written and read back."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lstm_model.errors import InputError
from tests.builders import copy_of
from tests.tuning.study.studies import folder_of, reopened
from tuning.study.manifest import check_data, read_study_space
from tuning.study.study import Study


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


def test_resuming_is_noted(study: Study) -> None:
    reopened(study, study.space.overridden({"resources.cpu": 2}))
    assert read_study_space(study.folder).resources.cpu == 2
    settings = json.loads((folder_of(study) / "study.json").read_text())
    assert [each["command"] for each in settings["resumed"]] == [["--resume"]]


def test_trials_are_added_to_the_budget(study: Study, space: Callable[..., Path]) -> None:
    reopened(study, study.space.overridden({"study.trials": 40}))
    assert read_study_space(study.folder).study.trials == 40


def test_a_space_that_was_changed_is_refused(study: Study) -> None:
    file = folder_of(study) / "space.yaml"
    file.write_text(file.read_text().replace("high: 16", "high: 32"))
    with pytest.raises(InputError, match=r"space\.yaml must be as .*, but its search changed"):
        read_study_space(study.folder)
