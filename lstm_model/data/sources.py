"""Where tables come from: Beijing (downloaded once), its stations, simulated, files, a DataFrame.

Every table, the simulated one included, goes through the same door, as bytes. What it breaks is
said with the file and line; nothing is dropped or filled that no key asks for.
"""

import hashlib
import os
from dataclasses import dataclass, field
from glob import glob, has_magic
from pathlib import Path

import pandas as pd

from lstm_model.configuration import AS_IT_STANDS, DataSettings, KeptReading
from lstm_model.data.beijing import (
    AQI_BREAKPOINTS,
    BEIJING,
    BEIJING_FILE,
    DATA_VARIABLE,
    PM25,
    PM25_UNIT,
    read_beijing,
)
from lstm_model.data.columns import Repair
from lstm_model.data.frames import FRAME, encode_frame
from lstm_model.data.rows import RowRepair
from lstm_model.data.series_index import SeriesIndex
from lstm_model.data.splits import check_splits
from lstm_model.data.stations import BEIJING_STATIONS, STATIONS_PM25, read_stations
from lstm_model.data.step import Step, rows_until
from lstm_model.data.suspicion import find_doubts
from lstm_model.data.table import parse_table
from lstm_model.errors import SourceUnavailable, TableError, os_error_text
from lstm_model.files import read_bytes

SOURCES = "data come from beijing, beijing_stations, simulated, or a table's path"


@dataclass(frozen=True, eq=False)
class Dataset:
    """A table that can be forecast.

    Attributes:
        frame: the settings' features in the settings' order, by a regular DatetimeIndex named
            'time', which has a zone where the table's clock has one. A numeric feature is float64
            in the source's unit, a categorical one is pandas' `str` dtype; NaN where missing. Of
            many series one stands behind the other; behind the features are the static columns,
            and `neighbours`.
        step: time between rows.
        source: what the data are: 'beijing', 'beijing_stations', 'simulated', 'frame', or the
            table's path as given.
        simulated: whether they are simulated, by choice or as a fallback.
        sha256: hex digest of the bytes of the file, or of all files in the order of their names, or
            of the simulated table's as a CSV.
        warning: why a fallback was taken, or None.
        reading: how the cells were read: as the settings say, and as the texts themselves decided.
        repairs: rows and cells that were read as something else than stands in them.
        doubts: what may not mean what it was read as, a sentence each.
        unit: of the target, where the source says it.
        level_edges: where the target goes from one level to the next, in its unit, where the source
            has such levels.
        index: which rows are of which series: without one the table is one series.
    """

    frame: pd.DataFrame
    step: Step
    source: str
    simulated: bool
    sha256: str
    warning: str | None = None
    reading: KeptReading = AS_IT_STANDS
    repairs: tuple[Repair | RowRepair, ...] = ()
    doubts: tuple[str, ...] = ()
    unit: str | None = None
    level_edges: tuple[float, ...] | None = None
    index: SeriesIndex = field(default=None)  # type: ignore[assignment]  # of one series

    def __post_init__(self) -> None:
        if self.index is None:
            object.__setattr__(self, "index", SeriesIndex.of_one(len(self.frame)))


