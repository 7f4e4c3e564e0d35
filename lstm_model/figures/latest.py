"""The forecast that a model makes from the last row of a table."""

from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lstm_model.data.step import on_wall
from lstm_model.figures.canvas import Surface, draw_on
from lstm_model.figures.forecasts import plot_forecast

if TYPE_CHECKING:
    from lstm_model.inference.intervals import Forecasts
    from lstm_model.inference.predictor import TrainedForecaster

# The past that is drawn: three times as long as the forecast, but a day's rows or more.
PAST, MIN_PAST = 3, 24


def plot_latest_forecast(
    model: "TrainedForecaster", frame: pd.DataFrame, ax: Axes | None = None
) -> Axes:
    """Forecast from a table's last row, and draw it with its prediction intervals.

    >>> lstm_model.plot_latest_forecast(model, recent, ax) is ax
    True

    Args:
        frame: as TrainedForecaster.forecast() takes it.
        ax: matplotlib's axes to draw on; without them pyplot makes a figure, which a notebook
            shows.

    Returns:
        The axes that were drawn on.

    Raises:
        InputError: the table is none that the model can read.
    """
    table = model.read_table(frame)
    forecasts = model.forecast_table(table)
    return draw_on(ax, lambda on: draw_latest(model, table, forecasts, on))[0]


def draw_latest(
    model: "TrainedForecaster", table: pd.DataFrame, forecasts: "Forecasts", on: Surface = None
) -> Figure:
    """The last of some forecasts, after what was observed before it."""
    recent = table[model.target].iloc[-max(PAST * model.horizon, MIN_PAST) :]
    return plot_forecast(
        on_wall(pd.DatetimeIndex(recent.index)).to_numpy(),
        recent.to_numpy(),
        on_wall(forecasts.valid_times()).to_numpy(),
        forecasts.point[-1],
        {coverage: (low[-1], high[-1]) for coverage, (low, high) in forecasts.bounds.items()},
        quantity=model.target,
        on=on,
    )
