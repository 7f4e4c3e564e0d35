"""The process that Ray's workers are forked from, with another script in the place of Ray's."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lstm_model.command import run_app
from tuning import compare, run
from tuning.ray_backend import fork_server
from tuning.ray_backend.fork_server import SETUP, SOCKET_VARIABLE, ForkServer

SCRIPT = """
import json, os, signal, sys
print(json.dumps({
    "arguments": sys.argv, "name": __name__, "folder": os.getcwd(), "parent": os.getppid(),
    "given": os.environ.get("GIVEN"), "server's": os.environ.get("PYTHONPATH"),
    "torch": "torch" in sys.modules, "ray": "ray" in sys.modules,
    "leads its group": os.getpgid(0) == os.getpid(),
    "waits for children": signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL,
    "input": sys.stdin.read(), "oom": open("/proc/self/oom_score_adj").read().strip(),
}))
print("complaint", file=sys.stderr)
"""

# As Ray's own: takes its options, and becomes what is left.
SET_UP = """
import argparse, os, sys
parser = argparse.ArgumentParser()
for option in ("--language", "--serialized-runtime-env-context", "--next-release"):
    parser.add_argument(option)
_, left = parser.parse_known_args()
os.execv(sys.executable, [sys.executable, *left])
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")


@pytest.fixture
def server() -> Iterator[ForkServer]:
    server = ForkServer()
    yield server
    server.end()


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "worker.py"
    path.write_text(SCRIPT)
    return path


def asked(
    script: Path, listener: str, *flags: str, options: tuple[str, ...] = ()
) -> "subprocess.CompletedProcess[str]":
    """As the raylet asks for a worker, whose output is waited for here."""
    (script.parent / "set_up.py").write_text(SET_UP)

    def first_to_go() -> None:
        Path("/proc/self/oom_score_adj").write_text("1000")

    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, fork_server.__file__, *flags, str(script), "--a=b"]
        + ["--language=PYTHON", *options],
        preexec_fn=first_to_go,
        env={
            **environment,
            SOCKET_VARIABLE: listener,
            SETUP: str(script.parent / "set_up.py"),
            "GIVEN": "é",
        },
        cwd=script.parent,
        input="read",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def test_a_worker_is_as_if_its_script_had_been_started(
    server: ForkServer, script: Path, tmp_path: Path
) -> None:
    server.listen(str(tmp_path / "fork"))
    for flags in ((), ("-s",)):  # which Ray hands on where the command has it
        done = asked(script, str(tmp_path / "fork"), *flags)
        found = json.loads(done.stdout)
        assert done.stderr == "complaint\n"
        assert psutil.Process(found.pop("parent")).cmdline()[-1] == fork_server.__file__
        assert found == {
            "arguments": [str(script), "--a=b"],
            "name": "__main__",
            "folder": str(script.parent),
            "given": "é",
            "server's": None,
            "torch": True,  # imported before there was a worker
            "ray": True,  # imported in the worker: it reads its settings then
            "leads its group": True,
            "waits for children": True,
            "input": "read",
            "oom": "1000",
        }


def test_without_a_server_the_script_is_the_worker(
    server: ForkServer, script: Path, tmp_path: Path
) -> None:
    nobody, ended, hangs_up = (str(tmp_path / name) for name in ("nobody", "ended", "hangs up"))
    server.listen(ended)
    server.end()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(hangs_up)
        listener.listen()
        hanging_up = threading.Thread(target=lambda: listener.accept()[0].close(), daemon=True)
        hanging_up.start()
        for path in (nobody, ended, hangs_up):
            found = json.loads(asked(script, path).stdout)
            assert not found["torch"]
            assert found["arguments"] == [str(script), "--a=b"]
        hanging_up.join(60)


PICKY = """
import os, sys
if len(sys.argv) > 2 or "ray" in sys.modules:
    print("unrecognized arguments", file=sys.stderr)
    END
print("started by itself")
"""


@pytest.mark.parametrize("end", ["sys.exit(2)", "raise ValueError(2)", "os.abort()"])
def test_worker_that_fails_at_once_starts_as_rays_own(
    end: str, server: ForkServer, tmp_path: Path
) -> None:
    """As where a later Ray has one more option for the script that sets a worker up."""
    server.listen(str(tmp_path / "fork"))
    (tmp_path / "picky.py").write_text(PICKY.replace("END", end))
    done = asked(tmp_path / "picky.py", str(tmp_path / "fork"), options=("--next-release=1",))
    assert "unrecognized arguments" in done.stderr
    assert done.stdout == "started by itself\n"


def test_worker_has_the_variables_that_ray_wants(
    server: ForkServer, script: Path, tmp_path: Path
) -> None:
    server.listen(str(tmp_path / "fork"))

    def worker(**context: object) -> dict[str, object]:
        option = f"--serialized-runtime-env-context={json.dumps(context)}"
        done = asked(script, str(tmp_path / "fork"), options=(option,))
        answer: dict[str, object] = json.loads(done.stdout)
        return answer

    usual = {"command_prefix": [], "py_executable": sys.executable, "java_jars": []}
    forked = worker(env_vars={"GIVEN": "by Ray"}, **usual)
    assert (forked["torch"], forked["given"]) == (True, "by Ray")
    other = worker(**(usual | {"command_prefix": ["nice"]}))
    assert not other["torch"], "what else Ray wants, only its own script can do"


def test_a_server_has_no_threads_of_numpys(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    server = ForkServer()
    server.listen(str(tmp_path / "fork"))
    assert json.loads(asked(script, str(tmp_path / "fork")).stdout)["torch"]
    server.end()


def test_request_cut_off_harms_no_other(server: ForkServer, script: Path, tmp_path: Path) -> None:
    server.listen(str(tmp_path / "fork"))
    for sent in (b"", b"{"):
        with socket.socket(socket.AF_UNIX) as broken:
            broken.connect(str(tmp_path / "fork"))
            broken.sendall(sent)
    assert json.loads(asked(script, str(tmp_path / "fork")).stdout)["torch"]


def test_the_server_ends_with_its_command(tmp_path: Path) -> None:
    command = (
        "import os, signal;"
        "from tuning.ray_backend.fork_server import ForkServer;"
        "server = ForkServer();"
        "print(server.process.pid, flush=True);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == -signal.SIGKILL
    left = psutil.Process(int(done.stdout))
    assert left.wait(timeout=60) is None  # as of any process that is not a child


def test_a_mistake_leaves_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found in the data, which are read while it starts."""
    begun = []
    start = ForkServer.__init__

    def started(self: ForkServer) -> None:
        start(self)
        begun.append(self.process)

    monkeypatch.setattr(ForkServer, "__init__", started)
    missing = ["--space", "univariate.yaml", "--data", str(tmp_path / "nix.csv")]
    assert run_app(run.app, [*missing, "--runs", str(tmp_path)]) == 2
    twice = ["--space", "univariate.yaml", *missing, "--name", "c", "--runs", str(tmp_path)]
    assert run_app(compare.app, twice) == 2
    assert len(begun) == 2
    assert all(process.returncode is not None for process in begun)


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_command_without_standard_stream_ends_normally(closed: str) -> None:
    command = f"{sys.executable} -m tuning.run --help {closed}"
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
