"""The command that forecasts with a saved model.

python -m lstm_model.forecast --model runs/STUDY/best --data latest.csv
"""

import os
import shlex
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lstm_model.command import exit_without_teardown, print_stderr, report_errors, run_app
from lstm_model.errors import InputError, TableError, os_error_text
from lstm_model.files import check_writable, read_bytes, write_file

if TYPE_CHECKING:
    import pandas as pd

    from lstm_model.inference.intervals import Forecasts
    from lstm_model.inference.predictor import TrainedForecaster

STANDARD_INPUT = "standard input"

# The past that is drawn: three times as long as the forecast, but a day's rows or more.
PAST, MIN_PAST = 3, 24

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
def run(
    model: Annotated[
        Path, typer.Option(help="a saved model's folder: runs/STUDY/best, runs/NAME/models/MODEL")
    ],
    data: Annotated[
        str,
        typer.Option(
            help="a CSV like the one trained on, with recent rows; - reads it from "
            + STANDARD_INPUT
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="file for the forecasts, instead of standard output")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="PNG file of the recent past and the last forecast")
    ] = None,
    every: Annotated[
        int | None,
        typer.Option(min=1, help="a forecast from every so many hours (rows), not the last alone"),
    ] = None,
) -> None:
    """Forecast what comes after recent rows, with prediction intervals.

    The forecasts are a CSV in the target's unit: origin, lead_time (in rows), valid_time, forecast,
    and the bounds between which 80% and 95% of the observations are to lie.
    """
    with report_errors():
        if plot is not None and plot.suffix.lower() != ".png":
            raise InputError(f"--plot must be a file that ends with .png, but got {plot}")
        for flag, file in (("--out", out), ("--plot", plot)):
            if file is not None:
                check_writable(flag, file)
        check_overwriting({"--data": None if data == "-" else data, "--out": out, "--plot": plot})
        out, plot = (file and Path(os.path.realpath(file)) for file in (out, plot))  # a link stays
        # Not before: torch takes seconds, and a mistake is to be told at once.
        from lstm_model.inference.table_checks import OutOfRangeWarning

        forecaster = load_model(model)
        if forecaster.simulated:
            print_stderr(
                "warning: the model was trained on simulated data: its forecasts say nothing about "
                "real air"
            )
        table = read_table(data, forecaster)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", OutOfRangeWarning)
            try:
                forecasts = forecaster.forecast(table)
            except TableError as error:
                raise TableError(prefix_lines(error, name_source(data))) from error
        for warning in caught:
            if issubclass(warning.category, OutOfRangeWarning):
                print_stderr(f"warning: {name_source(data)}: {warning.message}")
        if not forecasts.bounds:
            print_stderr(f"warning: {model} was saved without intervals: no bounds")
        if plot is not None:
            draw_forecast(plot, forecaster, table, forecasts)
        write_forecasts(out, forecasts.every_nth_origin(every or len(forecasts.origins)))


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


def check_overwriting(files: Mapping[str, str | Path | None]) -> None:
    """Raises InputError where two flags name one file, of which one would be lost."""
    flags: dict[str, str] = {}
    for flag, file in files.items():
        if file is None:
            continue
        lies = os.path.realpath(os.path.expanduser(file) if flag == "--data" else file)
        if (other := flags.setdefault(lies, flag)) != flag:
            raise InputError(f"{other} and {flag} must be two files, but both are {file}")


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


def draw_forecast(
    file: Path, forecaster: "TrainedForecaster", table: "pd.DataFrame", forecasts: "Forecasts"
) -> None:
    """The last forecast, after what was observed before it."""
    from lstm_model.figures.canvas import render_png
    from lstm_model.figures.forecasts import plot_forecast

    recent = table[forecaster.target].iloc[-max(PAST * forecaster.horizon, MIN_PAST) :]
    figure = plot_forecast(
        recent.index.to_numpy(),
        recent.to_numpy(),
        forecasts.valid_times().to_numpy(),
        forecasts.point[-1],
        {coverage: (low[-1], high[-1]) for coverage, (low, high) in forecasts.bounds.items()},
        quantity=forecaster.target,
    )
    write_file(file, render_png(figure))


if __name__ == "__main__":
    exit_without_teardown(run_app(app))
