import numpy as np

from lstm_model.figures.canvas import render_png
from lstm_model.figures.gates import plot_gates
from tests.lstm_model.figures.contents import QUANTITY, TIMES, legend, lines, shares


def test_gates_are_shown_below_what_was_observed() -> None:
    observed = np.arange(48.0)
    observed[10:20] = np.nan
    values = shares(48, 30)
    figure = plot_gates(TIMES, observed, values, quantity=QUANTITY)
    top, heat, entry, output, bar = figure.axes
    np.testing.assert_array_equal(lines(top)["observed"], observed)
    image = heat.images[0]
    drawn = np.asarray(image.get_array())
    assert drawn.shape == (30, 48)
    assert (np.diff(drawn.mean(axis=1)) >= 0).all()
    by_mean = sorted(values["forget"].T.tolist(), key=lambda unit: sum(unit))
    np.testing.assert_array_equal(drawn, by_mean)
    assert image.get_clim() == (0.0, 1.0) == bar.get_ylim()
    # The middle of each column is its hour, on one axis of time for all.
    left, right, *_ = image.get_extent()
    hours = left + (np.arange(48) + 0.5) * (right - left) / 48
    np.testing.assert_allclose(hours, TIMES.astype("datetime64[s]").astype(float) / 86400)
    assert len({axes.get_xlim() for axes in (top, heat, entry, output)}) == 1
    for axes, gate in ((entry, "input"), (output, "output")):
        (mean,) = axes.lines
        np.testing.assert_allclose(np.asarray(mean.get_ydata()), values[gate].mean(axis=1))
        corners = np.asarray(axes.collections[0].get_paths()[0].vertices)[:, 1]
        np.testing.assert_allclose(corners[1:49], np.percentile(values[gate], 10, axis=1))
        np.testing.assert_allclose(corners[-2:-50:-1], np.percentile(values[gate], 90, axis=1))
        assert axes.get_ylim() == (0.0, 1.0)
    assert legend(figure) == ["10% to 90% of the units", "mean over the units"]


def test_gates_of_one_hour_and_one_unit_are_drawn() -> None:
    figure = plot_gates(TIMES[:1], np.array([np.nan]), shares(1, 1), quantity="$_")
    assert np.asarray(figure.axes[1].images[0].get_array()).shape == (1, 1)
    assert figure.axes[0].get_title(loc="left") == r"\$_: observed"
    render_png(figure)
