"""What a forecast is made from, and where it goes: a saved model, a table, a CSV."""

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lstm_model.errors import InputError, TableError, os_error_text
from lstm_model.files import read_bytes, write_file

if TYPE_CHECKING:
    # With torch, which takes seconds: a mistake is to be told at once.
    import pandas as pd

    from lstm_model.inference.intervals import Forecasts
    from lstm_model.inference.predictor import TrainedForecaster

STANDARD_INPUT = "standard input"


def load_model(folder: Path) -> "TrainedForecaster":
    """The model, or where it may lie."""
    from lstm_model.inference.model_file import SETTINGS
    from lstm_model.inference.predictor import TrainedForecaster

    # Neither raises where the name is too long for one, as the methods of a Path do.
    if not os.path.exists(folder / SETTINGS):
        near = [folder / "best"]
        if os.path.isdir(folder):
            near += [*sorted((folder / "models").glob("*")), *sorted(folder.glob("*"))]
        models = [shlex.quote(str(path)) for path in near if os.path.exists(path / SETTINGS)]
        instead = f"; there is {', '.join(dict.fromkeys(models))}" if models else ""
        raise InputError(
            f"--model must be a folder with {SETTINGS}, such as runs/STUDY/best, but {folder} has "
            f"none{instead}"
        )
    return TrainedForecaster.load(folder)


def name_source(data: str) -> str:
    return STANDARD_INPUT if data == "-" else data


def prefix_lines(error: Exception, file: str) -> str:
    return "\n".join(f"{file}: {line}" for line in str(error).splitlines())


def read_table(data: str, forecaster: "TrainedForecaster") -> "pd.DataFrame":
    """The table, through the same door as in training."""
    from lstm_model.data.csv_table import parse_csv

    if data == "-" and sys.stdin is None:
        raise TableError(f"{STANDARD_INPUT} must be there for --data -, but is closed")
    try:
        raw = sys.stdin.buffer.read() if data == "-" else read_bytes(Path(data).expanduser())
    except (OSError, ValueError, RuntimeError) as error:  # ValueError: NUL; RuntimeError: ~nobody
        raise TableError(
            f"{data}: can't be read: {os_error_text(error)}; --data is a CSV's path, or - for "
            f"{STANDARD_INPUT}"
        ) from error
    kinds = forecaster.kinds
    table = parse_csv(
        raw,
        name_source(data),
        forecaster.reading,
        target=forecaster.target,
        features=tuple(kinds),
        kinds=kinds,
        horizon=forecaster.horizon,
    )
    for repair in table.repairs:
        if repair.kind == "number" and repair.column not in forecaster.reading.types:
            print(f"warning: {name_source(data)}: {repair}", file=sys.stderr)
    return table.frame


def write_forecasts(out: Path | None, forecasts: "Forecasts") -> None:
    seconds = any(time.second for time in (*forecasts.origins[:2], *forecasts.valid_times()[:2]))
    text = forecasts.table().to_csv(
        index=False,
        date_format="%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M",
        lineterminator="\n",
    )
    if out is not None:
        write_file(out, text.encode())
    elif sys.stdout is None:
        raise OSError("standard output is closed; name a file with --out")
    else:
        print(text, end="")
        sys.stdout.flush()
