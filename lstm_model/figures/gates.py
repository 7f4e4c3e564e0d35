"""What an LSTM's gates let through over an episode."""

from collections.abc import Mapping

import numpy as np
from matplotlib.dates import date2num
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lstm_model.arrays import Float64Array, Times
from lstm_model.figures.canvas import (
    Surface,
    add_legend,
    create_column,
    plot_observation,
    set_title,
)
from lstm_model.figures.style import PALETTE

TITLES = {
    "input": "Input gate: share of the potential long-term memory that is added",
    "output": "Output gate: share of the potential short-term memory that is passed on",
}


def plot_gates(
    times: Times,
    observed: Float64Array,
    shares: Mapping[str, Float64Array],
    *,
    quantity: str,
    on: Surface = None,
) -> Figure:
    """What a layer's gates let through over an episode, below the observations.

    Args:
        times: (T,) when the inputs were read.
        observed: (T,) NaN where nothing was, which stays a gap.
        shares: (T, H) from 0 to 1 of `forget`, `input` and `output`, as LSTMForecaster.gates()
            has them; others are not drawn.
        quantity: what is observed, with its unit.
    """
    canvas = create_column([1.7, 2.7, 1.5, 1.6], on, shared=True)
    top, heat, *bands = canvas.panels
    plot_observation(top, times, observed)
    set_title(top, f"{quantity}: observed")
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
    if canvas.is_whole:
        canvas.figure.colorbar(image, ax=heat, pad=0.01, aspect=15)
    else:  # beside the panel, which stays as wide as the others
        canvas.figure.colorbar(image, cax=heat.inset_axes((1.01, 0.0, 0.015, 1.0)))
    heat.grid(visible=False)
    heat.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    heat.set_ylabel("unit, by mean")
    set_title(heat, "Forget gate: share of the long-term memory that each hidden unit keeps")
    for axes, (gate, text) in zip(bands, TITLES.items(), strict=True):
        low, high = np.quantile(shares[gate], [0.1, 0.9], axis=1)
        band = axes.fill_between(at, low, high, color=PALETTE[0], alpha=0.25, linewidth=0)
        band.set_label("10% to 90% of the units")
        axes.plot(times, shares[gate].mean(axis=1), color=PALETTE[0], label="mean over the units")
        axes.set_ylim(0.0, 1.0)
        axes.set_yticks([0.0, 0.5, 1.0])
        axes.set_ylabel("share")
        set_title(axes, text)
    if not canvas.is_whole:  # they share no axis
        for axes in canvas.panels:
            axes.set_xlim(at[0] - half, at[-1] + half)
    add_legend(canvas, bands[0])
    return canvas.figure
