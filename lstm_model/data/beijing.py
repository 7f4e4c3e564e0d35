"""Beijing's air, 2010 to 2014: downloaded once, kept in the user's cache, known by its hash.

Chen, S. (2015). Beijing PM2.5. https://doi.org/10.24432/C5JS49. Licence: CC BY 4.0.
"""

import hashlib
import io
import os
import tempfile
import threading
import zipfile
from concurrent.futures import Future, wait
from contextlib import suppress
from pathlib import Path
from time import monotonic
from types import SimpleNamespace

from lstm_model.errors import SourceUnavailable, os_error_text
from lstm_model.files import read_bytes

BEIJING = "beijing"  # the source's name
BEIJING_URL = "https://archive.ics.uci.edu/static/public/381/beijing+pm2+5+data.zip"
BEIJING_FILE = "PRSA_data_2010.1.1-2014.12.31.csv"
BEIJING_SHA256 = "4127f868775e31b3956522adc0ec75af8937dde6a3896e8beed3a376c6d27f1c"
DATA_VARIABLE = "LSTM_TUNING_DATA"

PM25, PM25_UNIT = "pm2.5", "ug/m3"
# Where the air quality index for PM2.5 goes from one level to the next (China's HJ 633-2012).
AQI_BREAKPOINTS = (35.0, 75.0, 115.0, 150.0, 250.0)

# A download gives up after this many seconds without a new byte. It may take longer as long as it
# moves; without a network it must be over, in all, within 10.
PATIENCE = 8.0
CONNECT_TIMEOUT = 3.0  # for each address of the server: a dead IPv6 route leaves time for IPv4


def read_beijing(progress: bool = False) -> bytes:
    """The bytes of Beijing's file, from LSTM_TUNING_DATA, the cache or the network.

    Args:
        progress: draws a download on standard error.

    Raises:
        SourceUnavailable: it can't be had, or its hash is another; with the reason.
    """
    if folder := os.environ.get(DATA_VARIABLE):
        path = Path(folder) / BEIJING_FILE
        try:
            return _verified(read_bytes(path), f"{DATA_VARIABLE} is set, but {path}")
        except OSError as error:
            raise SourceUnavailable(
                f"{DATA_VARIABLE} is set, but {path}: {os_error_text(error)}"
            ) from error

    import pooch  # 0.2 s, for nothing where the file is at hand

    cached = pooch.os_cache("lstm-tuning") / BEIJING_FILE
    with suppress(OSError, SourceUnavailable):
        return _verified(read_bytes(cached), str(cached))
    raw = _unzip(_download(progress))
    with suppress(OSError):  # a cache that can't be written costs the next run a download, no more
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cached.parent) as folder:
            part = Path(folder) / BEIJING_FILE
            part.write_bytes(raw)
            part.replace(cached)
    return raw


def _verified(raw: bytes, where: str) -> bytes:
    if (got := hashlib.sha256(raw).hexdigest()) != BEIJING_SHA256:
        raise SourceUnavailable(
            f"{where} is damaged or another file: its sha256 must be {BEIJING_SHA256}, but is {got}"
        )
    return raw


def _download(progress: bool) -> bytes:
    """What BEIJING_URL sends, or SourceUnavailable after PATIENCE seconds without a new byte.

    No timeout covers a name server that hangs, so the download runs in a thread that can be left
    behind: a daemon, writing nowhere but to its own memory.
    """
    # Both are slow to import, for nothing where the file is at hand.
    import pooch
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    # pooch takes it for a progress bar, and tells it the length from another thread; 0 if unknown.
    length = SimpleNamespace(total=0, update=lambda n: None, reset=lambda: None, close=lambda: None)
    get = pooch.HTTPDownloader(progressbar=length, timeout=(CONNECT_TIMEOUT, 2 * PATIENCE))
    received = io.BytesIO()
    outcome: Future[None] = Future()

    def run() -> None:
        try:
            outcome.set_result(get(BEIJING_URL, received, None))
        except BaseException as error:
            outcome.set_exception(error)

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not progress) as bar:
        task = bar.add_task("Downloading Beijing's data", total=None)
        threading.Thread(target=run, daemon=True).start()
        size, moved = 0, monotonic()
        while not wait([outcome], timeout=0.1).done:
            if received.tell() > size:
                size, moved = received.tell(), monotonic()
                bar.update(task, completed=size, total=length.total or None)
            elif monotonic() - moved > PATIENCE:
                raise SourceUnavailable(f"{BEIJING_URL} sent nothing for {PATIENCE:g} seconds")
        bar.update(task, completed=received.tell(), total=received.tell())
    try:
        outcome.result()
    except (OSError, ValueError) as error:  # as every error of requests is; a header's bad number
        response = getattr(error, "response", None)
        if response is not None:  # its truth would be whether the status is a good one
            response.close()
        raise SourceUnavailable(f"{BEIJING_URL}: {_root_cause(error)}") from error
    return received.getvalue()


def _unzip(archive: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as files:
            raw = files.read(next(n for n in files.namelist() if n.endswith(BEIJING_FILE)))
    except Exception as error:  # damage raises zlib.error, EOFError, struct.error and more
        raise SourceUnavailable(f"{BEIJING_URL} sent no zip file with {BEIJING_FILE}") from error
    return _verified(raw, f"what {BEIJING_URL} sent")


def _root_cause(error: BaseException) -> str:
    """'Connection refused' rather than the four exceptions that libraries wrap around it."""
    while error.__context__ is not None:
        error = error.__context__
    return os_error_text(error)
