"""Studies on an object store: a real S3 server (moto's) on loopback."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lstm_model.errors import InputError
from lstm_model.inference.predictor import TrainedForecaster
from tests.bucket_server import Front, server_clock
from tests.builders import copy_of, epoch_report
from tests.tuning.study.studies import CONFIG
from tuning.reporting.tensorboard.study_events import TensorBoard
from tuning.search import optuna_trials
from tuning.search.optuna_trials import Journal
from tuning.study import summary
from tuning.study.records import read_trials
from tuning.study.storage import (
    RemotePath,
    folder_size,
    map_files,
    parse_storage_path,
    relative_to,
    remove_tree,
)
from tuning.study.study import Study

Run = Callable[..., subprocess.CompletedProcess[str]]
Space = Callable[..., Path]


def test_a_place_is_a_directory_or_what_a_uri_names(bucket: str, tmp_path: Path) -> None:
    assert parse_storage_path("runs") == Path("runs")
    assert parse_storage_path(f"file://{tmp_path}") == tmp_path
    folder = parse_storage_path(f"{bucket}/")
    assert isinstance(folder, RemotePath)
    assert str(folder) == bucket
    assert str(folder / "air" / "trials") == f"{bucket}/air/trials"
    other = parse_storage_path("s3://bucket/a?endpoint_override=127.0.0.1:1&scheme=http")
    assert str(other / "b") == "s3://bucket/a/b?endpoint_override=127.0.0.1:1&scheme=http"
    with pytest.raises(InputError, match="a storage must be a directory or a URI such as s3://"):
        parse_storage_path("ftp://nowhere/studies")


def test_files_of_a_bucket(bucket: str) -> None:
    folder = parse_storage_path(bucket) / "files"
    assert isinstance(folder, RemotePath)
    assert not folder.exists()
    (folder / "a.json").write_bytes(b"1")
    (folder / "trials" / "0.json").write_bytes(b"22")
    (folder / "trials" / "1.json").write_bytes(b"333")
    assert folder.exists()
    assert folder.is_dir()
    assert (folder / "a.json").is_file()
    assert sorted(found.name for found in folder.glob("*")) == ["a.json", "trials"]
    assert sorted(found.stem for found in folder.glob("trials/*.json")) == ["0", "1"]
    assert list(folder.glob("*.yaml")) == []
    assert list((folder / "none").glob("*")) == []
    assert folder_size(folder) == 6
    assert relative_to(folder, "bucket/studies/files/trials/0.json") == "trials/0.json"
    (folder / "a.json").write_bytes(b"4444")
    assert (folder / "a.json").read_bytes() == b"4444"
    with pytest.raises(FileNotFoundError):
        (folder / "none").read_bytes()
    remove_tree(folder / "none")
    remove_tree(folder / "a.json")
    assert [found.name for found in folder.glob("*")] == ["trials"]
    remove_tree(folder)
    assert not folder.exists()


def count(front: Front) -> Callable[[], int]:
    """A function that says how many requests came since it was last asked."""
    before = front.requests.total()

    def since() -> int:
        nonlocal before
        total = front.requests.total()
        before, new = total, total - before
        return new

    return since


def test_what_a_listing_said_is_not_asked_again(front: Front, bucket: str) -> None:
    folder = parse_storage_path(bucket) / "listed"
    assert isinstance(folder, RemotePath)
    requests = count(front)
    (folder / "a.json").write_bytes(b"1")
    assert requests() == 1
    (folder / "deep" / "b.json").write_bytes(b"22")
    requests()
    files = [file for file in folder.rglob("*") if file.is_file() and file.exists()]
    assert sum(file.stat().st_size for file in files) == folder_size(folder) == 3
    assert requests() == 2
    file = next(file for file in files if file.name == "a.json")
    file.write_bytes(b"333")
    assert file.stat().st_size == 3, "it was written since"


def test_files_are_asked_for_many_at_once_in_their_order(front: Front, bucket: str) -> None:
    folder = parse_storage_path(bucket) / "many"
    files = [folder / str(number) for number in range(64)]
    front.seconds, front.most_at_once = 0.1, 0
    try:
        map_files(lambda file: file.write_bytes(file.name.encode()), files)
        assert front.most_at_once > 8
        contents = map_files(lambda file: file.read_bytes(), files)
    finally:
        front.seconds = 0.0
    assert contents == [file.name.encode() for file in files]
    with pytest.raises(FileNotFoundError):
        map_files(lambda file: file.read_bytes(), [*files, folder / "none"])
    remove_tree(folder)


def test_requests_of_a_study(
    study: Study, front: Front, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each may take 20 ms: two for a trial while it runs, two for its events, two to read it."""
    monkeypatch.setattr(summary, "DERIVE_SECONDS", 1e6)
    monkeypatch.setattr(optuna_trials, "JOURNAL_SECONDS", 1e6)
    trials, few = 40, 45

    def new(folder: RemotePath) -> Study:
        return copy_of(study, folder)

    folder = parse_storage_path(bucket) / "counted"
    assert isinstance(folder, RemotePath)
    first = new(folder)
    requests = count(front)
    first.create([])
    first.attach(Journal("counted", first.space))
    first.attach(TensorBoard())
    assert requests() < few
    for id in range(trials):
        first.on_trial_start(id, CONFIG)
        first.on_epoch(id, epoch_report(1, 9.0))
        first.on_trial_end(id, "failed", "out of memory")
        first.heartbeat()
    assert requests() <= 2 * trials + 10
    first.finish("failed")
    assert requests() <= 2 * trials + few

    again = new(folder)
    again.resume([])
    assert requests() <= 2 * trials + few
    assert again.trials == first.trials
    events = TensorBoard()
    events.on_study_start(again.view)
    assert requests() == 1
    events.upload()
    assert 0 < requests() < few
    events.upload()
    assert requests() == 0, "nothing is new"
    events.close()
    again.finish("failed")
    assert requests() < few


