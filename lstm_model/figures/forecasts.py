"""Forecasts against observations."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.dates import date2num
from matplotlib.figure import Figure

from lstm_model.arrays import Float64Array, Times
from lstm_model.evaluation.baselines import Style
from lstm_model.figures.canvas import (
    Surface,
    add_legend,
    create_column,
    create_row,
    finish,
    plot_observation,
    set_title,
    shorten_name,
)
from lstm_model.figures.style import PALETTE, REFERENCE_STYLES, assign_styles
from lstm_model.wording import significant

WEEK = np.timedelta64(7, "D")
MIN_OBSERVED = 0.9  # share of a week that is worth showing


def plot_episode(
    times: Times,
    observed: Float64Array,
    forecasts: Mapping[str, Float64Array],
    *,
    lead_time: str,
    quantity: str,
    styles: Mapping[str, Style] | None = None,
    on: Surface = None,
) -> Figure:
    """What was observed, and what each model had forecast for the same times.

    Args:
        times: (T,) when the forecasts are valid.
        observed: (T,) NaN where nothing was, which stays a gap.
        forecasts: (T,) by model, made `lead_time` ("1 h") before `times`.
        quantity: what is forecast, with its unit.
        styles: assign_styles() of all models of a report, where a figure shows some of them.
    """
    styles = styles or assign_styles(forecasts)
    (axes,) = (canvas := create_row(4.4, 1, on)).panels
    plot_observation(axes, times, observed)
    _plot_models(axes, times, forecasts, styles)
    title = f"{quantity}: observed, and as forecast {lead_time} before"
    return finish(canvas, ylabel=quantity, title=title)


def plot_forecast(
    times: Times,
    observed: Float64Array,
    valid: Times,
    forecast: Float64Array,
    bounds: Mapping[float, tuple[Float64Array, Float64Array]],
    *,
    quantity: str,
    on: Surface = None,
) -> Figure:
    """The recent past, and the forecast after it with its prediction intervals.

    Args:
        times: (T,) up to the forecast's origin.
        observed: (T,) NaN where nothing was, which stays a gap.
        valid: (L,) when the forecasts are valid.
        forecast: (L,) in the unit of `observed`.
        bounds: (L,) lower and upper, by coverage.
        quantity: what is forecast, with its unit.
    """
    (axes,) = (canvas := create_row(4.4, 1, on)).panels
    plot_observation(axes, times, observed)
    colour = PALETTE[0]
    line = axes.plot(valid, forecast, "o-", color=colour, label="forecast", zorder=3)
    line[0].set(linewidth=2.0, markersize=6 if len(valid) == 1 else 3)
    # Forecasts stand in the middle of a column as wide as a step, so that one alone has a band too.
    at = np.asarray(date2num(valid))  # type: ignore[no-untyped-call]
    width = float(date2num(valid[0]) - date2num(times[-1]))  # type: ignore[no-untyped-call]
    edges = np.append(at - width / 2, at[-1] + width / 2)
    # The narrower on top, both opaque, so that they look as in the legend.
    for number, (coverage, (low, high)) in enumerate(sorted(bounds.items())):
        share = max(0.45 - 0.25 * number, 0.1)
        paler = share * np.array(to_rgb(colour)) + 1 - share
        band = axes.stairs(high, edges, baseline=low, fill=True, label=f"{coverage:.0%} interval")
        band.set(facecolor=paler, edgecolor=paler, zorder=1.9 - 0.1 * number)
    axes.use_sticky_edges = False
    axes.axvline(times[-1], color="grey", linewidth=1, linestyle=":")
    origin = str(times[-1].astype("datetime64[m]")).replace("T", " ")
    title = f"{quantity}: known until {origin}, and forecast from then on"
    return finish(canvas, ylabel=quantity, title=title)


def pick_weeks(times: Times, observed: Float64Array) -> dict[str, slice]:
    """A low, a middle and the highest week of a period, by their observed means.

    The period is cut into weeks from its first row on, of 7 rows at least; a shorter period is one
    week. The low week's mean is the lowest decile, the middle one's the median. Weeks observed for
    less than MIN_OBSERVED are left out, unless fewer than three remain: then the three with the
    fewest gaps are the choice.

    Args:
        times: (T,) with one step between them.
        observed: (T,) NaN where nothing was.

    Returns:
        Rows by "low", "middle" and "highest", fewer in a period of fewer weeks.
    """
    rows = max(round(WEEK / (times[1] - times[0])), 7) if len(times) > 1 else 7
    rows = max(min(rows, len(times)), 1)
    starts = np.arange(0, len(times) - rows + 1, rows)
    weeks = [observed[start : start + rows] for start in starts]
    share = np.array([np.isfinite(week).mean() for week in weeks])
    order = np.argsort(-share, kind="stable")
    order = order[: max(int((share >= MIN_OBSERVED).sum()), 3)]
    # A week without any observation is shown only where there is nothing else.
    order = order[share[order] > 0] if (share > 0).any() else order[:1]
    means = np.array([np.nanmean(weeks[at]) if share[at] else 0.0 for at in order])
    ranked = starts[order[np.lexsort((order, means))]].tolist()
    if not ranked:
        return {}
    last = len(ranked) - 1
    # Of few weeks several names fall on one: the last of these stands.
    names = {last // 2: "middle", round(0.1 * last): "low", last: "highest"}
    return {names[rank]: slice(ranked[rank], ranked[rank] + rows) for rank in sorted(names)}


def plot_weeks(
    times: Times,
    observed: Float64Array,
    forecasts: Mapping[str, Float64Array],
    weeks: Mapping[str, slice],
    *,
    lead_time: str,
    quantity: str,
    styles: Mapping[str, Style] | None = None,
    on: Surface = None,
) -> Figure:
    """As plot_episode(), for several weeks below one another, each on its own scale.

    Args:
        weeks: the rows of each week by its name, one or more, as pick_weeks() has them.
    """
    styles = styles or assign_styles(forecasts)
    canvas = create_column([2.2 if len(weeks) > 1 else 4.0] * len(weeks), on)
    heading = f"{quantity}: observed, and as forecast {lead_time} before\n"
    for axes, (name, rows) in zip(canvas.panels, weeks.items(), strict=True):
        part = {model: values[rows] for model, values in forecasts.items()}
        plot_observation(axes, times[rows], observed[rows], width=1.0)
        _plot_models(axes, times[rows], part, styles)
        axes.xaxis.get_offset_text().set_visible(False)  # the title has the dates
        known = observed[rows][np.isfinite(observed[rows])]
        level = f"mean {significant(known.mean())}" if len(known) else "nothing observed"
        first, *_, last = np.datetime_as_string(times[rows][[0, -1]], unit="D")
        days = first if first == last else f"{first} to {last}"
        set_title(axes, f"{heading}{name[:1].upper()}{name[1:]}: {days}, {level}")
        heading = ""
    add_legend(canvas, canvas.panels[0])
    return canvas.figure


def _plot_models(
    axes: Axes, times: Times, forecasts: Mapping[str, Float64Array], styles: Mapping[str, Style]
) -> None:
    for model, values in forecasts.items():
        look = styles[model]
        line = axes.plot(times, values, color=look.colour, label=shorten_name(model))
        line[0].set(linestyle=look.dash, linewidth=0.8 * look.width)
        line[0].set_zorder(1.9 if model in REFERENCE_STYLES else 2.0)  # a model is not to be hidden
