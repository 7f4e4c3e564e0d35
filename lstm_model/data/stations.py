"""Beijing's stations, March 2013 to February 2017: a file each, which their owner gets once.

Chen, S. (2017). Beijing Multi-Site Air Quality. https://doi.org/10.24432/C5RK5G. CC BY 4.0.
"""

import os
from pathlib import Path

from lstm_model.data.beijing import DATA_VARIABLE
from lstm_model.errors import SourceUnavailable, os_error_text
from lstm_model.files import read_bytes

BEIJING_STATIONS = "beijing_stations"  # the source's name
STATIONS_FOLDER, STATIONS_FILES = "stations", "PRSA_Data_*_20130301-20170228.csv"
STATIONS_PM25 = "PM2.5"
FROM_UCI = (
    f"{STATIONS_FILES} are UCI's Beijing Multi-Site Air Quality, "
    "https://doi.org/10.24432/C5RK5G (CC BY 4.0)"
)


def read_stations() -> dict[str, bytes]:
    """The bytes of each station's file, by its name, in the order of the names.

    They are read from the folder `stations` in the one that LSTM_TUNING_DATA names: some of the
    twelve stations will do.

    Raises:
        SourceUnavailable: they can't be had; with where they are from, and where they go.
    """
    if not (data := os.environ.get(DATA_VARIABLE)):
        raise SourceUnavailable(
            f"{FROM_UCI}; put them into a folder {STATIONS_FOLDER!r}, and set {DATA_VARIABLE} to "
            "the folder that it is in"
        )
    folder = Path(data) / STATIONS_FOLDER
    try:
        paths = sorted(folder.glob(STATIONS_FILES))
        files = {path.name: read_bytes(path) for path in paths}
    except OSError as error:
        raise SourceUnavailable(f"{DATA_VARIABLE} is set, but {os_error_text(error)}") from error
    if not files:
        raise SourceUnavailable(
            f"{DATA_VARIABLE} is set, but {folder} has none of their files: {FROM_UCI}; put them "
            "there"
        )
    return files
