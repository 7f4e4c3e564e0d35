"""Where tables come from: Beijing (downloaded once), simulated, a CSV.

Every table, the simulated one included, goes through the same door: bytes of comma-separated UTF-8
text, a header first. What it breaks is said with the file and line; nothing is dropped or filled.
"""

import hashlib
import io
import os
import tempfile
import threading
import zipfile
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from lstm_model.configuration import AS_IT_STANDS, DataSettings, Reading
from lstm_model.data.columns import Repair
from lstm_model.data.csv_table import check_splits, parse_csv
from lstm_model.data.suspicion import doubts
from lstm_model.errors import SourceUnavailable, TableError, os_error_text
from lstm_model.files import read_bytes

# Chen, S. (2015). Beijing PM2.5. https://doi.org/10.24432/C5JS49. Licence: CC BY 4.0.
BEIJING_URL = "https://archive.ics.uci.edu/static/public/381/beijing+pm2+5+data.zip"
BEIJING_FILE = "PRSA_data_2010.1.1-2014.12.31.csv"
BEIJING_SHA256 = "4127f868775e31b3956522adc0ec75af8937dde6a3896e8beed3a376c6d27f1c"
DATA_VARIABLE = "LSTM_TUNING_DATA"

# A download gives up after this many seconds without a new byte. It may take longer as long as it
# moves; without a network it must be over, in all, within 10.
PATIENCE = 8.0
CONNECT_TIMEOUT = 3.0  # for each address of the server: a dead IPv6 route leaves time for IPv4


@dataclass(frozen=True, eq=False)
class Dataset:
    """A table that can be forecast.

    Attributes:
        frame: the settings' features in the settings' order, by a regular DatetimeIndex named
            'time'. A numeric feature is float64 in the source's unit, a categorical one is pandas'
            `str` dtype; NaN where missing, in both.
        step: time between rows.
        source: what the data are: 'beijing', 'simulated', or the CSV's path as given.
        simulated: whether they are simulated, by choice or as a fallback.
        sha256: hex digest of the file's bytes, or of the simulated table's as a CSV.
        warning: why a fallback was taken, or None.
        reading: how the cells were read: as the settings say, and as the texts themselves decided.
        repairs: cells that were read as something else than stands in them.
        doubts: what may not mean what it was read as, a sentence each.
    """

    frame: pd.DataFrame
    step: pd.Timedelta
    source: str
    simulated: bool
    sha256: str
    warning: str | None = None
    reading: Reading = AS_IT_STANDS
    repairs: tuple[Repair, ...] = ()
    doubts: tuple[str, ...] = ()


def load_dataset(settings: DataSettings, *, progress: bool = False) -> Dataset:
    """The table that `settings` describe, checked; `progress` draws a download on standard error.

    Beijing's file is read from the directory that LSTM_TUNING_DATA names; without that variable
    from the user's cache, else from the network, once. The fallback stands in for Beijing alone:
    a CSV that isn't there is a mistake to mend.

    Raises:
        TableError: the table can't be forecast as it is, or a CSV can't be read.
        SourceUnavailable: Beijing's data can't be had, and there is no fallback.
    """
    source, warning = settings.source, None
    if source == "beijing":
        try:
            raw = _beijing(progress)
        except SourceUnavailable as error:
            if settings.fallback is None:
                raise SourceUnavailable(
                    f"Beijing's data could not be had: {error}. Set {DATA_VARIABLE} to the folder "
                    f"with {BEIJING_FILE}, connect to the network, or use --data simulated"
                ) from error
            source = settings.fallback
            warning = (
                f"Beijing's data could not be had ({error}): using simulated data, whose results "
                "say nothing about Beijing"
            )
    elif source != "simulated":
        raw = _file(source)
    if source == "simulated":
        from lstm_model.data.simulation import simulate

        raw = simulate(seed=0).to_csv(index=False).encode()

    table = parse_csv(
        raw,
        source,
        settings.reading,
        target=settings.target,
        features=settings.features,
        horizon=settings.horizon,
    )
    check_splits(table.frame, settings, source)
    before_test = table.frame.loc[table.frame.index < settings.test_from]
    return Dataset(
        frame=table.frame,
        step=table.step,
        source=source,
        simulated=source == "simulated",
        sha256=hashlib.sha256(raw).hexdigest(),
        warning=warning,
        reading=table.reading,
        repairs=table.repairs,
        doubts=(*table.notes, *doubts(before_test, table.step, settings.target)),
    )


