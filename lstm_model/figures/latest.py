"""The forecast that a model makes from the last row of a table, or of each of its series."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lstm_model.data.series_index import ONE_SERIES
from lstm_model.data.step import on_wall
from lstm_model.errors import InputError
from lstm_model.figures.canvas import Surface, add_legend, create_column, draw_on, set_title
from lstm_model.figures.forecasts import plot_forecast

if TYPE_CHECKING:
    from lstm_model.data.table import SeriesTable
    from lstm_model.inference.forecasts import Forecasts
    from lstm_model.inference.predictor import TrainedForecaster

# The past that is drawn: three times as long as the forecast, but a day's rows or more.
PAST, MIN_PAST = 3, 24
MOST_PANELS = 6  # of several series


def plot_latest_forecast(
    model: "TrainedForecaster",
    frame: pd.DataFrame,
    ax: Axes | Sequence[Axes] | None = None,
    *,
    series: str | None = None,
) -> Axes:
    """Forecast from a table's last row, and draw it with its prediction intervals.

    Of several series there is a panel for each, or for six of them, from low forecasts to high.

    >>> lstm_model.plot_latest_forecast(model, recent, ax) is ax
    True

    Args:
        frame: as TrainedForecaster.forecast() takes it.
        ax: matplotlib's axes to draw on, as many as there are panels; without them pyplot makes a
            figure, which a notebook shows.
        series: the only one to draw, by its name.

    Returns:
        The axes that were drawn on, of several the first.

    Raises:
        InputError: the table is none that the model can read, or has no such series.
    """
    table = model.read_table(frame)
    forecasts = model.forecast_table(table)
    if series is not None:
        names = forecasts.index.names
        if series not in names:
            raise InputError(
                f"series must be one that is forecast, but got {series!r}; there is "
                f"{', '.join(names)}"
            )
        return draw_on(ax, lambda on: _draw_series(model, table, forecasts, series, on))[0]
    return draw_on(ax, lambda on: draw_latest(model, table, forecasts, on))[0]


def draw_latest(
    model: "TrainedForecaster", table: "SeriesTable", forecasts: "Forecasts", on: Surface = None
) -> Figure:
    """The last of some forecasts, after what was observed before it; of each series, or of some."""
    names = forecasts.index.names
    if len(names) == 1:
        return _draw_series(model, table, forecasts, names[0], on)
    shown = pick_series(forecasts)
    canvas = create_column([2.6] * len(shown), on)
    for axes, name in zip(canvas.panels, shown, strict=True):
        _draw_series(model, table, forecasts, name, axes)
        if canvas.is_whole and (legend := axes.get_legend()) is not None:
            legend.remove()
        set_title(axes, name)
    if len(shown) < len(names):
        first = f"{len(shown)} of {len(names)} series, from low forecasts to high\n{shown[0]}"
        set_title(canvas.panels[0], first)
    if canvas.is_whole:
        add_legend(canvas, canvas.panels[0])
    return canvas.figure


def pick_series(forecasts: "Forecasts") -> list[str]:
    """The series to show: MOST_PANELS of them, evenly from the lowest last forecast to the highest;
    of fewer all, in their order.
    """
    names = forecasts.index.names
    if len(names) <= MOST_PANELS:
        return list(names)
    last = forecasts.point[np.array(forecasts.index.bounds[1:]) - 1, 0]
    order = np.argsort(last, kind="stable")
    ranks = np.linspace(0, len(names) - 1, MOST_PANELS).round().astype(int)
    return [names[order[rank]] for rank in ranks]


def _draw_series(
    model: "TrainedForecaster", table: "SeriesTable", forecasts: "Forecasts", name: str, on: Surface
) -> Figure:
    """The last forecast of one series."""
    [rows] = [rows for each, rows in table.index if each == name]
    own = forecasts.by_series[name]
    recent = table.frame[model.target].iloc[rows].iloc[-max(PAST * model.horizon, MIN_PAST) :]
    return plot_forecast(
        on_wall(pd.DatetimeIndex(recent.index)).to_numpy(),
        recent.to_numpy(),
        on_wall(own.valid_times()).to_numpy(),
        own.point[-1],
        {coverage: (low[-1], high[-1]) for coverage, (low, high) in own.bounds.items()},
        quantity=model.target if name == ONE_SERIES else f"{model.target} of {name}",
        on=on,
    )
