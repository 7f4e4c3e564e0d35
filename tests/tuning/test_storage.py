"""Studies on an object store: a real S3 server (moto's) on loopback."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from lstm_model.checkpoint import TrainedForecaster
from lstm_model.errors import InputError
from tuning.resume import read_trials
from tuning.storage import RemotePath, bytes_in, inside, place, remove

Run = Callable[..., subprocess.CompletedProcess[str]]
Space = Callable[..., Path]

KEYS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The URI of a bucket's folder, its server named as an environment of AWS's own does."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**KEYS, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}.items():
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="bucket")
        yield "s3://bucket/studies"
    server.stop()


def test_a_place_is_a_directory_or_what_a_uri_names(bucket: str, tmp_path: Path) -> None:
    assert place("runs") == Path("runs")
    assert place(f"file://{tmp_path}") == tmp_path
    folder = place(f"{bucket}/")
    assert isinstance(folder, RemotePath)
    assert str(folder) == bucket
    assert str(folder / "air" / "trials") == f"{bucket}/air/trials"
    other = place("s3://bucket/a?endpoint_override=127.0.0.1:1&scheme=http")
    assert str(other / "b") == "s3://bucket/a/b?endpoint_override=127.0.0.1:1&scheme=http"
    with pytest.raises(InputError, match="a storage must be a directory or a URI such as s3://"):
        place("ftp://nowhere/studies")


def test_files_of_a_bucket(bucket: str) -> None:
    folder = place(bucket) / "files"
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
    assert bytes_in(folder) == 6
    assert inside(folder, "bucket/studies/files/trials/0.json") == "trials/0.json"
    (folder / "a.json").write_bytes(b"4444")
    assert (folder / "a.json").read_bytes() == b"4444"
    with pytest.raises(FileNotFoundError):
        (folder / "none").read_bytes()
    remove(folder / "none")
    remove(folder / "a.json")
    assert [found.name for found in folder.glob("*")] == ["trials"]
    remove(folder)
    assert not folder.exists()


@pytest.mark.slow
def test_a_study_in_a_bucket_goes_on_after_a_kill(
    run: Run, space: Space, bucket: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    """The command is killed; another one, which has nothing but the bucket, finishes the study."""
    file = space(trials=4, max_epochs=40, scheduler="none")
    arguments = ["--space", str(file), "--name", "air", "--storage", bucket, "--quiet"]
    killed = subprocess.run(
        [sys.executable, "-m", "tests.faults.witnessed", *arguments],
        cwd=Path(__file__).parents[2],
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
    folder = place(f"{bucket}/air")
    assert isinstance(folder, RemotePath)
    before = read_trials(folder)
    assert any(trial.state == "running" and trial.checkpoint for trial in before.values())

    refused = run("--resume", f"{bucket}/air")
    assert refused.returncode == 2
    assert "another process (process " in refused.stderr
    remove(folder / "running.json")  # as if a minute had passed

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
    assert kept.validation is not None
    assert kept.validation.rmse == summary["best"]["validation"]["rmse"]
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
