"""How skill differs between the series of a table."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from lstm_model.arrays import Float64Array
from lstm_model.evaluation.baselines import Style
from lstm_model.figures.canvas import (
    Canvas,
    Surface,
    add_legend,
    create_row,
    escape_math,
    set_title,
    shorten_name,
)
from lstm_model.figures.style import assign_styles

# Up to so many series all are named; of more the best and the worst ones.
MOST_NAMED, FROM_EACH_END = 40, 12
LONGEST_NAME = 24  # characters of a series' name
# A scale goes as far below 0 as the best series is above it, or as this, where few are below: a
# single one that is forecast far worse than by persistence would press all others into one spot.
SHALLOWEST = 0.1


def pick_by_skill(skill: Float64Array) -> dict[str, int]:
    """The numbers of the best, the median and the worst series by (N,) skill, NaN where a series
    has none; of fewer than three the best, or the best and the worst; none where none has a skill.
    """
    order = np.argsort(-skill, kind="stable")[: int(np.isfinite(skill).sum())].tolist()
    if not order:
        return {}
    numbers = {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}
    if len(order) < 3:
        del numbers["median"]
    return numbers if len(order) > 1 else {"best": order[0]}


def plot_skill_by_series(
    skill: Mapping[str, Float64Array],
    series: Sequence[str],
    *,
    styles: Mapping[str, Style] | None = None,
    on: Surface = None,
) -> Figure:
    """Each series' skill, the best first: a bar of the first model, and marks of the others.

    Of more than MOST_NAMED series two panels: all of them, and the best and the worst by name.

    Args:
        skill: (N,) by model: 1 minus its RMSE by persistence's; NaN where a series is not scored,
            and is left out.
        series: the N names.
    """
    styles = styles or assign_styles(skill)
    first, *others = skill
    of_first = skill[first]
    order = np.argsort(-of_first, kind="stable")[: int(np.isfinite(of_first).sum())]
    count, better = len(order), int((of_first > 0).sum())
    sorted_skill = {model: values[order] for model, values in skill.items()}
    lowest = _scale_end(sorted_skill)
    shown = {model: np.maximum(values, lowest) for model, values in sorted_skill.items()}
    names = [_shorten(series[number]) for number in order]
    is_named = count <= MOST_NAMED
    named = np.arange(count)
    if not is_named:
        named = np.concatenate([named[:FROM_EACH_END], named[-FROM_EACH_END:]])
    heading = f"Skill of {shorten_name(first).strip()} by series: above 0 in {better} of {count}"
    canvas = create_row(1.6 + 0.24 * len(named), 1 if is_named else 2, on)
    *beside, axes = canvas.panels
    for every in beside:
        _plot_every(every, shown, styles)
        set_title(every, heading)
    rows = _rows(len(named), not is_named)
    _plot_named(axes, {model: values[named] for model, values in shown.items()}, rows, styles)
    _add_numbers(axes, sorted_skill[first][named], rows, lowest)
    axes.set_yticks(rows, [names[number] for number in named])
    if not is_named:
        axes.axhline(rows[FROM_EACH_END] - 1.0, color="grey", linewidth=1, linestyle=":")
    set_title(axes, heading if is_named else f"The best and the worst {FROM_EACH_END}")
    _add_legend(canvas, axes, others)
    return canvas.figure


def _plot_every(axes: Axes, skill: Mapping[str, Float64Array], styles: Mapping[str, Style]) -> None:
    """All series by their rank, without their names."""
    first, *others = skill
    rank = np.arange(1, len(skill[first]) + 1)
    axes.bar(rank, skill[first], 1.0, color=styles[first].colour)
    for model in others:
        dots = axes.plot(rank, skill[model], linestyle="none")
        dots[0].set(marker=".", markersize=4, color=styles[model].colour)
    axes.axhline(0.0, color="grey", linewidth=1)
    axes.set_xlim(0.5, len(rank) + 0.5)
    axes.yaxis.set_major_formatter(FuncFormatter(_percent))
    axes.set_xlabel("series, the best first")
    axes.set_ylabel("skill")


def _plot_named(
    axes: Axes, skill: Mapping[str, Float64Array], rows: Float64Array, styles: Mapping[str, Style]
) -> None:
    """A row a series."""
    first, *others = skill
    axes.barh(rows, skill[first], 0.72, color=styles[first].colour, label=shorten_name(first))
    for model in others:
        dots = axes.plot(skill[model], rows, linestyle="none", label=shorten_name(model))
        dots[0].set(marker=styles[model].marker, markersize=7, zorder=3)
        dots[0].set(color=styles[model].colour, markeredgecolor="white", markeredgewidth=0.7)
    axes.axvline(0.0, color="grey", linewidth=1)
    axes.set_ylim(max(rows, default=0.0) + 0.6, -0.6)
    known = [0.0, *(value for values in skill.values() for value in values if np.isfinite(value))]
    margin = 0.02 * (max(known) - min(known)) or 0.02
    # The numbers stand in a column of their own, where no mark of another model is.
    axes.set_xlim(min(known) - margin, max(known) + 12 * margin)
    ticks = MaxNLocator(5).tick_values(min(known), max(known))
    axes.set_xticks([tick for tick in ticks if min(known) <= tick <= max(known)])
    axes.xaxis.set_major_formatter(FuncFormatter(_percent))
    axes.tick_params(axis="y", labelsize="small")
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("skill")


def _add_numbers(axes: Axes, skill: Float64Array, rows: Float64Array, lowest: float) -> None:
    """The skill at the end of its row, and a mark on a bar that goes on beyond the scale."""
    transform = axes.get_yaxis_transform()
    for row, value in zip(rows, skill, strict=True):
        text = axes.text(1.0, row, f"{value:.1%}", transform=transform, ha="right", va="center")
        text.set_fontsize("small")
        if value < lowest:
            axes.text(lowest, row, " \N{LEFTWARDS ARROW}", color="white", va="center")


def _scale_end(skill: Mapping[str, Float64Array]) -> float:
    """The skill at which bars are cut off."""
    known = np.concatenate([values[np.isfinite(values)] for values in skill.values()])
    if not len(known):
        return -SHALLOWEST
    low, quartile, other = np.quantile(known, [0.0, 0.25, 0.75])
    shallow = min(-SHALLOWEST, -known.max(), quartile - 1.5 * (other - quartile))
    return float(max(low, shallow))


def _rows(count: int, in_two: bool) -> Float64Array:
    """Where the bars stand, with room between two halves."""
    rows = np.arange(count, dtype=np.float64)
    if in_two:
        rows[count // 2 :] += 1.0
    return rows


def _shorten(name: str) -> str:
    """A series' name, its end with its beginning: what tells names apart may stand at either."""
    half = (LONGEST_NAME - 3) // 2
    return escape_math(name if len(name) <= LONGEST_NAME else f"{name[:half]}...{name[-half:]}")


def _percent(value: float, _: int) -> str:
    return f"{value:.0%}"


def _add_legend(canvas: Canvas, axes: Axes, others: Sequence[str]) -> None:
    """Where there is more than one model to be told apart."""
    if others:
        add_legend(canvas, axes)