def _file(source: str) -> bytes:
    try:
        return read_bytes(Path(source).expanduser())
    except (OSError, ValueError, RuntimeError) as error:  # ValueError: NUL; RuntimeError: ~nobody
        raise TableError(
            f"{source}: can't be read: {os_error_text(error)}; data come from beijing, simulated, "
            "or a CSV's path"
        ) from error


def _beijing(progress: bool) -> bytes:
    """The bytes of Beijing's file, which always have the known hash; else the reason, raised."""
    if folder := os.environ.get(DATA_VARIABLE):
        path = Path(folder) / BEIJING_FILE
        try:
            return _known(read_bytes(path), f"{DATA_VARIABLE} is set, but {path}")
        except OSError as error:
            raise SourceUnavailable(
                f"{DATA_VARIABLE} is set, but {path}: {os_error_text(error)}"
            ) from error

    import pooch  # with all that downloads need: 0.2 s, for nothing where the file is at hand

    cached = pooch.os_cache("lstm-tuning") / BEIJING_FILE
    with suppress(OSError, SourceUnavailable):
        return _known(read_bytes(cached), str(cached))
    raw = _unzip(_download(progress))
    with suppress(OSError):  # a cache that can't be written costs the next run a download, no more
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cached.parent) as folder:
            part = Path(folder) / BEIJING_FILE
            part.write_bytes(raw)
            part.replace(cached)
    return raw


def _known(raw: bytes, where: str) -> bytes:
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
    import pooch

    length = _Length()
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
        shown = bar.add_task("Downloading Beijing's data", total=None)
        threading.Thread(target=run, daemon=True).start()
        size, moved = 0, monotonic()
        while not wait([outcome], timeout=0.1).done:
            if received.tell() > size:
                size, moved = received.tell(), monotonic()
                bar.update(shown, completed=size, total=length.total or None)
            elif monotonic() - moved > PATIENCE:
                raise SourceUnavailable(f"{BEIJING_URL} sent nothing for {PATIENCE:g} seconds")
        bar.update(shown, completed=received.tell(), total=received.tell())
    try:
        outcome.result()
    except (OSError, ValueError) as error:  # as every error of requests is; a header's bad number
        response = getattr(error, "response", None)
        if response is not None:  # its truth would be whether the status is a good one
            response.close()
        raise SourceUnavailable(f"{BEIJING_URL}: {_root_cause(error)}") from error
    return received.getvalue()


class _Length:
    """Takes pooch's progress bar's place, from another thread, for the length that it is told."""

    total = 0  # bytes; 0 where the server doesn't say

    def update(self, size: int) -> None: ...
    def reset(self) -> None: ...
    def close(self) -> None: ...


def _unzip(archive: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as files:
            raw = files.read(next(n for n in files.namelist() if n.endswith(BEIJING_FILE)))
    except Exception as error:  # damage raises zlib.error, EOFError, struct.error and more
        raise SourceUnavailable(f"{BEIJING_URL} sent no zip file with {BEIJING_FILE}") from error
    return _known(raw, f"what {BEIJING_URL} sent")


def _root_cause(error: BaseException) -> str:
    """'Connection refused' rather than the four exceptions that libraries wrap around it."""
    while error.__context__ is not None:
        error = error.__context__
    return os_error_text(error)
