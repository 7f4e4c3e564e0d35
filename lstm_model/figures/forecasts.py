"""Figures of forecasts and their errors: pure functions of numbers, drawn without pyplot."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from io import BytesIO

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from lstm_model.arrays import Float64Array, Mask
from lstm_model.evaluation.baselines import BASELINES, Style
from lstm_model.wording import significant

WIDTH = 8.0  # inches; shown 900 px wide, a text of 10 points is 16 px high
DPI = 150
LONGEST_NAME = 40  # characters
WEEK = np.timedelta64(7, "D")
LEAST_OBSERVED = 0.9  # share of a week that is worth showing
# What matplotlib can name; it rounds the last microseconds up.
FIRST_DATE, LAST_DATE = (
    float(date2num(date))  # type: ignore[no-untyped-call]
    for date in (datetime.min, datetime.max.replace(microsecond=0))
)
OFF_THE_SCALE = 4.0  # times as far above the best trial as the third quartile
Times = npt.NDArray[np.datetime64]
Difference = tuple[str, Sequence[float], Sequence[float], Sequence[float]]


# Okabe and Ito's colours, told apart with any colour vision. An LSTM has one of them strong; the
# ridge regression on the same inputs has it paler, LightGBM darker: lightness tells them apart
# where hue doesn't.
STRONG = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
KINDS = {each.name: each.style for each in BASELINES if each.per_features}
KINDS["lightgbm"] = Style("black", "-.", 1.2, "^")
REFERENCES = {each.name: each.style for each in BASELINES if not each.per_features}


def styles(models: Iterable[str]) -> dict[str, Style]:
    """One style a model: the same in every figure that is given the styles of all models.

    The inputs that a model reads give its hue, and `multivariate` and `univariate` come first, so
    that with them alone figures of different models agree without being given any styles.
    """
    split = {model: _split(model) for model in models if model not in REFERENCES}
    inputs = list(dict.fromkeys(["multivariate", "univariate", *(of for _, of in split.values())]))
    found = dict(REFERENCES)
    for model, (kind, of) in split.items():
        strong = STRONG[inputs.index(of) % len(STRONG)]
        if kind:
            style = KINDS[kind]
            mixed = 0.55 * np.array(to_rgb(strong)) + 0.45 * np.array(to_rgb(style.colour))
            colour = to_hex((mixed[0], mixed[1], mixed[2]))
            found[model] = replace(style, colour=colour)
        else:
            found[model] = Style(strong)
    return found


def label(model: str) -> str:
    """A model's name to be read: `ridge multivariate`; an LSTM has the name of its study."""
    known = model in REFERENCES or _split(model)[0]
    return model.replace("_", " ") if known else model


def episode(
    times: Times,
    observed: Float64Array,
    forecasts: Mapping[str, Float64Array],
    *,
    lead_time: str,
    quantity: str,
    looks: Mapping[str, Style] | None = None,
) -> Figure:
    """What was observed, and what each model had forecast for the same times.

    Args:
        times: (T,) when the forecasts are valid.
        observed: (T,) NaN where nothing was, which stays a gap.
        forecasts: (T,) by model, made `lead_time` ("1 h") before `times`.
        quantity: what is forecast, with its unit.
        looks: styles() of all models of a report, where a figure shows some of them.
    """
    looks = looks or styles(forecasts)
    figure, (axes,) = _panels(4.4, 1)
    _observation(axes, times, observed)
    _forecasts(axes, times, forecasts, looks)
    axes.set_ylabel(_plain(quantity))
    _title(axes, f"{quantity}: observed, and as forecast {lead_time} before")
    _legend(figure)
    return figure


