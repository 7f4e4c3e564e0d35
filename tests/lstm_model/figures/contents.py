"""What can be read off a figure, and names and times to draw."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

QUANTITY = "pm2.5 (ug/m3)"


TIMES = np.arange("2014-02-01", "2014-02-03", dtype="datetime64[h]")


MODELS = (
    *("multivariate", "univariate", "persistence", "same_hour_yesterday", "ridge_multivariate"),
    *("ridge_univariate", "lightgbm_multivariate", "lightgbm_univariate"),
)


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def lines(axes: Axes) -> dict[str, list[float]]:
    return {str(line.get_label()): np.asarray(line.get_ydata()).tolist() for line in axes.lines}


def texts(axes: Axes) -> list[str]:
    found = [axes.get_title(loc="left"), axes.get_xlabel(), axes.get_ylabel()]
    return [text for text in found if text]


def shares(rows: int, units: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(units)
    return {name: rng.random((rows, units)) for name in ("forget", "input", "output", "long_term")}
