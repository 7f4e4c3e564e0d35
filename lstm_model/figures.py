"""Figures of forecasts and their errors: pure functions of numbers, drawn without pyplot."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lstm_model.metrics import Doubles

WIDTH = 8.0  # inches; shown 900 px wide, a text of 10 points is 16 px high
DPI = 150
LONGEST_NAME = 40  # characters
Difference = tuple[str, Sequence[float], Sequence[float], Sequence[float]]


@dataclass(frozen=True)
class Style:
    """How one model looks wherever it is drawn."""

    colour: str
    dash: str = "-"
    width: float = 2.0  # points
    marker: str = "o"


# Okabe and Ito's colours, told apart with any colour vision. An LSTM has one of them strong; the
# ridge regression on the same inputs has it paler, LightGBM darker: lightness tells them apart
# where hue doesn't.
STRONG = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
KINDS = {"ridge": ("white", "--", "s"), "lightgbm": ("black", "-.", "^")}
REFERENCES = {
    "persistence": Style("#707070", "--", 1.2, "D"),
    "same_hour_yesterday": Style("#b3b3b3", ":", 1.2, "v"),
}


def styles(models: Iterable[str]) -> dict[str, Style]:
    """One style a model: the same in every figure that is given the styles of all models.

    The inputs that a model reads give its hue, and `multivariate` and `univariate` come first, so
    that with them alone figures of different models agree without being given any styles.
    """
    split = {model: _split(model) for model in models}
    inputs = list(dict.fromkeys(["multivariate", "univariate", *(of for _, of in split.values())]))
    found = {}
    for model, (kind, of) in split.items():
        strong = STRONG[inputs.index(of) % len(STRONG)]
        if model in REFERENCES:
            found[model] = REFERENCES[model]
        elif kind:
            towards, dash, marker = KINDS[kind]
            mixed = 0.55 * np.array(to_rgb(strong)) + 0.45 * np.array(to_rgb(towards))
            found[model] = Style(to_hex((mixed[0], mixed[1], mixed[2])), dash, 1.2, marker)
        else:
            found[model] = Style(strong)
    return found


def label(model: str) -> str:
    """A model's name to be read: `ridge multivariate`; an LSTM has the name of its study."""
    known = model in REFERENCES or _split(model)[0]
    return model.replace("_", " ") if known else model