def forecast_ahead(
    times: Times,
    observed: Float64Array,
    valid: Times,
    forecast: Float64Array,
    bounds: Mapping[float, tuple[Float64Array, Float64Array]],
    *,
    quantity: str,
) -> Figure:
    """The recent past, and what is forecast after it, with the bands that observations will lie in.

    Args:
        times: (T,) up to the forecast's origin.
        observed: (T,) NaN where nothing was, which stays a gap.
        valid: (L,) when the forecasts are.
        forecast: (L,) in the unit of `observed`.
        bounds: (L,) lower and upper, by the share of observations that is to lie in them.
        quantity: what is forecast, with its unit.
    """
    figure, (axes,) = _panels(4.4, 1)
    _observation(axes, times, observed)
    colour = STRONG[0]
    line = axes.plot(valid, forecast, "o-", color=colour, label="forecast", zorder=3)
    line[0].set(linewidth=2.0, markersize=6 if len(valid) == 1 else 3)
    # Forecasts stand in the middle of a column as wide as a step, so that one alone has a band too.
    at = np.asarray(date2num(valid))  # type: ignore[no-untyped-call]
    width = float(date2num(valid[0]) - date2num(times[-1]))  # type: ignore[no-untyped-call]
    edges = np.append(at - width / 2, at[-1] + width / 2)
    # The narrower on top, both opaque, so that they look as in the legend.
    for number, (claim, (low, high)) in enumerate(sorted(bounds.items())):
        share = max(0.45 - 0.25 * number, 0.1)
        paler = share * np.array(to_rgb(colour)) + 1 - share
        band = axes.stairs(high, edges, baseline=low, fill=True, label=f"{claim:.0%} interval")
        band.set(facecolor=paler, edgecolor=paler, zorder=1.9 - 0.1 * number)
    axes.use_sticky_edges = False
    axes.axvline(times[-1], color="grey", linewidth=1, linestyle=":")
    axes.set_ylabel(_plain(quantity))
    origin = str(times[-1].astype("datetime64[m]")).replace("T", " ")
    _title(axes, f"{quantity}: known until {origin}, and forecast from then on")
    _legend(figure)
    return figure


