"""A Beijing whose file and server are ours, and all the ways in which a download goes wrong."""

import hashlib
import http.server
import io
import os
import re
import socket
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pooch
import pytest

from lstm_model.configuration import DataSettings
from lstm_model.data import beijing
from lstm_model.data.sources import load_dataset
from lstm_model.data.step import Step
from lstm_model.errors import SourceUnavailable
from tests.lstm_model.data.day_table import settings

HOURS = "No,year,month,day,hour,pm2.5\n" + "".join(
    f"{i + 1},2010,1,1,{i},{100 + i}\n" for i in range(10)
)


def zipped(content: str = HOURS, name: str = beijing.BEIJING_FILE) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return raw.getvalue()


def beijing_settings(**changes: Any) -> DataSettings:
    return settings(
        **{
            "source": "beijing",
            "time": None,
            "target": "pm2.5",
            "features": ["pm2.5"],
            "validation_from": "2010-01-01T04:00",
            "test_from": "2011-01-01",
            **changes,
        }
    )


Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


def send(body: bytes, status: int = 200, length: int | None = None) -> Answer:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Length", str(len(body) if length is None else length))
        request.end_headers()
        request.wfile.write(body)

    return answer


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache in place of the user's, for a Beijing whose file is HOURS."""
    cache = tmp_path / "cache"
    monkeypatch.setattr(pooch, "os_cache", lambda name: cache / name)
    monkeypatch.delenv("LSTM_TUNING_DATA", raising=False)
    monkeypatch.setattr(beijing, "BEIJING_SHA256", hashlib.sha256(HOURS.encode()).hexdigest())
    monkeypatch.setenv("NO_PROXY", "*")
    # Whatever forgets to name its own server finds nobody at home.
    monkeypatch.setattr(beijing, "BEIJING_URL", "http://127.0.0.1:1/data.zip")
    return cache / "lstm-tuning" / beijing.BEIJING_FILE


