"""What all figures share: panels, titles, legends, axes of time, and how they become a PNG."""

import textwrap
from collections.abc import Iterable, Sequence
from datetime import datetime
from io import BytesIO

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from PIL import Image

from lstm_model.arrays import Float64Array
from lstm_model.figures.style import label

WIDTH = 8.0  # inches; shown 900 px wide, a text of 10 points is 16 px high
DPI = 150
MAX_NAME_LENGTH = 40  # characters
# What matplotlib can name; it rounds the last microseconds up.
FIRST_DATE, LAST_DATE = (
    float(date2num(date))  # type: ignore[no-untyped-call]
    for date in (datetime.min, datetime.max.replace(microsecond=0))
)
Times = npt.NDArray[np.datetime64]


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


def create_row(height: float, count: int) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels beside one another."""
    figure = Figure((WIDTH, height), layout="constrained")
    return figure, _prepare(figure.subplots(1, count, squeeze=False)[0])


def create_column(heights: Sequence[float], *, shared: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure of panels below one another, with one axis of time where it is `shared`."""
    figure = Figure((WIDTH, sum(heights)), layout="constrained")
    panels = figure.subplots(len(heights), 1, squeeze=False, sharex=shared, height_ratios=heights)
    return figure, _prepare(panels[:, 0])


def _prepare(panels: Iterable[Axes]) -> list[Axes]:
    panels = list(panels)
    for axes in panels:
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return panels


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


def finish(figure: Figure, axes: Axes, *, ylabel: str, title: str) -> Figure:
    """The figure of these axes with their texts and a legend."""
    axes.set_ylabel(escape_math(ylabel))
    set_title(axes, title)
    add_legend(figure)
    return figure


def set_title(axes: Axes, text: str) -> None:
    """Broken to the width of its panel."""
    spec = axes.get_subplotspec()
    assert spec is not None
    width = 76 // spec.get_gridspec().ncols
    lines = [textwrap.fill(line, width) for line in text.split("\n")]
    axes.set_title(escape_math("\n".join(lines)), loc="left", fontsize=11)


def escape_math(text: str) -> str:
    """Text in which matplotlib finds no formula between dollar signs."""
    return text.replace("$", r"\$")


def shorten_name(model: str) -> str:
    """A model's name for a legend, which leaves out names that begin with an underscore."""
    name = label(model)
    short = name if len(name) <= MAX_NAME_LENGTH else name[: MAX_NAME_LENGTH - 3] + "..."
    return " " * short.startswith("_") + escape_math(short)


def add_legend(figure: Figure, of: Axes | None = None) -> None:
    """Below the panels, where no data are; of the first panel, where no other is named."""
    handles, texts = (of or figure.axes[0]).get_legend_handles_labels()
    lengths = [len(str(text)) + 6 for text in texts]

    def width(columns: int) -> int:
        return sum(max(column, default=0) for column in np.array_split(lengths, columns))

    columns = next((n for n in range(len(texts), 1, -1) if width(n) <= 100), 1)
    figure.legend(handles, texts, loc="outside lower center", ncols=columns, frameon=False)
