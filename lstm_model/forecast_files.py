"""What a forecast is made from, and where it goes: a saved model, a table, a CSV."""

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lstm_model.errors import InputError, TableError
from lstm_model.files import write_file

if TYPE_CHECKING:
    # With torch, which takes seconds: a mistake is to be told at once.
    from lstm_model.data.table import SeriesTable
    from lstm_model.inference.forecasts import Forecasts
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


def read_table(data: str, forecaster: "TrainedForecaster") -> "SeriesTable":
    """The table, through the same door as in training."""
    from lstm_model.data.rows import RowRepair
    from lstm_model.data.sources import read_sources
    from lstm_model.data.table import SeriesTable, parse_table

    if data == "-" and sys.stdin is None:
        raise TableError(f"{STANDARD_INPUT} must be there for --data -, but is closed")
    kinds = forecaster.kinds
    table = parse_table(
        {STANDARD_INPUT: sys.stdin.buffer.read()}
        if data == "-"
        else read_sources(data, f"--data is a table's path, or - for {STANDARD_INPUT}"),
        forecaster.reading,
        target=forecaster.target,
        features=tuple(name for name in kinds if name not in forecaster.static),
        kinds=kinds,
        horizon=forecaster.horizon,
        step=forecaster.step,
        static=forecaster.static,
        neighbours=forecaster.reads_neighbours,
    )
    for repair in table.repairs:
        if isinstance(repair, RowRepair) or (
            repair.kind == "number" and repair.column not in forecaster.reading.types
        ):
            print(f"note: {name_source(data)}: {repair}", file=sys.stderr)
    return SeriesTable(table.frame, table.index)


def write_forecasts(out: Path | None, forecasts: "Forecasts") -> None:
    import pandas as pd

    from lstm_model.data.step import format_times

    table = forecasts.table()
    for column in ("origin", "valid_time"):
        table[column] = format_times(pd.DatetimeIndex(table[column]))
    text = table.to_csv(index=False, lineterminator="\n")
    if out is not None:
        write_file(out, text.encode())
    elif sys.stdout is None:
        raise OSError("standard output is closed; name a file with --out")
    else:
        print(text, end="")
        sys.stdout.flush()
