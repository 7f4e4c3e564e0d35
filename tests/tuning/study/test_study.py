"""A study's folder, told what happens without any Ray."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from lstm_model.errors import InputError
from tests.builders import copy_of, epoch_report
from tests.tuning.study.studies import CONFIG, checkpoint, folder_of, read
from tuning.study import summary
from tuning.study.manifest import read_study_space
from tuning.study.study import Study
from tuning.study.trial import Trial
from tuning.study.view import Listener, StudyView


def test_it_begins_with_the_space_as_it_was_given_and_what_it_means(study: Study) -> None:
    assert (folder_of(study) / "space.yaml").read_text() == study.space.text
    settings = read(study, "study.json")
    assert settings["command"] == ["python", "-m", "tuning.run"]
    assert settings["seed"] == 0
    assert settings["settings"]["trials"] == 4
    assert settings["data"]["sha256"] == study.view.dataset.sha256
    assert settings["data"]["settings"]["validation_from"] == "2020-02-10T00:00:00"
    assert settings["search"]["dropout"]["when"] == {"num_layers": [2]}
    assert settings["fixed"] == {"context_length": 12, "chunk_length": 48}
    assert settings["defaults"]["batch_size"] == 8
    assert "hidden_size" not in settings["defaults"]
    assert {"python", "torch", "ray", "optuna"} <= set(settings["versions"])
    assert read(study, "summary.json")["best"] is None


def test_a_name_that_exists_is_refused(study: Study) -> None:
    before = sorted(study.folder.rglob("*"))
    with pytest.raises(InputError, match="exists; go on with it: --resume"):
        study.create([])
    assert sorted(study.folder.rglob("*")) == before


def test_the_life_of_a_trial_is_in_its_record(study: Study) -> None:
    study.on_trial_start(0, CONFIG)
    assert read(study, "trials/0.json")["state"] == "running"
    study.on_epoch(0, epoch_report(1, 9.0))
    study.on_epoch(0, epoch_report(2, 10.0, best=(1, 9.0)))
    study.on_checkpoint(0, checkpoint(study, 0))
    record = read(study, "trials/0.json")
    assert record["checkpoint"] == "checkpoints/0/0/checkpoint_000000"
    assert (record["seconds"], record["best"]["epoch"], record["best"]["rmse"]) == (4.0, 1, 9.0)
    assert [epoch["rmse"] for epoch in record["history"]] == [9.0, 10.0]
    study.on_trial_end(0, "finished")
    record = read(study, "trials/0.json")
    assert (record["state"], record["checkpoint"]) == ("finished", None)
    assert not (study.folder / "checkpoints" / "0" / "0").exists()
    assert Trial.from_json(record) == study.trials[0]


def test_listeners_hear_of_the_end_even_where_nothing_can_be_written(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = Mock()
    study.listeners.append(listener)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(summary, "write_file", full)
    with pytest.raises(OSError, match="No space"):
        study.finish("failed")
    listener.on_study_end.assert_called_once()


def test_a_listener_that_fails_keeps_no_other_from_the_end(study: Study) -> None:
    first, second = Mock(), Mock()
    first.on_study_end.side_effect = OSError(28, "No space left on device")
    study.listeners += [first, second]
    with pytest.raises(OSError, match="No space"):
        study.finish("finished")
    second.on_study_end.assert_called_once()
    study.resume([])  # it was released


def test_an_interrupted_trial_keeps_its_checkpoint(study: Study) -> None:
    study.on_trial_start(0, CONFIG)
    study.on_epoch(0, epoch_report(1, 8.0))
    folder = checkpoint(study, 0)
    study.on_checkpoint(0, folder)
    study.on_trial_end(0, "interrupted")
    study.finish("interrupted")
    assert folder.exists()
    assert read(study, "trials/0.json")["checkpoint"] == "checkpoints/0/0/checkpoint_000000"
    assert read(study, "summary.json")["state"] == "interrupted"


def test_listeners_hear_of_everything_in_order(study: Study) -> None:
    events = []

    class Recorder(Listener):
        def on_study_start(self, study: StudyView) -> None:
            events.append(("study starts", len(study.trials)))

        def on_trial_start(self, study: StudyView, trial: Trial) -> None:
            events.append(("starts", trial.id))

        def on_epoch(self, study: StudyView, trial: Trial) -> None:
            events.append(("epoch", trial.epochs))

        def on_trial_end(self, study: StudyView, trial: Trial) -> None:
            events.append(("ends", trial.id))

        def on_study_end(self, study: StudyView) -> None:
            events.append((f"study {study.outcome}", len(study.trials)))

    study.attach(Recorder())
    study.on_trial_start(5, CONFIG)
    study.on_epoch(5, epoch_report(1, 8.0))
    study.on_trial_end(5, "finished")
    study.finish("finished")
    assert events == [
        ("study starts", 0),
        ("starts", 5),
        ("epoch", 1),
        ("ends", 5),
        ("study finished", 1),
    ]


def test_a_built_space_is_kept_as_a_file_would_be(study: Study, tmp_path: Path) -> None:
    """Whatever was changed since: the settings are in study.json."""
    given = study.space
    built = replace(given, fixed={"context_length": 12}, name="mine").overridden(
        {"study.trials": 3, "data.horizon": 2}
    )
    assert built.text != given.text
    other = copy_of(study, tmp_path / "runs" / "built", built)
    other.create([])
    assert (folder_of(other) / "space.yaml").read_text() == built.text
    again = read_study_space(other.folder)
    assert again == built
    assert (again.text, again.study.trials, again.data.horizon) == (built.text, 3, 2)
    (folder_of(other) / "space.yaml").write_text(replace(built, fixed={}).text)
    with pytest.raises(InputError, match="but its fixed changed; put it back"):
        read_study_space(other.folder)
