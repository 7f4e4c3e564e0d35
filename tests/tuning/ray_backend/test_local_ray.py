"""A Ray of this process's own, while it runs: its processes, and who may talk to it."""

import os
import subprocess
import sys

import psutil
import pytest
import ray

from tuning.ray_backend import fork_server

pytestmark = pytest.mark.usefixtures("local_ray")


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")
def test_workers_are_forked_and_no_agents_run() -> None:
    """Each takes a second of a command's start, or of its end."""
    parent = ray.get(ray.remote(lambda: os.getppid()).remote())
    assert psutil.Process(parent).cmdline()[-1] == fork_server.__file__
    ours = psutil.Process().children(recursive=True)
    assert {"gcs_server", "raylet"} < {process.name() for process in ours}
    commands = " ".join(part for process in ours for part in process.cmdline()[:4])
    assert not [name for name in ("monitor.py", "dashboard.py") if name in commands]


def test_ray_listens_on_loopback_alone() -> None:
    ours = psutil.Process().children(recursive=True)
    listening = {
        connection.laddr.ip
        for process in ours
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening, "Ray listens somewhere"
    assert listening <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_nobody_connects_without_the_token() -> None:
    """Anybody on this machine can reach the port, and nobody else can use it."""
    address = ray.get_runtime_context().gcs_address
    code = (
        "from ray._raylet import GcsClient;"
        f"print(GcsClient(address={address!r}).internal_kv_keys(b'', None, timeout=5))"
    )

    def connect(mode: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env={**os.environ, "RAY_AUTH_MODE": mode},
            timeout=60,
            check=False,
        )

    assert connect("token").returncode == 0
    refused = connect("disabled")
    assert refused.returncode != 0
    assert "Unauthenticated" in refused.stderr or "token" in refused.stderr