def episode(
    times: npt.NDArray[np.datetime64],
    observed: Doubles,
    forecasts: Mapping[str, Doubles],
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
    figure = Figure((WIDTH, 4.4), layout="constrained")
    axes = figure.subplots()
    # Dots as wide as the line show an observation that stands alone between two gaps.
    axes.plot(times, observed, color="black", linewidth=1.6, marker="o", markersize=2.6)
    names = ["observed"]
    for model, values in forecasts.items():
        look = looks[model]
        axes.plot(times, values, color=look.colour, linestyle=look.dash, linewidth=look.width * 0.8)
        names.append(label(model))
    locator = AutoDateLocator(minticks=4, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.set_ylabel(_plain(quantity))
    _finish(axes, f"{quantity}: observed, and as forecast {lead_time} before")
    _legend(figure, axes, names)
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

    With a single lead time there is nothing to draw a line through: a row of dots instead.

    Args:
        rmse: (L,) by model.
        lead_times: (L,) in steps.
        difference: what it is of, and its (L,) values, lower and upper ends of the 95% interval.
        step: the time from one row to the next.
    """
    looks = looks or styles(rmse)
    several = len(lead_times) > 1
    height = 4.4 if several else 1.6 + 0.3 * len(rmse)
    figure = Figure((WIDTH, height), layout="constrained")
    panels = figure.subplots(1, 2 if difference else 1, squeeze=False)[0]
    measure = f"RMSE of {quantity}"
    time = "lead time (h)" if step == "1 h" else f"lead time (steps of {step})"
    left = panels[0]
    if several:
        for model, values in rmse.items():
            look = looks[model]
            line = {"linestyle": look.dash, "linewidth": look.width, "marker": look.marker}
            left.plot(lead_times, _numbers(values), color=look.colour, markersize=4, **line)
        _lead_time_axis(left, time)
        left.set_ylabel(_plain(measure))
        _legend(figure, left, [label(model) for model in rmse])
    else:
        for row, (model, values) in enumerate(rmse.items()):
            look = looks[model]
            left.plot(_numbers(values), [row], look.marker, color=look.colour, markersize=8)
            place = {"xytext": (9, 0), "textcoords": "offset points", "va": "center"}
            if np.isfinite(_numbers(values)[0]):
                left.annotate(f"{values[0]:#.4g}", (values[0], row), **place)
        left.set_yticks(range(len(rmse)), [_plain(label(model)) for model in rmse])
        left.set_ylim(len(rmse) - 0.5, -0.5)
        left.margins(x=0.25)
        left.set_xlabel(_plain(measure))
    _finish(left, f"RMSE by {time}" if several else f"RMSE {_lead(lead_times[0], step)} ahead")
    if difference:
        _difference(panels[1], lead_times, difference, time)
    return figure


def _difference(axes: Axes, lead_times: Sequence[int], difference: Difference, time: str) -> None:
    name, values, low, high = difference[0], *(_numbers(each) for each in difference[1:])
    mark = {"color": "black", "marker": "o", "markersize": 5}
    if len(lead_times) > 1:
        axes.axhline(0.0, color="grey", linewidth=1)
        axes.vlines(lead_times, low, high, color="black", linewidth=1.4)
        axes.plot(lead_times, values, linewidth=0.8, **mark)
        _lead_time_axis(axes, time)
        axes.set_ylabel("difference in RMSE")
    else:
        axes.axvline(0.0, color="grey", linewidth=1)
        axes.hlines([0], low, high, color="black", linewidth=2)
        axes.plot(values, [0], linestyle="none", **mark)
        text = f"{values[0]:+.3g} ({low[0]:+.3g} to {high[0]:+.3g})"
        place = {"xytext": (0, 10), "textcoords": "offset points", "ha": "center"}
        axes.annotate(text, (float(values[0]), 0), **place)
        axes.set_yticks([])
        axes.margins(x=0.4)
        axes.set_xlabel("difference in RMSE")
    _finish(axes, f"{name}, with its 95% interval")


def error_by_level(
    labels: Sequence[str],
    rows: Sequence[int],
    rmse: Mapping[str, Sequence[float]],
    *,
    quantity: str,
    looks: Mapping[str, Style] | None = None,
) -> Figure:
    """RMSE in each of G groups of hours, with their number; (G,) by model."""
    looks = looks or styles(rmse)
    figure = Figure((WIDTH, 4.4), layout="constrained")
    axes = figure.subplots()
    places, width = np.arange(len(labels)), 0.8 / max(len(rmse), 1)
    for number, (model, values) in enumerate(rmse.items()):
        middle = places + (number - (len(rmse) - 1) / 2) * width
        axes.bar(middle, _numbers(values), width * 0.92, color=looks[model].colour)
    names = [f"{_plain(text)}\n{count:,}" for text, count in zip(labels, rows, strict=True)]
    longest = max((len(line) for name in names for line in name.split("\n")), default=0)
    axes.set_xticks(places, names, rotation=90 if longest * len(names) > 80 else 0)
    axes.set_xlabel("and the number of hours that are scored")
    axes.set_ylabel(_plain(f"RMSE of {quantity}"))
    _finish(axes, f"RMSE of {quantity} by the observed level")
    _legend(figure, axes, [label(model) for model in rmse])
    return figure


def importances(
    shares: Mapping[str, Mapping[str, float]],
    trials: Mapping[str, int],
    *,
    looks: Mapping[str, Style] | None = None,
) -> Figure:
    """Which hyperparameters mattered to the RMSE: shares of 1 by hyperparameter, by study."""
    looks = looks or styles(shares)
    most = max((len(each) for each in shares.values()), default=0)
    figure = Figure((WIDTH, 1.4 + 0.3 * most), layout="constrained")
    panels = figure.subplots(1, max(len(shares), 1), squeeze=False, sharex=True)[0]
    for axes, (study, values) in zip(panels, shares.items(), strict=False):
        order = sorted(values, key=lambda name: values[name])
        axes.barh(order, [100 * values[name] for name in order], color=looks[study].colour)
        axes.set_xlabel("share of importance (%)")
        _finish(axes, f"{study} ({trials[study]} trials)")
    return figure


def png(figure: Figure) -> bytes:
    """The figure as a PNG that is the same whenever it is made."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def _split(model: str) -> tuple[str, str]:
    """("ridge", "multivariate") of ridge_multivariate; ("", name) of an LSTM."""
    kind, _, inputs = model.partition("_")
    return (kind, inputs) if kind in KINDS and inputs else ("", model)


def _numbers(values: Sequence[float]) -> Doubles:
    """(L,) with NaN for None, which JSON has where there is no number."""
    return np.array(values, np.float64)


def _lead(lead_time: int, step: str) -> str:
    count, _, unit = step.partition(" ")
    return f"{lead_time * int(count)} {unit}"


def _plain(text: str) -> str:
    """The text itself where matplotlib would read a formula."""
    return text.replace("$", r"\$")


def _lead_time_axis(axes: Axes, text: str) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 3, 6, 10], integer=True))
    axes.set_xlabel(text)


def _finish(axes: Axes, title: str) -> None:
    """What all panels have in common; the title is broken to the width of its panel."""
    assert axes.figure is not None
    panels = len(axes.figure.axes)
    axes.set_title(_plain(textwrap.fill(title, 84 // panels)), loc="left", fontsize=11)
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _legend(figure: Figure, axes: Axes, names: Sequence[str]) -> None:
    """Below the panels, where no data are."""
    # matplotlib leaves out a name that begins with an underscore, but not one with a blank first.
    short = [
        " " * name.startswith("_") + _plain(textwrap.shorten(name, LONGEST_NAME)) for name in names
    ]
    columns = max(1, 90 // (max(map(len, short), default=0) + 8))
    handles = axes.containers or axes.lines
    figure.legend(handles, short, loc="outside lower center", ncols=columns, frameon=False)
