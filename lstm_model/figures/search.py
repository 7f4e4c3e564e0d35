"""How a search went: its trials, and which hyperparameters mattered."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lstm_model.arrays import Float64Array
from lstm_model.evaluation.baselines import Style
from lstm_model.figures.canvas import (
    Surface,
    create_row,
    finish,
    name_measure,
    set_title,
    shorten_name,
    to_floats,
)
from lstm_model.figures.style import assign_styles
from lstm_model.wording import significant

OFF_THE_SCALE = 4.0  # times as far above the best trial as the third quartile


def plot_importances(
    shares: Mapping[str, Mapping[str, float]],
    trials: Mapping[str, int],
    *,
    styles: Mapping[str, Style] | None = None,
    on: Surface = None,
) -> Figure:
    """Which hyperparameters mattered to the RMSE: shares of 1 by hyperparameter, by study."""
    styles = styles or assign_styles(shares)
    bars = max(map(len, shares.values()))
    canvas = create_row(1.4 + 0.3 * bars, len(shares), on)
    for axes, (study, values) in zip(canvas.panels, shares.items(), strict=True):
        order = sorted(values, key=lambda name: values[name])
        axes.barh(order, [100 * values[name] for name in order], color=styles[study].colour)
        axes.set_xlabel("share of importance (%)")
        set_title(axes, f"{study}: {trials[study]} trials")
    return canvas.figure


def plot_optimisation_history(
    trials: Sequence[int],
    rmse: Sequence[float | None],
    stopped: Sequence[bool],
    references: Mapping[str, float],
    *,
    study: str,
    quantity: str,
    measure: str = "RMSE",
    styles: Mapping[str, Style] | None = None,
    on: Surface = None,
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
        measure: what the numbers are, where it is an error without a unit.
        styles: assign_styles() of all models of a report, where a figure shows some of them.
    """
    styles = styles or assign_styles([study, *references])
    colour = styles[study].colour
    (axes,) = (canvas := create_row(4.4, 1, on)).panels
    order = np.argsort(trials, kind="stable")
    number, value = np.array(trials, np.int64)[order], to_floats(rmse)[order]
    early = np.array(stopped, np.bool_)[order]
    known = np.isfinite(value)
    limit = _axis_limit(value[known], list(references.values()))
    is_off = known & (value > limit)
    inside = [v for v in (*value[known], *references.values()) if v <= limit]
    lowest = min(inside, default=limit)
    margin = 0.06 * (limit - lowest) or 0.06 * abs(limit) or 1.0
    axes.set_ylim(lowest - margin, top := limit + margin)
    if known.any():
        best = int(np.nanargmin(value))
        line = axes.step(number[known], np.minimum.accumulate(value[known]), where="post")
        line[0].set(color=colour, linewidth=1.4)
        line[0].set_label(f"best so far: {significant(value[best])}, trial {number[best]}")
    for text, chosen, face in (("finished", ~early, colour), ("stopped early", early, "white")):
        for marker, rows, suffix in (("o", ~is_off, ""), ("^", is_off, ", off the scale")):
            if (at := chosen & rows & known).any():
                # On the edge the whole mark is seen, not the half inside.
                dots = axes.plot(number[at], np.minimum(value[at], top), marker, clip_on=False)
                dots[0].set(color=colour, markerfacecolor=face, markersize=6, zorder=3)
                dots[0].set_label(text + suffix)
    for model, level in references.items():
        beyond = " (off the scale)" if level > limit else ""
        look = styles[model]
        rule = axes.axhline(level, color=look.colour, linestyle=look.dash, linewidth=1.6)
        rule.set_label(f"{shorten_name(model)} {significant(level)}{beyond}")
    axes.xaxis.set_major_locator(MaxNLocator(10, steps=[1, 2, 5, 10], integer=True))
    axes.set_xlabel("trial")
    title = f"{study}: validation {measure} of {known.sum()} trials"
    return finish(canvas, ylabel=name_measure(measure, quantity), title=title)


def _axis_limit(values: Float64Array, references: Sequence[float]) -> float:
    """The upper end of a scale that shows how the good ones of (N,) values differ."""
    if not len(values):
        return max(references, default=1.0)
    best, quartile = np.quantile(values, [0.0, 0.75])
    far = best + OFF_THE_SCALE * (quartile - best) if quartile > best else np.inf
    return max(float(value) for value in (*values, *references) if value <= far)
