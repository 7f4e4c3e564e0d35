"""Ray that does not answer: what a command says and does, and how it ends on Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import ray

from tuning.ray_backend.patches import PLAIN
from tuning.ray_backend.session import ray_session
from tuning.ray_backend.watchdog import RayFailed, watch

# A command with a fault, which it has no more where it begins anew with Ray as it is.
SCRIPT = """\
import ctypes, os, runpy, sys
from tuning.ray_backend import environment, watchdog
environment.set_environment()
watchdog.INTERRUPT_SECONDS = 0.5
import ray
from tuning.ray_backend import runner

def deaf(*_, **__):
    # Inside a library that no signal gets out of.
    print("deaf", flush=True)
    lock = ctypes.create_string_buffer(64)
    for _ in range(2):  # the second time waits for ever, whatever signals come
        ctypes.CDLL(None).pthread_mutex_lock(lock)

def broken(*_, **__):
    raise AttributeError("Ray has no such thing")

def impatient_after(start):
    def started(**options):
        start(**options)
        watchdog.AGENTLESS_SECONDS = watchdog.WAIT_SECONDS = 0.5
    return started

if not os.environ.get("LSTM_TUNING_PLAIN_RAY"):
    FAULT
runpy.run_module("tuning.run", run_name="__main__", alter_sys=True)
"""
linux = pytest.mark.skipif(sys.platform != "linux", reason="the mutex's size is Linux's")


def command(space: Path, fault: str) -> list[str]:
    script = SCRIPT.replace("FAULT", fault)
    return [sys.executable, "-c", script, "--space", str(space), "--name", "air", "--trials", "2"]


@linux
@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (
            "ray.init, watchdog.WAIT_SECONDS = deaf, 0.5",
            "no Ray after 0.5 s; Ray's logs are in /tmp/lstm-ray-",
        ),
        pytest.param(
            "ray.init = broken",
            "Ray does not start: Ray has no such thing; its logs are in /tmp",
            marks=pytest.mark.nightly,
        ),
        (
            "runner.run_controller, ray.init = deaf, impatient_after(ray.init)",
            "no first worker after 0.5 s; Ray's logs are in /tmp/lstm-ray-",
        ),
        pytest.param(
            "runner.run_controller = broken",
            "no trial begins: Ray has no such thing; Ray's logs",
            marks=pytest.mark.nightly,
        ),
    ],
)
def test_a_command_begins_anew_with_ray_as_it_is(
    fault: str, problem: str, space: Callable[..., Path]
) -> None:
    path = space()
    done = subprocess.run(
        command(path, fault),
        cwd=path.parent,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert problem in done.stderr
    assert "The command begins anew with Ray as it is, as with --plain-ray" in done.stderr
    assert "Traceback" not in done.stderr
    kept = json.loads((path.parent / "runs" / "air" / "study.json").read_text())
    assert kept["ray"]["changes"] == []
    records = list((path.parent / "runs" / "air" / "trials").glob("*.json"))
    assert len(records) == 2


@linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_command_that_ray_keeps(
    number: signal.Signals, space: Callable[..., Path]
) -> None:
    path = space()
    patient = command(path, "ray.init = deaf")
    with subprocess.Popen(
        patient, cwd=path.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout
        assert running.stderr
        assert "deaf\n" in iter(running.stdout.readline, "")
        running.send_signal(number)
        assert running.wait(timeout=60) == 130
        assert "interrupted" in running.stderr.read()


ENDLESS = """\
version: 1
data:
  source: simulated
  target: pm2.5
  features: [pm2.5]
  validation_from: 2013-01-01
  test_from: 2014-01-01
study: {trials: 1, max_epochs: 2}
search:
  learning_rate: {type: float, low: 1e-3, high: 2e-3}
fixed: {hidden_size: 1024, num_layers: 2}
"""


@linux
@pytest.mark.slow
def test_ctrl_c_does_not_wait_for_a_long_epoch(tmp_path: Path) -> None:
    (tmp_path / "endless.yaml").write_text(ENDLESS)
    endless = [sys.executable, "-m", "tuning.run", "--space", "endless.yaml", "--name", "air"]
    record = tmp_path / "runs" / "air" / "trials" / "0.json"
    with subprocess.Popen(
        endless, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        while not record.exists():
            assert running.poll() is None
            time.sleep(0.1)
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=60) == 130
    trial = json.loads(record.read_text())
    assert (trial["state"], trial["history"]) == ("interrupted", [])


def test_it_is_said_what_is_waited_for_again_and_again() -> None:
    problems: list[str] = []
    twice = threading.Event()

    def give_up(problem: str) -> None:
        problems.append(problem)
        if len(problems) == 2:
            twice.set()

    with watch("spring", "look outside", give_up, 0.01):
        assert twice.wait(60)
    assert problems[:2] == ["no spring after 0.01 s; look outside"] * 2


def test_nothing_is_said_where_the_wait_is_over() -> None:
    watching = threading.active_count()
    wakeup = signal.set_wakeup_fd(-1)
    with watch("spring", "look outside", pytest.fail, 60.0) as end:
        end()
        end()
    assert threading.active_count() == watching
    assert signal.set_wakeup_fd(wakeup) == -1, "given back"


def test_what_is_no_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(ray, "init", broken)
    monkeypatch.delenv(PLAIN, raising=False)
    with (
        pytest.raises(
            RayFailed, match=r"Ray does not start: no such thing; its logs.* --plain-ray"
        ),
        ray_session(None, verbose=False),
    ):
        pass
    assert "RAY_AUTH_TOKEN" not in os.environ
