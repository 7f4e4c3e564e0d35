"""What all figures share: panels, titles, legends, axes of time, and how they become a PNG."""

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from PIL import Image

from lstm_model.arrays import Float64Array, Times
from lstm_model.errors import InputError
from lstm_model.figures.style import label

WIDTH = 8.0  # inches; shown 900 px wide, a text of 10 points is 16 px high
DPI = 150
MAX_NAME_LENGTH = 40  # characters
TITLE_WIDTH, MIN_TITLE_WIDTH = 76, 20  # characters of a panel as wide as the figure, and at least
# What matplotlib can name; it rounds the last microseconds up.
FIRST_DATE, LAST_DATE = (
    float(date2num(date))  # type: ignore[no-untyped-call]
    for date in (datetime.min, datetime.max.replace(microsecond=0))
)
# Where to draw: a new figure, an empty one, or somebody's own axes.
Surface = Figure | Axes | Sequence[Axes] | npt.NDArray[np.object_] | None


def render_png(figure: Figure, dpi: int = DPI) -> bytes:
    """The figure as a PNG, the same bytes whenever it is made."""
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]  # savefig() would draw twice
    pixels = canvas.buffer_rgba()  # type: ignore[no-untyped-call]
    image = Image.fromarray(np.asarray(pixels)).convert("RGB")
    # 256 colours are all that lines and letters need, in a third of the bytes.
    image = image.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    buffer = BytesIO()
    image.save(buffer, "png")
    return buffer.getvalue()


def to_floats(values: Sequence[float | None]) -> Float64Array:
    """(L,) with NaN for None, which is JSON's way to say that there is no number."""
    return np.array(values, np.float64)


@dataclass(frozen=True)
class Canvas:
    """The panels of one figure, and where they stand.

    Attributes:
        panels: in the figure's order.
        is_whole: the figure has these panels alone; else they are somebody's, among others.
    """

    figure: Figure
    panels: list[Axes]
    is_whole: bool


def create_row(height: float, count: int, on: Surface = None) -> Canvas:
    """`count` panels beside one another."""
    return _create(on, height, count, ncols=count)


def create_column(heights: Sequence[float], on: Surface = None, *, shared: bool = False) -> Canvas:
    """Panels below one another, with one axis of time where it is `shared` and the figure ours."""
    height, count = sum(heights), len(heights)
    return _create(on, height, count, nrows=count, height_ratios=heights, sharex=shared)


def _create(on: Surface, height: float, count: int, **grid: Any) -> Canvas:
    """
    Args:
        on: None for a figure of its own, an empty figure, or as many axes as there are panels.
        grid: as Figure.subplots() takes it.

    Raises:
        InputError: so many axes are too many or too few.
    """
    if is_whole := on is None or isinstance(on, Figure):
        figure = Figure() if on is None else on
        figure.set_size_inches(WIDTH, height)
        figure.set_layout_engine("constrained")
        panels = figure.subplots(squeeze=False, **grid).ravel().tolist()
    else:
        panels = np.ravel(np.asarray(on, object)).tolist()
        if len(panels) != count:
            raise InputError(f"this figure is drawn on {count} axes, but got {len(panels)}")
        figure = panels[0].figure
    for axes in panels:
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return Canvas(figure, panels, is_whole)


def draw_on(ax: Surface, draw: Callable[[Surface], Figure]) -> list[Axes]:
    """Draw on somebody's axes, or on a figure that pyplot makes, and return the panels.

    Raises:
        InputError: `ax` holds something else than axes.
    """
    if ax is not None:
        panels = np.ravel(np.asarray(ax, object)).tolist()
        if strange := [each for each in panels if not isinstance(each, Axes)]:
            raise InputError(f"ax must be matplotlib's axes, but got {strange[0]!r}")
        draw(panels)
        return list(panels)
    import matplotlib.pyplot as plt

    empty = plt.figure()
    try:
        draw(empty)
    except BaseException:
        plt.close(empty)  # else a notebook shows it
        raise
    return [axes for axes in empty.axes if axes.get_label() != "<colorbar>"]


class _DateLocator(AutoDateLocator):
    """Ends an axis where dates end, because its margin may lie beyond."""

    def view_limits(self, vmin: float, vmax: float) -> tuple[float, float]:
        vmin, vmax = super().view_limits(vmin, vmax)
        return max(vmin, FIRST_DATE), min(vmax, LAST_DATE)


def plot_observation(
    axes: Axes, times: Times, observed: Float64Array, *, width: float = 1.4
) -> None:
    # On top, so that a gap is seen; dots show an observation that stands alone between two gaps.
    line = axes.plot(times, observed, "ko-", label="observed", zorder=3)
    line[0].set(linewidth=width, markersize=1 + width)
    locator = _DateLocator(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.margins(x=0.01, tight=None)  # which lets the locator have the last word


def finish(canvas: Canvas, *, ylabel: str, title: str) -> Figure:
    """The figure of one panel, with its texts and a legend."""
    (axes,) = canvas.panels
    axes.set_ylabel(escape_math(ylabel))
    set_title(axes, title)
    add_legend(canvas, axes)
    return canvas.figure


def set_title(axes: Axes, text: str) -> None:
    """Broken to the width of its panel."""
    spec = axes.get_subplotspec()
    share = len(spec.colspan) / spec.get_gridspec().ncols if spec else 1.0
    width = max(MIN_TITLE_WIDTH, int(TITLE_WIDTH * share))
    lines = [textwrap.fill(line, width) for line in text.split("\n")]
    axes.set_title(escape_math("\n".join(lines)), loc="left", fontsize=11)


def escape_math(text: str) -> str:
    """Text in which matplotlib finds no formula between dollar signs."""
    return text.replace("$", r"\$")


def name_measure(measure: str, quantity: str) -> str:
    """What an axis shows: an RMSE has the unit of what it is of, any other measure has none."""
    return f"RMSE of {quantity}" if measure == "RMSE" else measure


def shorten_name(model: str) -> str:
    """A model's name for a legend, which leaves out names that begin with an underscore."""
    name = label(model)
    short = name if len(name) <= MAX_NAME_LENGTH else name[: MAX_NAME_LENGTH - 3] + "..."
    return " " * short.startswith("_") + escape_math(short)


def add_legend(canvas: Canvas, of: Axes) -> None:
    """Of one panel: below all of them, where no data are; within it where the figure has others."""
    handles, texts = of.get_legend_handles_labels()
    if not canvas.is_whole:
        of.legend(handles, texts, fontsize="small", edgecolor="none")
        return
    lengths = [len(str(text)) + 6 for text in texts]

    def width(columns: int) -> int:
        return sum(max(column, default=0) for column in np.array_split(lengths, columns))

    columns = next((n for n in range(len(texts), 1, -1) if width(n) <= 100), 1)
    canvas.figure.legend(handles, texts, loc="outside lower center", ncols=columns, frameon=False)
