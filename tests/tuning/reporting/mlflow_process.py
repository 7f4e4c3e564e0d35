"""An MLflow server of the tests' own, on loopback.

`mlflow server` is the real one. Its parts are in mlflow-skinny too, and the libraries that they
need are there for other tests.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

START_SECONDS = 120


class ServerProcess:
    """A server whose runs lie in `folder`: it can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as any_port:
            any_port.bind(("127.0.0.1", 0))
            self.port = any_port.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Raises RuntimeError, with what the server said, where it does not answer."""
        log = self._folder / "server.log"
        options = {
            "backend-store-uri": f"sqlite:///{self._folder / 'runs.db'}",
            "artifacts-destination": str(self._folder / "artifacts"),
            "host": "127.0.0.1",
            "port": str(self.port),
            "workers": "1",
        }
        given = [word for name, value in options.items() for word in (f"--{name}", value)]
        off = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *given],
                stdout=file,
                stderr=file,
                env={**os.environ, **off},
                start_new_session=True,
            )
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            try:
                with urlopen(f"{self.uri}/health", timeout=5):
                    return
            except (URLError, OSError):
                time.sleep(0.05)
        self.stop()
        raise RuntimeError(log.read_text())

    def stop(self) -> None:
        """Kill it and its worker, as a machine that dies would."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
