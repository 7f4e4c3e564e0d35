"""A bucket to try things on: moto's S3 server on loopback, behind fronts that count and hold."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

import boto3
from moto.core.utils import utcnow
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

KEYS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
}


class _Quiet(WSGIRequestHandler):
    def log_request(self, *_: object) -> None:
        pass


class Front:
    """One way to the bucket. All fronts of a process lead to the same files."""

    def __init__(self) -> None:
        self.seconds = 0.0  # that each request is held
        self.requests: Counter[str] = Counter()  # by method
        self.most_at_once = self._at_once = 0
        self._counting = threading.Lock()
        self._open = threading.Event()
        self._open.set()
        self._held = threading.Semaphore(0)
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server(
            "127.0.0.1", 0, self._answer, threaded=True, request_handler=_Quiet
        )
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def uri(self, path: str) -> str:
        """Of s3://`path` by way of this front."""
        address = self.endpoint.removeprefix("http://")
        return f"s3://{path}?endpoint_override={address}&scheme=http"

    def stall(self) -> None:
        """Let no request through until flow(). It stays on its way, whoever gives it up."""
        self._open.clear()

    def wait_for_held(self) -> None:
        """Until one more request has come since stall()."""
        assert self._held.acquire(timeout=30)

    def flow(self) -> None:
        self._open.set()

    def close(self) -> None:
        self.flow()
        self._server.shutdown()

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[Any]:
        with self._counting:
            self.requests[environ["REQUEST_METHOD"]] += 1
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            if not self._open.is_set():
                self._held.release()
                self._open.wait()
            time.sleep(self.seconds)
            answer: Iterable[Any] = self._moto(environ, start_response)
            return answer
        finally:
            with self._counting:
                self._at_once -= 1


def create_bucket(front: Front, name: str = "bucket") -> None:
    """Needs KEYS in the environment."""
    boto3.client("s3", endpoint_url=front.endpoint).create_bucket(Bucket=name)


@contextmanager
def server_clock() -> Iterator[Callable[[float], None]]:
    """A function that turns the server's clock on by so many seconds."""
    ahead = 0.0

    def turn_on(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds

    def later() -> datetime:
        return utcnow() + timedelta(seconds=ahead)

    with mock.patch("moto.s3.models.utcnow", later):
        yield turn_on