@pytest.mark.slow
def test_a_study_in_a_bucket_goes_on_after_a_kill(
    run: Run, space: Space, bucket: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    """The command is killed; another one, which has nothing but the bucket, finishes the study."""
    file = space(trials=4, max_epochs=40, scheduler="none")
    arguments = ["--space", str(file), "--name", "air", "--storage", bucket, "--quiet"]
    killed = subprocess.run(
        [sys.executable, "-m", "tests.faults.witnessed", *arguments],
        cwd=Path(__file__).parents[3],
        env={
            **os.environ,
            "WITNESS": str(tmp_path / "witness"),
            "CHECKPOINT_SECONDS": "0.1",
            "KILL_AT": "reported:60",
        },
        timeout=300,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    folder = parse_storage_path(f"{bucket}/air")
    assert isinstance(folder, RemotePath)
    before = read_trials(folder)
    assert any(trial.state == "running" and trial.checkpoint for trial in before.values())

    refused = run("--resume", f"{bucket}/air")
    assert refused.returncode == 2
    assert "another process (process " in refused.stderr
    with server_clock() as turn_on:
        turn_on(61)
        done = run("--resume", "air", "--storage", bucket)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "runs").exists()
    after = read_trials(folder)
    assert [trial.state for trial in after.values()] == ["finished"] * 4
    for id, trial in before.items():
        if trial.state == "finished":
            assert after[id] == trial
    assert [epoch["epoch"] for epoch in after[1].history] == list(range(1, 41))
    summary = json.loads((folder / "summary.json").read_bytes())
    assert summary["state"] == "finished"
    kept = TrainedForecaster.load(folder / "best")
    assert kept.validation_score is not None
    assert kept.validation_score.rmse == summary["best"]["validation"]["rmse"]
    names = {found.name for found in folder.glob("*")}
    assert names == {
        *("space.yaml", "study.json", "summary.json", "trials.csv", "optuna.journal"),
        *("trials", "best", "tensorboard"),
    }


@pytest.mark.slow
def test_a_bucket_that_is_not_there_is_told(run: Run, space: Space, bucket: str) -> None:
    space()
    refused = run("--space", "tiny.yaml", "--name", "air", "--storage", "s3://no-such-bucket/a")
    assert refused.returncode == 2
    assert refused.stderr.startswith("s3://no-such-bucket/a can't be written: Bucket 'no-such-bu")
    assert refused.stderr.endswith("; choose another --storage\n")
    assert "Traceback" not in refused.stderr