def three_weeks(times: Times, observed: Float64Array) -> dict[str, slice]:
    """A low, a middle and the highest week of a period, as rows of it, by the means observed.

    The period is cut into weeks (7 rows, where those are longer) that begin at its first row; of a
    period that is shorter, all of it is one. The low week's mean is the lowest decile, the middle
    one's the median. Weeks that are observed less than LEAST_OBSERVED are passed over, but where
    that leaves fewer than three, the three least missing ones are chosen from.

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
    seen = np.array([np.isfinite(week).mean() for week in weeks])
    order = np.argsort(-seen, kind="stable")
    order = order[: max(int((seen >= LEAST_OBSERVED).sum()), 3)]
    # A week without any observation is shown only where there is nothing else.
    order = order[seen[order] > 0] if (seen > 0).any() else order[:1]
    means = np.array([np.nanmean(weeks[at]) if seen[at] else 0.0 for at in order])
    ranked = starts[order[np.lexsort((order, means))]]
    last = len(ranked) - 1
    ranks = {"low": round(0.1 * last), "middle": last // 2, "highest": last}
    found: dict[int, str] = {}
    for name in ("highest", "low", "middle"):
        if last >= 0:
            found.setdefault(ranks[name], name)
    return {
        found[rank]: slice(int(ranked[rank]), int(ranked[rank]) + rows) for rank in sorted(found)
    }


def weeks(
    times: Times,
    observed: Float64Array,
    forecasts: Mapping[str, Float64Array],
    chosen: Mapping[str, slice],
    *,
    lead_time: str,
    quantity: str,
    looks: Mapping[str, Style] | None = None,
) -> Figure:
    """As episode(), for some stretches of a period below one another, each on its own scale.

    Args:
        times: (T,) when the forecasts are valid.
        observed: (T,) NaN where nothing was, which stays a gap.
        forecasts: (T,) by model, made `lead_time` ("1 h") before `times`.
        chosen: the rows of each stretch by its name, one or more, as three_weeks() has them.
        quantity: what is forecast, with its unit.
        looks: styles() of all models of a report, where a figure shows some of them.
    """
    looks = looks or styles(forecasts)
    figure, panels = _stacked([2.2 if len(chosen) > 1 else 4.0] * len(chosen))
    heading = f"{quantity}: observed, and as forecast {lead_time} before\n"
    for axes, (name, rows) in zip(panels, chosen.items(), strict=True):
        part = {model: values[rows] for model, values in forecasts.items()}
        _observation(axes, times[rows], observed[rows], width=1.0)
        _forecasts(axes, times[rows], part, looks)
        axes.xaxis.get_offset_text().set_visible(False)  # the title has the dates
        known = observed[rows][np.isfinite(observed[rows])]
        level = f"mean {significant(known.mean())}" if len(known) else "nothing observed"
        first, *_, last = np.datetime_as_string(times[rows][[0, -1]], unit="D")
        days = first if first == last else f"{first} to {last}"
        _title(axes, f"{heading}{name[:1].upper()}{name[1:]}: {days}, {level}")
        heading = ""
    _legend(figure)
    return figure


def error_by_lead_time(
    rmse: Mapping[str, Sequence[float]],
    lead_times: Sequence[int],
    *,
    quantity: str,
    difference: Difference | None = None,
    step: str = "1 h",
    looks: Mapping[str, Style] | None = None,
) -> Figure:
    """RMSE by lead time, and beside it the difference between two models.

    Args:
        rmse: (L,) by model.
        lead_times: (L,) in steps.
        difference: what it is of, and its (L,) values, lower and upper ends of the 95% interval.
        step: the time from one row to the next.
    """
    looks = looks or styles(rmse)
    several = len(lead_times) > 1
    unit = "h" if step == "1 h" else f"x {step}"
    figure, panels = _panels(4.4 if several else 1.6 + 0.3 * len(rmse), 2 if difference else 1)
    axes = panels[0]
    for row, (model, values) in enumerate(rmse.items()):
        look = looks[model]
        # With a single lead time there is no line to draw: the models below one another instead.
        places = (lead_times, _numbers(values)) if several else (_numbers(values), [row])
        line = axes.plot(*places, color=look.colour, marker=look.marker, label=_name(model))
        line[0].set(linestyle=look.dash, linewidth=look.width, markersize=4 if several else 8)
    if several:
        axes.set_ylabel(_plain(f"RMSE of {quantity}"))
        _lead_time_axis(axes, lead_times, f"lead time ({unit})")
        _legend(figure)
    else:
        _rows_of_dots(axes, {model: _numbers(values)[0] for model, values in rmse.items()})
        axes.set_xlabel(_plain(f"RMSE of {quantity}"))
    _title(axes, "RMSE" if several else f"RMSE at lead time {lead_times[0]} {unit}")
    if difference:
        name, middle, low, high = difference
        panels[1].axhline(0.0, color="grey", linewidth=1)
        panels[1].vlines(lead_times, _numbers(low), _numbers(high), color="black", linewidth=1.4)
        panels[1].plot(lead_times, _numbers(middle), "ko-", linewidth=0.8, markersize=5)
        panels[1].set_ylabel(_plain(f"difference, {quantity}"))
        _lead_time_axis(panels[1], lead_times, f"lead time ({unit})")
        _title(panels[1], f"{name}:\nRMSE with its 95% interval")
    return figure


def _rows_of_dots(axes: Axes, values: Mapping[str, float]) -> None:
    """Names and numbers beside the dots, on a scale that shows how the good models differ."""
    names = [f"{_name(model)}   {significant(value)}" for model, value in values.items()]
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    finite = [value for value in values.values() if np.isfinite(value)]
    # A baseline far worse than the best model would press all others into one spot.
    near = [value for value in finite if value <= 1.5 * min(finite)] or [0.0]
    margin = 0.15 * (max(near) - min(near)) or 0.15 * abs(max(near)) or 1.0
    axes.set_xlim(min(near) - margin, max(near) + margin)
    place, text = axes.get_yaxis_transform(), "off the scale \N{RIGHTWARDS ARROW}"
    for row, value in enumerate(values.values()):
        if value > max(near):
            axes.text(1.0, row, text, transform=place, ha="right", va="center")


def error_by_level(
    labels: Sequence[str],
    rows: Sequence[int],
    rmse: Mapping[str, Sequence[float]],
    *,
    quantity: str,
    by: str = "level",
    step: str = "1 h",
    looks: Mapping[str, Style] | None = None,
) -> Figure:
    """RMSE in each of G groups of rows, (G,) by model, with the number of rows.

    Args:
        step: the time from one row to the next.
    """
    looks = looks or styles(rmse)
    figure, (axes,) = _panels(4.4, 1)
    width = 0.8 / max(len(rmse), 1)
    for number, (model, values) in enumerate(rmse.items()):
        middle = np.arange(len(labels)) + (number - (len(rmse) - 1) / 2) * width
        colour = looks[model].colour
        axes.bar(middle, _numbers(values), 0.92 * width, color=colour, label=_name(model))
    counted = _group_axis(axes, labels, rows, step)
    axes.set_ylabel(_plain(f"RMSE of {quantity}"))
    _title(axes, f"RMSE of {quantity} by {by}, with the number of {counted}")
    _legend(figure)
    return figure


def residuals_by_level(
    errors: Mapping[str, Float64Array],
    groups: Mapping[str, Mask],
    *,
    quantity: str,
    by: str = "last observed level",
    step: str = "1 h",
    looks: Mapping[str, Style] | None = None,
) -> Figure:
    """How errors are distributed in each of G groups of rows, with the number of rows.

    A dot is the median, the thick line holds the middle half of the errors, the thin one 90%.

    Args:
        errors: (T,) by model: forecast minus observation, in the target's unit. A row where one of
            them is NaN is left out for all, so that they are shown for the same rows.
        groups: (T,) which rows belong to a group, by its label.
        step: the time from one row to the next.
    """
    looks = looks or styles(errors)
    figure, (axes,) = _panels(4.4, 1)
    scored = np.isfinite(np.stack(list(errors.values()))).all(axis=0)
    members = [mask & scored for mask in groups.values()]
    axes.axhline(0.0, color="grey", linewidth=1)
    for number, (model, values) in enumerate(errors.items()):
        look = looks[model]
        places = np.arange(len(groups)) + 0.5 * (number - (len(errors) - 1) / 2) / len(errors)
        shares = [
            np.quantile(values[rows], [0.05, 0.25, 0.5, 0.75, 0.95])
            if rows.any()
            else np.full(5, np.nan)
            for rows in members
        ]
        lowest, low, middle, high, highest = np.reshape(shares, (-1, 5)).T
        axes.vlines(places, lowest, highest, color=look.colour, linewidth=1.4)
        axes.vlines(places, low, high, color=look.colour, linewidth=7)
        dots = axes.plot(places, middle, "o", color=look.colour, label=_name(model))
        # A dot in the line's own colour would not be seen on it.
        dots[0].set(markersize=6, markerfacecolor="white", markeredgewidth=1.6)
    counted = _group_axis(axes, list(groups), [int(rows.sum()) for rows in members], step)
    axes.set_xlim(-0.6, len(groups) - 0.4)
    axes.set_ylabel(_plain(f"error of {quantity}"))
    _title(
        axes,
        f"Forecast minus observation by {by}: median, the middle 50% and 90%, and the number of "
        f"{counted}",
    )
    _legend(figure)
    return figure


def _group_axis(axes: Axes, labels: Sequence[str], rows: Sequence[int], step: str) -> str:
    """Groups with their numbers of rows below them; returns what is counted."""
    unit, counted = ("h", "hours") if step == "1 h" else ("rows", "rows")
    crowded = len(labels) * (max(map(len, [*labels, f"1,000 {unit}"])) + 2) > 90
    between = ":  " if crowded else "\n"
    names = [f"{text}{between}{count:,} {unit}" for text, count in zip(labels, rows, strict=True)]
    axes.set_xticks(range(len(names)), map(_plain, names), rotation=90 if crowded else 0)
    axes.grid(axis="x", visible=False)
    return counted


def gates(
    times: Times, observed: Float64Array, shares: Mapping[str, Float64Array], *, quantity: str
) -> Figure:
    """What a layer's gates let through over an episode, below what was observed in it.

    Args:
        times: (T,) when the inputs were read.
        observed: (T,) NaN where nothing was, which stays a gap.
        shares: (T, H) from 0 to 1 of `forget`, `input` and `output`, as LSTMForecaster.gates()
            has them; others are not drawn.
        quantity: what is observed, with its unit.
    """
    figure, panels = _stacked([1.7, 2.7, 1.5, 1.6], shared=True)
    top, heat, *bands = panels
    _observation(top, times, observed)
    _title(top, f"{quantity}: observed")
    forget = shares["forget"]
    # Each row of time is a column as wide as the step, its time in the middle.
    at = np.asarray(date2num(times))  # type: ignore[no-untyped-call]
    half = (at[1] - at[0]) / 2 if len(at) > 1 else 0.5
    image = heat.imshow(
        forget[:, np.argsort(forget.mean(axis=0), kind="stable")].T,
        aspect="auto",
        origin="lower",
        extent=(at[0] - half, at[-1] + half, 0, forget.shape[1]),
        vmin=0.0,
        vmax=1.0,
    )
    figure.colorbar(image, ax=heat, pad=0.01, aspect=15)
    heat.grid(visible=False)
    heat.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    heat.set_ylabel("unit, by mean")
    _title(heat, "Forget gate: share of the long-term memory that each hidden unit keeps")
    for axes, gate, text in zip(
        bands,
        ("input", "output"),
        (
            "Input gate: share of the potential long-term memory that is added",
            "Output gate: share of the potential short-term memory that is passed on",
        ),
        strict=True,
    ):
        low, high = np.quantile(shares[gate], [0.1, 0.9], axis=1)
        axes.fill_between(
            at,
            low,
            high,
            color=STRONG[0],
            alpha=0.25,
            linewidth=0,
            label="10% to 90% of the units",
        )
        axes.plot(times, shares[gate].mean(axis=1), color=STRONG[0], label="mean over the units")
        axes.set_ylim(0.0, 1.0)
        axes.set_yticks([0.0, 0.5, 1.0])
        axes.set_ylabel("share")
        _title(axes, text)
    _legend(figure, bands[0])
    return figure


def importances(
    shares: Mapping[str, Mapping[str, float]],
    trials: Mapping[str, int],
    *,
    looks: Mapping[str, Style] | None = None,
) -> Figure:
    """Which hyperparameters mattered to the RMSE: shares of 1 by hyperparameter, by study."""
    looks = looks or styles(shares)
    most = max(len(each) for each in shares.values())
    figure, panels = _panels(1.4 + 0.3 * most, len(shares))
    for axes, (study, values) in zip(panels, shares.items(), strict=True):
        order = sorted(values, key=lambda name: values[name])
        axes.barh(order, [100 * values[name] for name in order], color=looks[study].colour)
        axes.set_xlabel("share of importance (%)")
        _title(axes, f"{study}: {trials[study]} trials")
    return figure


def optimisation_history(
    trials: Sequence[int],
    rmse: Sequence[float | None],
    stopped: Sequence[bool],
    references: Mapping[str, float],
    *,
    study: str,
    quantity: str,
    looks: Mapping[str, Style] | None = None,
) -> Figure:
    """Every trial's validation RMSE, the best so far, and what the baselines come to.

    The scale is made for the better three quarters of the trials, so that they can be told apart;
    what is far above them is marked at its upper edge.

    Args:
        trials: (N,) their numbers, in any order.
        rmse: (N,) at each one's best epoch; None where a trial has none, and is left out.
        stopped: (N,) which were stopped early.
        references: RMSE by baseline on the same rows.
        quantity: what is forecast, with its unit.
        looks: styles() of all models of a report, where a figure shows some of them.
    """
    looks = looks or styles([study, *references])
    colour = looks[study].colour
    figure, (axes,) = _panels(4.4, 1)
    order = np.argsort(trials, kind="stable")
    number, value = np.array(trials, np.int64)[order], _numbers(rmse)[order]
    early = np.array(stopped, np.bool_)[order]
    known = np.isfinite(value)
    limit = _reach(value[known], list(references.values()))
    off = known & (value > limit)
    shown = [each for each in (*value[known], *references.values()) if each <= limit]
    margin = 0.06 * (limit - min(shown, default=limit)) or 0.06 * abs(limit) or 1.0
    axes.set_ylim(min(shown, default=limit) - margin, top := limit + margin)
    if known.any():
        best = int(np.nanargmin(value))
        line = axes.step(number[known], np.minimum.accumulate(value[known]), where="post")
        line[0].set(color=colour, linewidth=1.4)
        line[0].set_label(f"best so far: {significant(value[best])}, trial {number[best]}")
    for text, chosen, inside in (("finished", ~early, colour), ("stopped early", early, "white")):
        for marker, rows, suffix in (("o", ~off, ""), ("^", off, ", off the scale")):
            if (at := chosen & rows & known).any():
                # On the edge the whole mark is seen, not the half inside.
                dots = axes.plot(number[at], np.minimum(value[at], top), marker, clip_on=False)
                dots[0].set(color=colour, markerfacecolor=inside, markersize=6, zorder=3)
                dots[0].set_label(text + suffix)
    for model, level in references.items():
        beyond = " (off the scale)" if level > limit else ""
        look = looks[model]
        rule = axes.axhline(level, color=look.colour, linestyle=look.dash, linewidth=1.6)
        rule.set_label(f"{_name(model)} {significant(level)}{beyond}")
    axes.xaxis.set_major_locator(MaxNLocator(10, steps=[1, 2, 5, 10], integer=True))
    axes.set_xlabel("trial")
    axes.set_ylabel(_plain(f"RMSE of {quantity}"))
    _title(axes, f"{study}: validation RMSE of {known.sum()} trials")
    _legend(figure)
    return figure


def _reach(values: Float64Array, references: Sequence[float]) -> float:
    """The upper end of a scale that shows how the good ones of (N,) values differ."""
    if not len(values):
        return max(references, default=1.0)
    best, quartile = np.quantile(values, [0.0, 0.75])
    far = best + OFF_THE_SCALE * (quartile - best) if quartile > best else np.inf
    return max(float(value) for value in (*values, *references) if value <= far)


def png(figure: Figure, dpi: int = DPI) -> bytes:
    """The figure as a PNG, the same bytes whenever it is made."""
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]  # savefig() would draw twice
    pixels = canvas.buffer_rgba()  # type: ignore[no-untyped-call]
    image = Image.fromarray(np.asarray(pixels)).convert("RGB")
    # 256 colours are all that lines and letters need, in a third of the bytes.
    few = image.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    buffer = BytesIO()
    few.save(buffer, "png")
    return buffer.getvalue()


def _split(model: str) -> tuple[str, str]:
    """("ridge", "multivariate") of ridge_multivariate; ("", name) of an LSTM."""
    kind, _, inputs = model.partition("_")
    return (kind, inputs) if kind in KINDS and inputs else ("", model)


def _numbers(values: Sequence[float | None]) -> Float64Array:
    """(L,) with NaN for None, which is JSON's way to say that there is no number."""
    return np.array(values, np.float64)


