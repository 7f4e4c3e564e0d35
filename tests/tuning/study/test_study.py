"""A study's folder, told what happens without any Ray."""

import csv
import io
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from lstm_model.errors import InputError
from tests.builders import epoch_report, study_view
from tuning.study import summary
from tuning.study.study import Study
from tuning.study.summary import trials_csv
from tuning.study.trial import State, Trial, study_name
from tuning.study.view import Listener, StudyView

CONFIG = {"context_length": 12, "chunk_length": 48, "hidden_size": 8, "num_layers": 1}


@pytest.fixture
def study(space: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setattr(summary, "DERIVE_SECONDS", 0.0)
    monkeypatch.setattr(summary, "DERIVE_SHARE", math.inf)
    made = Study(study_view(tmp_path / "runs" / "air", space()))
    made.create(["python", "-m", "tuning.run"])
    return made


def folder_of(study: Study) -> Path:
    """Which none of these tests has in a bucket."""
    assert isinstance(study.folder, Path)
    return study.folder


def read(study: Study, name: str) -> Any:
    return json.loads((folder_of(study) / name).read_text())


def checkpoint(study: Study, id: int, number: int = 0) -> Path:
    folder = folder_of(study) / "checkpoints" / "0" / str(id) / f"checkpoint_{number:06}"
    (folder / "best").mkdir(parents=True)
    (folder / "best" / "model.json").write_text(json.dumps({"trial": id, "number": number}))
    return folder


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


def test_only_pm25_of_a_known_source_has_its_unit_and_levels(study: Study) -> None:
    def known(source: str, target: str) -> bool:
        view = study.view
        data = view.space.data.model_copy(update={"target": target})
        table, space = replace(view.dataset, source=source), replace(view.space, data=data)
        return replace(view, dataset=table, space=space).target_is_pm25

    assert known("beijing", "pm2.5")
    assert known("simulated", "pm2.5")
    assert not known("beijing", "TEMP")
    assert not known("air.csv", "pm2.5")


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


def test_epochs_that_run_again_after_a_restore_count_once(study: Study) -> None:
    study.on_trial_start(0, CONFIG)
    for epoch in (1, 2, 3):
        study.on_epoch(0, epoch_report(epoch, 9.0 - epoch))
    study.on_trial_start(0, CONFIG)  # its worker died; its checkpoint was of epoch 1
    study.on_epoch(0, epoch_report(2, 7.0))
    assert study.trials[0].epochs == 2
    assert [epoch["epoch"] for epoch in study.trials[0].history] == [1, 2]


def test_the_best_trials_model_is_kept(study: Study) -> None:
    for id, rmse in ((0, 9.0), (1, 8.0), (2, 8.5)):
        study.on_trial_start(id, CONFIG)
        study.on_epoch(id, epoch_report(1, rmse))
        study.on_checkpoint(id, checkpoint(study, id))
        study.on_trial_end(id, "finished")
    assert read(study, "best/model.json") == {"trial": 1, "number": 0}
    study.finish("finished")
    assert not (study.folder / "checkpoints").exists()
    outcome = read(study, "summary.json")
    assert (outcome["state"], outcome["best"]["trial"]) == ("finished", 1)
    assert outcome["best"]["validation"]["rmse"] == 8.0
    assert (
        outcome["best"]["validation"]["persistence_rmse"] == study.view.baselines.persistence.rmse
    )
    assert outcome["best"]["validation"]["ridge_rmse"] == study.view.baselines.scores["ridge"].rmse
    assert outcome["trials"] == {"finished": 3, "stopped_early": 0, "failed": 0}
    assert outcome["trial_seconds"] == 6.0


def end(study: Study, id: int, rmse: float, state: State = "finished") -> None:
    """A trial of one epoch, saved at its end, as Tune has it."""
    study.on_trial_start(id, CONFIG)
    study.on_epoch(id, epoch_report(1, rmse))
    study.on_checkpoint(id, checkpoint(study, id))
    study.on_trial_end(id, state)


def test_of_equals_the_first_is_best(study: Study) -> None:
    for id in (1, 0, 2):
        end(study, id, 8.0)
    assert study.view.best_trial is study.trials[0]
    assert read(study, "best/trial.json")["trial"] == 0


def test_the_best_is_the_one_whose_model_is_kept(study: Study) -> None:
    study.on_trial_start(0, CONFIG)
    study.on_epoch(0, epoch_report(1, 7.0))  # the lowest, but never saved
    end(study, 1, 9.0)
    study.on_trial_end(0, "failed", "its worker died 4 times")
    study.finish("finished")
    assert study.view.best_trial is study.trials[1]
    assert read(study, "summary.json")["best"]["trial"] == 1
    assert read(study, "best/model.json") == {"trial": 1, "number": 0}


def save(study: Study, id: int, epoch: int, rmse: float) -> None:
    study.on_epoch(id, epoch_report(epoch, rmse))
    study.on_checkpoint(id, checkpoint(study, id, epoch))


def test_until_a_trial_has_ended_the_best_is_the_leaders_last_checkpoint(study: Study) -> None:
    for id in (0, 1, 2):
        study.on_trial_start(id, CONFIG)
    save(study, 1, 1, 9.0)
    assert read(study, "best/model.json") == {"trial": 1, "number": 1}
    save(study, 2, 1, 9.5)
    assert study.view.best_trial is study.trials[1]
    save(study, 1, 2, 8.5)
    assert read(study, "best/model.json") == {"trial": 1, "number": 2}
    study.on_trial_end(2, "finished")  # no better, but it has ended
    assert read(study, "best/trial.json")["trial"] == 2
    save(study, 1, 3, 8.0)
    assert study.view.best_trial is study.trials[2], "trials under way are left out now"
    study.on_trial_end(1, "stopped_early")
    assert read(study, "best/model.json") == {"trial": 1, "number": 3}


def test_a_checkpoint_is_wanted_of_a_trial_that_would_be_the_best(study: Study) -> None:
    for id in (0, 1, 2):
        study.on_trial_start(id, CONFIG)
    assert study.needs_checkpoint(0, 9.0), "none has ended yet"
    assert not study.needs_checkpoint(0, math.nan), "there is nothing to keep"
    study.on_epoch(1, epoch_report(1, 8.0))
    study.on_checkpoint(1, checkpoint(study, 1))
    study.on_trial_end(1, "finished")
    assert not study.needs_checkpoint(0, 9.0)
    assert study.needs_checkpoint(2, 7.0)
    assert study.needs_checkpoint(0, 8.0)
    assert not study.needs_checkpoint(2, 8.0), "of equals the first is the best one"


def test_a_leader_that_fails_before_any_trial_has_ended_is_not_the_best(study: Study) -> None:
    study.on_trial_start(0, CONFIG)
    save(study, 0, 1, 9.0)
    study.on_trial_end(0, "failed", "out of memory")
    assert study.view.best_trial is None
    assert not (study.folder / "best").exists()
    study.finish("failed")
    assert read(study, "summary.json")["best"] is None


def test_a_failed_trial_is_never_the_best(study: Study) -> None:
    end(study, 0, 9.0)
    end(study, 1, 7.0, "failed")
    study.finish("finished")
    assert read(study, "summary.json")["best"]["trial"] == 0
    assert read(study, "best/model.json") == {"trial": 0, "number": 0}


def test_a_trial_that_was_cut_off_is_interrupted_and_keeps_its_checkpoint(study: Study) -> None:
    end(study, 0, 9.0)
    study.on_trial_start(1, CONFIG)
    study.on_epoch(1, epoch_report(1, 8.0))
    folder = checkpoint(study, 1)
    study.on_checkpoint(1, folder)
    study.on_epoch(1, epoch_report(2, 7.0))  # since the checkpoint: not saved
    study.finish("interrupted")
    assert read(study, "trials/1.json")["state"] == "interrupted"
    assert folder.exists()
    # It may still fail when it goes on, and no other trial's model would be left.
    best = read(study, "summary.json")["best"]
    assert (best["trial"], best["validation"]["rmse"]) == (0, 9.0)


def test_where_none_has_ended_the_best_is_one_that_was_cut_off(study: Study) -> None:
    study.on_trial_start(0, CONFIG)
    study.on_epoch(0, epoch_report(1, 8.0))
    study.on_checkpoint(0, checkpoint(study, 0))
    study.finish("interrupted")
    best = read(study, "summary.json")["best"]
    assert (best["trial"], best["validation"]["rmse"]) == (0, 8.0)


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


def test_the_table_has_a_row_a_trial_and_a_column_a_hyperparameter(study: Study) -> None:
    study.on_trial_start(
        1, {**CONFIG, "num_layers": 2, "dropout": 0.2, "learning_rate": 0.01, "loss": "mse"}
    )
    study.on_epoch(1, epoch_report(1, 8.0))
    study.on_trial_start(0, CONFIG)
    study.on_trial_end(0, "failed", 'the loss, as "they" say, is not finite')
    rows = list(csv.DictReader(io.StringIO((folder_of(study) / "trials.csv").read_text())))
    assert list(rows[0])[:7] == ["id", "state", "epochs", "seconds", "rmse", "mae", "skill"]
    assert [(row["id"], row["state"]) for row in rows] == [("0", "failed"), ("1", "running")]
    assert rows[0]["rmse"] == rows[0]["dropout"] == ""
    assert rows[0]["reason"] == 'the loss, as "they" say, is not finite'
    assert (rows[1]["rmse"], rows[1]["dropout"], rows[1]["loss"]) == ("8.0", "0.2", "mse")
    assert rows[1]["context_length"] == "12"
    assert trials_csv(study.trials, study.space) == (study.folder / "trials.csv").read_bytes()


def test_a_failed_trial_is_counted_and_is_not_the_best(study: Study) -> None:
    study.on_trial_start(0, CONFIG)
    study.on_trial_end(0, "failed", "out of memory")
    study.finish("failed")
    outcome = read(study, "summary.json")
    assert outcome["trials"]["failed"] == 1
    assert (outcome["state"], outcome["best"]) == ("failed", None)


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


@pytest.mark.parametrize("name", ["a", "air-2", "2020.01", "A_b+c", "x" * 100])
def test_names_that_a_study_may_have(name: str) -> None:
    assert study_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "/etc", "-x", ".x", "a b", "a\n", "x" * 101, "ü", "a\0"]
)
def test_names_that_could_mean_another_folder(name: str) -> None:
    with pytest.raises(InputError, match="a study's name must be"):
        study_name(name)