def load_dataset(
    settings: DataSettings, frame: pd.DataFrame | None = None, *, progress: bool = False
) -> Dataset:
    """The table that `settings` describe, checked.

    Beijing's file is read from the directory that LSTM_TUNING_DATA names; without that variable
    from the user's cache, else from the network, once. The fallback stands in for Beijing alone:
    a file that isn't there is a mistake to mend.

    Args:
        frame: the table, where the settings' source is 'frame'.
        progress: draw a download on standard error.

    Raises:
        TableError: the table can't be forecast as it is, or a file can't be read.
        SourceUnavailable: Beijing's data can't be had, and there is no fallback.
    """
    source, warning = settings.source, None
    if frame is not None and source != FRAME:
        raise TableError(
            f"a table must come from one place, but got a DataFrame and the source {source!r}; "
            "leave one of them out"
        )
    simulated_stations = source == "simulated" and bool(settings.series)
    if source in (BEIJING, BEIJING_STATIONS):
        try:
            files = {source: read_beijing(progress)} if source == BEIJING else read_stations()
        except SourceUnavailable as error:
            if settings.fallback is None:
                raise SourceUnavailable(_unavailable(source, error)) from error
            simulated_stations = source == BEIJING_STATIONS
            source = settings.fallback
            warning = (
                f"Beijing's data could not be had ({error}): using simulated data, whose results "
                "say nothing about Beijing"
            )
    elif source == FRAME:
        if frame is None:
            raise TableError(
                "data.source frame stands for a DataFrame, and there is none; give it from Python "
                "as frame=..., or name a file"
            )
        files = {source: encode_frame(frame, settings.series_columns, settings.static)}
    elif source != "simulated":
        files = read_sources(source)
    if source == "simulated":
        files = {source: _simulate(stations=simulated_stations).to_csv(index=False).encode()}
    digest = hashlib.sha256()
    for raw in files.values():
        digest.update(raw)
    table = parse_table(
        files,
        settings.reading,
        target=settings.target,
        features=settings.features,
        horizon=settings.horizon,
        static=settings.static,
        neighbours=settings.neighbours,
    )
    check_splits(table.frame, settings, source, table.index)
    unit = find_unit(source, settings.target)
    features = table.frame[list(settings.features)]
    return Dataset(
        frame=table.frame,
        step=table.step,
        source=source,
        simulated=source == "simulated",
        sha256=digest.hexdigest(),
        warning=warning,
        reading=table.reading,
        repairs=table.repairs,
        doubts=(
            *table.notes,
            *find_doubts(
                [rows_until(features.iloc[rows], settings.test_from) for _, rows in table.index],
                table.step,
                settings.target,
            ),
        ),
        unit=unit,
        level_edges=AQI_BREAKPOINTS if unit else None,
        index=table.index,
    )


def _unavailable(source: str, error: SourceUnavailable) -> str:
    """What is said where Beijing's data can't be had, and nothing stands in for them."""
    if source == BEIJING_STATIONS:
        return f"Beijing's stations could not be had: {error}, or use --data simulated"
    return (
        f"Beijing's data could not be had: {error}. Set {DATA_VARIABLE} to the folder "
        f"with {BEIJING_FILE}, connect to the network, or use --data simulated"
    )


def _simulate(*, stations: bool) -> pd.DataFrame:
    if stations:
        from lstm_model.data.simulated_stations import simulate_stations

        return simulate_stations(seed=0)
    from lstm_model.data.simulation import simulate

    return simulate(seed=0)


def find_unit(source: str, target: str) -> str | None:
    """The target's unit, where the source says it."""
    names = {BEIJING: {PM25}, BEIJING_STATIONS: {STATIONS_PM25}, "simulated": {PM25, STATIONS_PM25}}
    return PM25_UNIT if target in names.get(source, ()) else None


def read_sources(source: str, rule: str = SOURCES) -> dict[str, bytes]:
    """The bytes of a file, or of each one that a pattern such as `stations/*.csv` names.

    Args:
        rule: what a source may be, for messages.

    Raises:
        TableError: it can't be read, or there is none.
    """
    pattern = os.path.expanduser(source)
    names = [source]
    if has_magic(pattern) and not os.path.exists(pattern):
        names = sorted(glob(pattern))
        if not names:
            raise TableError(
                f"{source}: must name files, but none has such a name; the pattern is taken from "
                f"{os.getcwd()}"
            )
    try:
        return {name: read_bytes(Path(name).expanduser()) for name in names}
    except (OSError, ValueError, RuntimeError) as error:  # ValueError: NUL; RuntimeError: ~nobody
        raise TableError(f"{source}: can't be read: {os_error_text(error)}; {rule}") from error