def _panels(height: float, count: int) -> tuple[Figure, list[Axes]]:
    """Beside one another."""
    figure = Figure((WIDTH, height), layout="constrained")
    return figure, _prepared(figure.subplots(1, count, squeeze=False)[0])


def _stacked(heights: Sequence[float], *, shared: bool = False) -> tuple[Figure, list[Axes]]:
    """Below one another, with one axis of time for all where it is shared."""
    figure = Figure((WIDTH, sum(heights)), layout="constrained")
    panels = figure.subplots(len(heights), 1, squeeze=False, sharex=shared, height_ratios=heights)
    return figure, _prepared(panels[:, 0])


def _prepared(panels: Iterable[Axes]) -> list[Axes]:
    panels = list(panels)
    for axes in panels:
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return panels


class _Dates(AutoDateLocator):
    """Of an axis that ends where dates do, at the latest: its margin may lie beyond."""

    def view_limits(self, vmin: float, vmax: float) -> tuple[float, float]:
        vmin, vmax = super().view_limits(vmin, vmax)
        return max(vmin, FIRST_DATE), min(vmax, LAST_DATE)


def _observation(axes: Axes, times: Times, observed: Float64Array, *, width: float = 1.4) -> None:
    # On top, so that a gap is seen; dots show an observation that stands alone between two gaps.
    line = axes.plot(times, observed, "ko-", label="observed", zorder=3)
    line[0].set(linewidth=width, markersize=1 + width)
    locator = _Dates(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.margins(x=0.01, tight=None)  # which lets the locator have the last word


def _forecasts(
    axes: Axes, times: Times, forecasts: Mapping[str, Float64Array], looks: Mapping[str, Style]
) -> None:
    for model, values in forecasts.items():
        look = looks[model]
        line = axes.plot(times, values, color=look.colour, label=_name(model))
        line[0].set(linestyle=look.dash, linewidth=0.8 * look.width)
        line[0].set_zorder(1.9 if model in REFERENCES else 2.0)  # a model is not to be hidden


def _title(axes: Axes, text: str) -> None:
    """Broken to the width of its panel."""
    place = axes.get_subplotspec()
    assert place is not None
    width = 76 // place.get_gridspec().ncols
    lines = [textwrap.fill(line, width) for line in text.split("\n")]
    axes.set_title(_plain("\n".join(lines)), loc="left", fontsize=11)


def _lead_time_axis(axes: Axes, lead_times: Sequence[int], text: str) -> None:
    if len(lead_times) > 1:
        axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 3, 6, 10], integer=True))
    else:
        axes.set_xticks(lead_times)
    axes.set_xlabel(text)


def _plain(text: str) -> str:
    """Text in which matplotlib finds no formula."""
    return text.replace("$", r"\$")


def _name(model: str) -> str:
    """For a legend, which would leave out a name that begins with an underscore."""
    name = label(model)
    short = name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 3] + "..."
    return " " * short.startswith("_") + _plain(short)


def _legend(figure: Figure, of: Axes | None = None) -> None:
    """Below the panels, where no data are; of the first panel, where no other is named."""
    handles, texts = (of or figure.axes[0]).get_legend_handles_labels()
    lengths = [len(str(text)) + 6 for text in texts]

    def width(columns: int) -> int:
        return sum(max(each, default=0) for each in np.array_split(lengths, columns))

    columns = next((n for n in range(len(texts), 1, -1) if width(n) <= 100), 1)
    figure.legend(handles, texts, loc="outside lower center", ncols=columns, frameon=False)
