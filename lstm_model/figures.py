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
    split = {model: _split(model) for model in models if model not in REFERENCES}
    inputs = list(dict.fromkeys(["multivariate", "univariate", *(of for _, of in split.values())]))
    found = dict(REFERENCES)
    for model, (kind, of) in split.items():
        strong = STRONG[inputs.index(of) % len(STRONG)]
        if kind:
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
    figure, (axes,) = _panels(4.4, 1)
    # On top, so that a gap is seen; dots show an observation that stands alone between two gaps.
    axes.plot(times, observed, "ko-", lw=1.4, markersize=2.4, label="observed", zorder=3)
    for model, values in forecasts.items():
        look = looks[model]
        line = axes.plot(times, values, color=look.colour, label=_name(model))
        line[0].set(linestyle=look.dash, linewidth=0.8 * look.width)
    locator = AutoDateLocator(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.margins(x=0.01)
    axes.set_ylabel(_plain(quantity))
    _title(axes, f"{quantity}: observed, and as forecast {lead_time} before")
    _legend(figure, [label(model) for model in forecasts])
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
        _legend(figure, [label(model) for model in rmse])
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
    names = [f"{_name(model)}   {value:#.4g}" for model, value in values.items()]
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    finite = [value for value in values.values() if np.isfinite(value)]
    # A baseline far worse than the best model would press all others into one spot.
    near = [value for value in finite if value <= 1.5 * min(finite)] or [0.0]
    margin = 0.15 * (max(near) - min(near)) or 1.0
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
    unit, counted = ("h", "hours") if step == "1 h" else ("rows", "rows")
    crowded = len(labels) * (max(map(len, [*labels, f"1,000 {unit}"])) + 2) > 90
    between = ":  " if crowded else "\n"
    names = [f"{text}{between}{count:,} {unit}" for text, count in zip(labels, rows, strict=True)]
    axes.set_xticks(range(len(names)), map(_plain, names), rotation=90 if crowded else 0)
    axes.grid(axis="x", visible=False)
    axes.set_ylabel(_plain(f"RMSE of {quantity}"))
    _title(axes, f"RMSE of {quantity} by {by}, with the number of {counted}")
    _legend(figure, [label(model) for model in rmse])
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


def png(figure: Figure) -> bytes:
    """The figure as a PNG, the same bytes whenever it is made."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def _split(model: str) -> tuple[str, str]:
    """("ridge", "multivariate") of ridge_multivariate; ("", name) of an LSTM."""
    kind, _, inputs = model.partition("_")
    return (kind, inputs) if kind in KINDS and inputs else ("", model)


def _numbers(values: Sequence[float]) -> Doubles:
    """(L,) with NaN for None, which is JSON's way to say that there is no number."""
    return np.array(values, np.float64)


def _panels(height: float, count: int) -> tuple[Figure, list[Axes]]:
    figure = Figure((WIDTH, height), layout="constrained")
    panels = list(figure.subplots(1, count, squeeze=False)[0])
    for axes in panels:
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _title(axes: Axes, text: str) -> None:
    """Broken to the width of its panel."""
    assert axes.figure is not None
    width = 76 // len(axes.figure.axes)
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


def _legend(figure: Figure, names: Sequence[str]) -> None:
    """Below the panels, where no data are."""
    longest = min(max(map(len, names), default=0), LONGEST_NAME)
    columns = max(1, 100 // (longest + 6))
    figure.legend(loc="outside lower center", ncols=columns, frameon=False)
