"""The command that forecasts with a saved model.

python -m lstm_model.forecast --model runs/STUDY/best --data latest.csv
"""

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from lstm_model.command import exit_without_teardown, print_stderr, report_errors, run_app
from lstm_model.errors import InputError, TableError
from lstm_model.files import check_writable, write_file
from lstm_model.forecast_files import (
    STANDARD_INPUT,
    load_model,
    name_source,
    prefix_lines,
    read_table,
    write_forecasts,
)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
def run(
    model: Annotated[
        Path, typer.Option(help="a saved model's folder: runs/STUDY/best, runs/NAME/models/MODEL")
    ],
    data: Annotated[
        str,
        typer.Option(
            help="a table like the one trained on, with recent rows; - reads it from "
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
    and the bounds between which 80% and 95% of the observations are to lie. Of a model of several
    series it begins with series, and every series of the table is forecast, new ones too.
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
        from lstm_model.inference.table_checks import (
            LeftOutWarning,
            NewSeriesWarning,
            OutOfRangeWarning,
        )

        forecaster = load_model(model)
        if forecaster.simulated:
            print_stderr(
                "warning: the model was trained on simulated data: its forecasts say nothing about "
                "real air"
            )
        table = read_table(data, forecaster)
        with warnings.catch_warnings(record=True) as caught:
            words: dict[type[Warning], str] = {
                LeftOutWarning: "warning",
                OutOfRangeWarning: "warning",
                NewSeriesWarning: "note",
            }
            for kind in words:
                warnings.simplefilter("always", kind)
            try:
                forecasts = forecaster.forecast_table(table)
            except TableError as error:
                raise TableError(prefix_lines(error, name_source(data))) from error
        for warning in caught:
            if word := words.get(warning.category):
                print_stderr(f"{word}: {name_source(data)}: {warning.message}")
        if not forecasts.bounds:
            print_stderr(f"warning: {model} was saved without intervals: no bounds")
        if pooled := len(forecasts.pooled):
            print_stderr(
                f"note: {name_source(data)}: the bounds of {pooled} of "
                f"{len(forecasts.index)} series are calibrated on all series together, in units of "
                "each one's changes: too little was known of them alone"
            )
        if plot is not None:
            from lstm_model.figures.canvas import render_png
            from lstm_model.figures.latest import draw_latest

            write_file(plot, render_png(draw_latest(forecaster, table, forecasts)))
        write_forecasts(out, forecasts.every_nth_origin(every or len(forecasts.origins)))


def check_overwriting(files: Mapping[str, str | Path | None]) -> None:
    """Raises InputError where two flags name one file, of which one would be lost."""
    flags: dict[str, str] = {}
    for flag, file in files.items():
        if file is None:
            continue
        lies = os.path.realpath(os.path.expanduser(file) if flag == "--data" else file)
        if (other := flags.setdefault(lies, flag)) != flag:
            raise InputError(f"{other} and {flag} must be two files, but both are {file}")


if __name__ == "__main__":
    exit_without_teardown(run_app(app))