@pytest.fixture
def serve(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Answer], list[str]]]:
    """Starts a server in the place of BEIJING_URL; gives the list of the paths it was asked for."""
    servers = []

    def serve(answer: Answer) -> list[str]:
        asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                answer(self)

            def log_message(self, *args: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        monkeypatch.setattr(
            beijing, "BEIJING_URL", f"http://127.0.0.1:{server.server_port}/data.zip"
        )
        return asked

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def files(cache: Path) -> list[str]:
    """All that is in the cache."""
    return [path.name for path in cache.parent.parent.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["", "a folder/"])
def test_download(cache: Path, serve: Callable[[Answer], list[str]], name: str) -> None:
    asked = serve(send(zipped(name=name + beijing.BEIJING_FILE)))
    table = load_dataset(beijing_settings())
    assert list(table.frame["pm2.5"]) == list(range(100, 110))
    assert table.step == Step(3600)
    assert (table.source, table.simulated, table.warning) == ("beijing", False, None)
    assert table.sha256 == beijing.BEIJING_SHA256
    assert cache.read_text() == HOURS
    assert files(cache) == [beijing.BEIJING_FILE]

    load_dataset(beijing_settings())
    assert asked == ["/data.zip"]  # once


def test_progress_is_drawn_only_where_asked_for(
    cache: Path,
    serve: Callable[[Answer], list[str]],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TTY_INTERACTIVE", "1")
    monkeypatch.setenv("TERM", "xterm")
    serve(send(zipped()))
    load_dataset(beijing_settings())
    assert capfd.readouterr() == ("", "")
    cache.unlink()
    load_dataset(beijing_settings(), progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "Downloading Beijing's data" in err
    assert " bytes" in err


def test_damaged_cache_is_downloaded_again(
    cache: Path, serve: Callable[[Answer], list[str]]
) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text(HOURS[:-1])
    asked = serve(send(zipped()))
    load_dataset(beijing_settings())
    assert len(asked) == 1
    assert cache.read_text() == HOURS


def test_cache_that_cannot_be_written(cache: Path, serve: Callable[[Answer], list[str]]) -> None:
    cache.parent.parent.write_text("a file where a folder should be")
    serve(send(zipped()))
    assert len(load_dataset(beijing_settings()).frame) == 10


def test_two_downloads_at_once(cache: Path, serve: Callable[[Answer], list[str]]) -> None:
    both = threading.Barrier(2, timeout=30)

    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        both.wait()
        send(zipped())(request)

    asked = serve(answer)
    with ThreadPoolExecutor(2) as pool:
        tables = list(pool.map(load_dataset, [beijing_settings()] * 2))
    assert len(asked) == 2
    assert [len(table.frame) for table in tables] == [10, 10]
    assert cache.read_text() == HOURS
    assert files(cache) == [beijing.BEIJING_FILE]


NO_ZIP = f"{{url}} sent no zip file with {beijing.BEIJING_FILE}"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(
            send(zipped("something else")),
            "what {url} sent is damaged or another file: its sha256 must be {sha256}, but is "
            + hashlib.sha256(b"something else").hexdigest(),
            id="wrong hash",
        ),
        pytest.param(send(zipped()[:-30]), NO_ZIP, id="truncated zip"),
        pytest.param(
            send(zipped().replace(zipped()[80:90], b"0123456789")), NO_ZIP, id="damaged zip"
        ),
        pytest.param(send(zipped(name="other.csv")), NO_ZIP, id="zip of another file"),
        pytest.param(send(b"<html>Log in to the airport's network"), NO_ZIP, id="captive portal"),
        pytest.param(
            send(b"0123456789", length=15),
            "{url}: IncompleteRead(10 bytes read, 5 more expected)",
            id="connection lost",
        ),
        pytest.param(
            send(b"", 404), "{url}: 404 Client Error: Not Found for url: {url}", id="HTTP 404"
        ),
        pytest.param(
            send(b"", 500),
            "{url}: 500 Server Error: Internal Server Error for url: {url}",
            id="HTTP 500",
        ),
    ],
)
def test_failed_downloads(
    cache: Path, serve: Callable[[Answer], list[str]], answer: Answer, reason: str
) -> None:
    serve(answer)
    reason = reason.format(url=beijing.BEIJING_URL, sha256=beijing.BEIJING_SHA256)
    message = (
        f"Beijing's data could not be had: {reason}. Set LSTM_TUNING_DATA to the folder with "
        f"{beijing.BEIJING_FILE}, connect to the network, or use --data simulated"
    )
    with pytest.raises(SourceUnavailable, match=f"^{re.escape(message)}$"):
        load_dataset(beijing_settings())
    assert files(cache) == []


def test_connection_refused(cache: Path) -> None:
    with pytest.raises(SourceUnavailable, match=r": Connection refused\. Set LSTM_TUNING_DATA"):
        load_dataset(beijing_settings())


@pytest.mark.parametrize("sent", [b"", b"x" * 5000], ids=["nothing", "a part"])
def test_server_that_stalls(
    serve: Callable[[Answer], list[str]], monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    over = threading.Event()

    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        if sent:
            send(sent, length=9999)(request)
        over.wait()

    monkeypatch.setattr(beijing, "PATIENCE", 0.3)
    # Only the module's own clock may end this, not a timeout of the libraries below.
    monkeypatch.setattr(pooch.HTTPDownloader, "__init__", patient_downloader)
    serve(answer)
    try:
        with pytest.raises(SourceUnavailable, match=r"sent nothing for 0\.3 seconds\. Set LSTM_"):
            load_dataset(beijing_settings())
    finally:
        over.set()


def patient_downloader(self: Any, **options: Any) -> None:
    self.progressbar, self.chunk_size, self.kwargs = False, 1024, {"timeout": 60}


def test_name_server_that_hangs(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def hang(*args: object, **options: object) -> None:
        over.wait()
        raise socket.gaierror("at last")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setattr(beijing, "PATIENCE", 0.3)
    monkeypatch.setattr(beijing, "BEIJING_URL", "http://data.invalid/data.zip")
    try:
        with pytest.raises(SourceUnavailable, match=r"sent nothing for 0\.3 seconds\. Set LSTM_"):
            load_dataset(beijing_settings())
        # What hangs is left behind, and must not keep the process from ending.
        left = [thread for thread in threading.enumerate() if "(run)" in thread.name]
        assert [thread.daemon for thread in left] == [True]
    finally:
        over.set()


def test_limits_add_up_to_less_than_ten_seconds() -> None:
    assert beijing.PATIENCE < 10
    assert 2 * beijing.CONNECT_TIMEOUT < beijing.PATIENCE  # IPv6, then IPv4


def test_slow_download_that_moves_is_waited_for(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte takes most of the patience there is, by a clock that stands still between bytes."""
    body, sent, looked = zipped(), 0, threading.Semaphore(0)

    class Slow:
        def __init__(self, **options: Any) -> None:
            pass

        def __call__(self, url: str, output: io.BytesIO, _: None) -> None:
            nonlocal sent
            for part in (body[:1], body[1:2], body[2:3], body[3:]):
                assert looked.acquire(timeout=30)
                output.write(part)
                sent += 1

    def clock() -> float:
        now = sent * 0.9 * beijing.PATIENCE
        looked.release()
        return now

    monkeypatch.setattr(pooch, "HTTPDownloader", Slow)
    monkeypatch.setattr(beijing, "monotonic", clock)
    assert len(load_dataset(beijing_settings()).frame) == 10
    assert sent == 4


def test_fallback(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.read_csv(io.StringIO(HOURS))
    monkeypatch.setattr("lstm_model.data.simulation.simulate", lambda seed: frame)
    table = load_dataset(beijing_settings(fallback="simulated"))
    assert (table.source, table.simulated) == ("simulated", True)
    assert table.warning == (
        f"Beijing's data could not be had ({beijing.BEIJING_URL}: Connection refused): using "
        "simulated data, whose results say nothing about Beijing"
    )


def test_data_directory(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / beijing.BEIJING_FILE).write_text(HOURS)
    monkeypatch.setenv("LSTM_TUNING_DATA", str(tmp_path))
    assert load_dataset(beijing_settings()).source == "beijing"
    assert files(cache) == []


@pytest.mark.parametrize(
    ("target", "unit", "levels"),
    [("pm2.5", "ug/m3", (35, 75, 115, 150, 250)), ("TEMP", None, None)],
)
def test_only_pm25_has_a_unit_and_levels(
    target: str,
    unit: str | None,
    levels: tuple[float, ...] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hours = HOURS.replace("pm2.5", target)
    (tmp_path / beijing.BEIJING_FILE).write_text(hours)
    monkeypatch.setattr(beijing, "BEIJING_SHA256", hashlib.sha256(hours.encode()).hexdigest())
    monkeypatch.setenv("LSTM_TUNING_DATA", str(tmp_path))
    dataset = load_dataset(beijing_settings(target=target, features=[target]))
    assert (dataset.unit, dataset.level_edges) == (unit, levels)


def test_data_directory_is_never_passed_over(
    cache: Path,
    tmp_path: Path,
    serve: Callable[[Answer], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = serve(send(zipped()))
    file = tmp_path / beijing.BEIJING_FILE
    monkeypatch.setenv("LSTM_TUNING_DATA", str(tmp_path))
    missing = f"had: LSTM_TUNING_DATA is set, but {file}: No such file or directory. Set LSTM_"
    with pytest.raises(SourceUnavailable, match=re.escape(missing)):
        load_dataset(beijing_settings())

    file.write_text(HOURS[:-1])
    damaged = (
        f"had: LSTM_TUNING_DATA is set, but {file} is damaged or another file: its sha256 must be "
        f"{beijing.BEIJING_SHA256}, but is {hashlib.sha256(HOURS[:-1].encode()).hexdigest()}. Set"
    )
    with pytest.raises(SourceUnavailable, match=re.escape(damaged)):
        load_dataset(beijing_settings())
    assert asked == []
    assert file.read_text() == HOURS[:-1]  # the user's own file is left alone


def test_real_file() -> None:
    folder = os.environ.get("LSTM_TUNING_DATA", "")
    if not (Path(folder) / beijing.BEIJING_FILE).is_file():
        pytest.skip(f"LSTM_TUNING_DATA names no folder with {beijing.BEIJING_FILE}")
    features = ["pm2.5", "DEWP", "TEMP", "PRES", "cbwd", "Iws", "Is", "Ir"]
    splits = {"validation_from": "2013-01-01", "test_from": "2014-01-01"}
    table = load_dataset(beijing_settings(features=features, **splits))
    frame = table.frame
    assert frame.shape == (43_824, 8)
    assert list(frame) == features
    assert (str(frame.index[0]), str(frame.index[-1])) == (
        "2010-01-01 00:00:00",
        "2014-12-31 23:00:00",
    )
    assert table.step == Step(3600)
    assert frame["pm2.5"].isna().sum() == 2067
    assert frame.drop(columns="pm2.5").notna().all(axis=None)
    assert frame["pm2.5"].max() == 994
    assert set(frame["cbwd"]) == {"NE", "NW", "SE", "cv"}
    assert [name for name in frame if frame[name].dtype != np.float64] == ["cbwd"]
