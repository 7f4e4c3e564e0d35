"""Errors by lead time and by level."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lstm_model.arrays import Float64Array, Mask
from lstm_model.evaluation.baselines import Style
from lstm_model.figures.canvas import (
    Surface,
    add_legend,
    create_row,
    escape_math,
    finish,
    name_measure,
    set_title,
    shorten_name,
    to_floats,
)
from lstm_model.figures.style import assign_styles
from lstm_model.wording import significant

# A title, and (L,) estimates with their lower and upper ends.
DifferenceSeries = tuple[str, Sequence[float], Sequence[float], Sequence[float]]


def plot_error_by_lead_time(
    rmse: Mapping[str, Sequence[float]],
    lead_times: Sequence[int],
    *,
    quantity: str,
    measure: str = "RMSE",
    difference: DifferenceSeries | None = None,
    step: str = "1 h",
    styles: Mapping[str, Style] | None = None,
    on: Surface = None,
) -> Figure:
    """RMSE by lead time, and beside it the difference between two models.

    Args:
        rmse: (L,) by model.
        lead_times: (L,) in steps.
        measure: what the numbers are, where it is an error without a unit.
        difference: what it is of, and its (L,) values, lower and upper ends of the 95% interval.
        step: the time from one row to the next.
    """
    styles = styles or assign_styles(rmse)
    several = len(lead_times) > 1
    unit = "h" if step == "1 h" else f"x {step}"
    height = 4.4 if several else 1.6 + 0.3 * len(rmse)
    canvas = create_row(height, 2 if difference else 1, on)
    axes, *beside = canvas.panels
    text = escape_math(name_measure(measure, quantity))
    for row, (model, values) in enumerate(rmse.items()):
        look = styles[model]
        # With a single lead time there is no line to draw: the models below one another instead.
        points = (lead_times, to_floats(values)) if several else (to_floats(values), [row])
        line = axes.plot(*points, color=look.colour, marker=look.marker, label=shorten_name(model))
        line[0].set(linestyle=look.dash, linewidth=look.width, markersize=4 if several else 8)
    if several:
        axes.set_ylabel(text)
        _lead_time_axis(axes, lead_times, f"lead time ({unit})")
        add_legend(canvas, axes)
    else:
        _rows_of_dots(axes, {model: to_floats(values)[0] for model, values in rmse.items()})
        axes.set_xlabel(text)
    # The name of another measure is long, and stands at the axis.
    is_rmse = measure == "RMSE"
    title = "RMSE at lead time" if is_rmse else "Lead time"
    set_title(axes, measure if several else f"{title} {lead_times[0]} {unit}")
    if difference:
        name, middle, low, high = difference
        (right,) = beside
        right.axhline(0.0, color="grey", linewidth=1)
        right.vlines(lead_times, to_floats(low), to_floats(high), color="black", linewidth=1.4)
        right.plot(lead_times, to_floats(middle), "ko-", linewidth=0.8, markersize=5)
        right.set_ylabel(escape_math(f"difference, {quantity}") if is_rmse else "difference")
        _lead_time_axis(right, lead_times, f"lead time ({unit})")
        of = "RMSE with" if is_rmse else "with"
        set_title(right, f"{name}:\n{of} its 95% interval")
    return canvas.figure


def _rows_of_dots(axes: Axes, values: Mapping[str, float]) -> None:
    """Names and numbers beside the dots, on a scale that shows how the good models differ."""
    names = [f"{shorten_name(model)}   {significant(value)}" for model, value in values.items()]
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    finite = [value for value in values.values() if np.isfinite(value)]
    # A baseline far worse than the best model would press all others into one spot.
    near = [value for value in finite if value <= 1.5 * min(finite)] or [0.0]
    margin = 0.15 * (max(near) - min(near)) or 0.15 * abs(max(near)) or 1.0
    axes.set_xlim(min(near) - margin, max(near) + margin)
    transform, text = axes.get_yaxis_transform(), "off the scale \N{RIGHTWARDS ARROW}"
    for row, value in enumerate(values.values()):
        if value > max(near):
            axes.text(1.0, row, text, transform=transform, ha="right", va="center")


def plot_error_by_level(
    labels: Sequence[str],
    rows: Sequence[int],
    rmse: Mapping[str, Sequence[float]],
    *,
    quantity: str,
    by: str = "level",
    step: str = "1 h",
    styles: Mapping[str, Style] | None = None,
    on: Surface = None,
) -> Figure:
    """RMSE in each of G groups of rows, (G,) by model, with the number of rows.

    Args:
        step: the time from one row to the next.
    """
    styles = styles or assign_styles(rmse)
    (axes,) = (canvas := create_row(4.4, 1, on)).panels
    width = 0.8 / max(len(rmse), 1)
    for number, (model, values) in enumerate(rmse.items()):
        middle = np.arange(len(labels)) + (number - (len(rmse) - 1) / 2) * width
        colour = styles[model].colour
        axes.bar(middle, to_floats(values), 0.92 * width, color=colour, label=shorten_name(model))
    counted = _group_axis(axes, labels, rows, step)
    title = f"RMSE of {quantity} by {by}, with the number of {counted}"
    return finish(canvas, ylabel=f"RMSE of {quantity}", title=title)


def plot_residuals_by_level(
    errors: Mapping[str, Float64Array],
    groups: Mapping[str, Mask],
    *,
    quantity: str,
    by: str = "last observed level",
    step: str = "1 h",
    styles: Mapping[str, Style] | None = None,
    on: Surface = None,
) -> Figure:
    """How errors are distributed in each of G groups of rows, with the number of rows.

    A dot is the median, the thick line holds the middle half of the errors, the thin one 90%.

    Args:
        errors: (T,) by model: forecast minus observation, in the target's unit. A row where one of
            them is NaN is left out for all, so that they are shown for the same rows.
        groups: (T,) which rows belong to a group, by its label.
        step: the time from one row to the next.
    """
    styles = styles or assign_styles(errors)
    (axes,) = (canvas := create_row(4.4, 1, on)).panels
    scored = np.isfinite(np.stack(list(errors.values()))).all(axis=0)
    members = [mask & scored for mask in groups.values()]
    axes.axhline(0.0, color="grey", linewidth=1)
    for number, (model, values) in enumerate(errors.items()):
        look = styles[model]
        x = np.arange(len(groups)) + 0.5 * (number - (len(errors) - 1) / 2) / len(errors)
        quantiles = [
            np.quantile(values[rows] if rows.any() else np.nan, [0.05, 0.25, 0.5, 0.75, 0.95])
            for rows in members
        ]
        lowest, low, middle, high, highest = np.reshape(quantiles, (-1, 5)).T
        axes.vlines(x, lowest, highest, color=look.colour, linewidth=1.4)
        axes.vlines(x, low, high, color=look.colour, linewidth=7)
        dots = axes.plot(x, middle, "o", color=look.colour, label=shorten_name(model))
        # A dot in the line's own colour would not be seen on it.
        dots[0].set(markersize=6, markerfacecolor="white", markeredgewidth=1.6)
    counted = _group_axis(axes, list(groups), [int(rows.sum()) for rows in members], step)
    axes.set_xlim(-0.6, len(groups) - 0.4)
    title = f"Forecast minus observation by {by}: median, the middle 50% and 90%, and the number of"
    return finish(canvas, ylabel=f"error of {quantity}", title=f"{title} {counted}")


def _group_axis(axes: Axes, labels: Sequence[str], rows: Sequence[int], step: str) -> str:
    """Groups with their numbers of rows below them; returns what is counted."""
    unit, counted = ("h", "hours") if step == "1 h" else ("rows", "rows")
    crowded = len(labels) * (max(map(len, [*labels, f"1,000 {unit}"])) + 2) > 90
    between = ":  " if crowded else "\n"
    names = [f"{text}{between}{count:,} {unit}" for text, count in zip(labels, rows, strict=True)]
    axes.set_xticks(range(len(names)), map(escape_math, names), rotation=90 if crowded else 0)
    axes.grid(axis="x", visible=False)
    return counted


def _lead_time_axis(axes: Axes, lead_times: Sequence[int], text: str) -> None:
    if len(lead_times) > 1:
        axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 3, 6, 10], integer=True))
    else:
        axes.set_xticks(lead_times)
    axes.set_xlabel(text)
