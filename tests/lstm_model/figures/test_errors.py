import numpy as np
import pytest
from matplotlib.container import BarContainer

from lstm_model.figures.canvas import render_png
from lstm_model.figures.errors import (
    plot_error_by_lead_time,
    plot_error_by_level,
    plot_residuals_by_level,
)
from tests.lstm_model.figures.contents import QUANTITY, legend, lines, texts


def test_errors_by_lead_time_beside_their_difference() -> None:
    rmse = {"multivariate": [1.0, 2.0, 4.0], "persistence": [2.0, 4.0, 6.0]}
    difference = ("a - b", [-1.0, -2.0, -2.0], [-2.0, -3.0, -3.0], [0.5, -1.0, -1.0])
    figure = plot_error_by_lead_time(rmse, [1, 2, 3], quantity=QUANTITY, difference=difference)
    left, right = figure.axes
    assert lines(left) == rmse
    assert np.asarray(left.lines[0].get_xdata()).tolist() == [1, 2, 3]
    assert legend(figure) == ["multivariate", "persistence"]
    assert texts(left) == ["RMSE", "lead time (h)", "RMSE of pm2.5 (ug/m3)"]
    zero, values = right.lines
    assert np.asarray(zero.get_ydata()).tolist() == [0.0, 0.0]
    assert np.asarray(values.get_ydata()).tolist() == difference[1]
    ends = [np.asarray(path.vertices).tolist() for path in right.collections[0].get_paths()]
    assert ends == [[[1, -2], [1, 0.5]], [[2, -3], [2, -1]], [[3, -3], [3, -1]]]
    assert texts(right) == [
        "a - b:\nRMSE with its 95% interval",
        "lead time (h)",
        "difference, pm2.5 (ug/m3)",
    ]


def test_lead_times_of_other_steps_say_so() -> None:
    figure = plot_error_by_lead_time({"a": [1, 2]}, [1, 2], quantity="x", step="15 min")
    assert figure.axes[0].get_xlabel() == "lead time (x 15 min)"


def test_single_lead_time_has_named_dots() -> None:
    rmse = {"multivariate": [20.904], "persistence": [22.4], "same_hour_yesterday": [71.2]}
    figure = plot_error_by_lead_time(
        rmse, [1], quantity=QUANTITY, difference=("a - b", [-0.7], [-1.0], [-0.4])
    )
    left, right = figure.axes
    assert [np.asarray(line.get_xdata()).tolist() for line in left.lines] == [*rmse.values()]
    assert all(line.get_marker() in tuple("oDv") for line in left.lines)
    assert [each.get_text() for each in left.get_yticklabels()] == [
        "multivariate   20.90",
        "persistence   22.40",
        "same hour yesterday   71.20",
    ]
    # What is far worse doesn't press the others together: it is said to be off the scale.
    low, high = left.get_xlim()
    assert low < 20.9 < 22.4 < high < 25
    assert [each.get_text() for each in left.texts] == ["off the scale \N{RIGHTWARDS ARROW}"]
    assert left.texts[0].get_position() == (1.0, 2)
    assert np.asarray(right.lines[1].get_ydata()).tolist() == [-0.7]
    assert right.lines[1].get_marker() == "o"
    interval = right.collections[0].get_paths()[0]
    assert np.asarray(interval.vertices).tolist() == [[1, -1.0], [1, -0.4]]


def test_bars_by_level_with_their_hours() -> None:
    rmse = {"multivariate": [10.0, 20.0], "persistence": [12.0, None]}
    figure = plot_error_by_level(
        ["below 35", "35 and more"],
        [1234, 5],
        rmse,  # type: ignore[arg-type]  # None is what JSON has for no number
        quantity=QUANTITY,
    )
    axes = figure.axes[0]
    bars = [each for each in axes.containers if isinstance(each, BarContainer)]
    heights = [[bar.get_height() for bar in each] for each in bars]
    np.testing.assert_array_equal(heights, [[10.0, 20.0], [12.0, np.nan]])
    # Side by side around the label, never over one another.
    assert [bar.get_center()[0] for bar in bars[0]] == pytest.approx([-0.2, 0.8])
    assert [bar.get_center()[0] for bar in bars[1]] == pytest.approx([0.2, np.nan], nan_ok=True)
    assert [each.get_text() for each in axes.get_xticklabels()] == [
        "below 35\n1,234 h",
        "35 and more\n5 h",
    ]
    assert legend(figure) == ["multivariate", "persistence"]


def test_residuals_are_quantiles_of_each_group() -> None:
    rng = np.random.default_rng(0)
    errors = {"multivariate": rng.normal(size=3000), "persistence": rng.normal(2, 3, 3000)}
    errors["persistence"][:100] = np.nan
    low = np.arange(3000) < 1500
    groups = {"below 35": low, "35 and more": ~low, "none": np.zeros(3000, bool)}
    figure = plot_residuals_by_level(errors, groups, quantity=QUANTITY)
    axes = figure.axes[0]
    places = ([-0.125, 0.875, 1.875], [0.125, 1.125, 2.125])
    thin_and_thick = [axes.collections[at : at + 2] for at in (0, 2)]
    for (model, values), place, (thin, thick) in zip(
        errors.items(), places, thin_and_thick, strict=True
    ):
        # A row without one model's error is left out for both.
        members = [values[100:1500], values[1500:]]
        quantiles = [np.percentile(each, [5, 25, 50, 75, 95]) for each in members]
        dots = next(line for line in axes.lines if line.get_label() == model)
        np.testing.assert_allclose(np.asarray(dots.get_xdata()), place)
        medians = [*(q[2] for q in quantiles), np.nan]
        np.testing.assert_allclose(np.asarray(dots.get_ydata()), medians)
        for drawn, ends in ((thin, [0, 4]), (thick, [1, 3])):
            seen = [np.asarray(path.vertices)[:, 1] for path in drawn.get_paths()]
            np.testing.assert_allclose(seen[:2], [q[ends] for q in quantiles])
            assert np.isnan(seen[2]).all()
        assert np.max(thin.get_linewidth()) < np.min(thick.get_linewidth())
    assert [each.get_text() for each in axes.get_xticklabels()] == [
        "below 35\n1,400 h",
        "35 and more\n1,500 h",
        "none\n0 h",
    ]
    assert legend(figure) == ["multivariate", "persistence"]
    assert axes.get_ylabel() == "error of pm2.5 (ug/m3)"


def test_residuals_of_one_row_and_of_none_are_drawn() -> None:
    only = {"$_": np.array([True, False])}
    figure = plot_residuals_by_level({"_a$": np.array([4.0, 9.0])}, only, quantity="$", step="1 D")
    assert [np.asarray(line.get_ydata()).tolist() for line in figure.axes[0].lines[1:]] == [[4.0]]
    assert figure.axes[0].get_xticklabels()[0].get_text() == r"\$_" "\n1 rows"
    assert legend(figure) == [r" _a\$"]
    render_png(figure)
    nothing = plot_residuals_by_level({"a": np.full(2, np.nan)}, only, quantity="x")
    assert nothing.axes[0].get_xticklabels()[0].get_text() == r"\$_" "\n0 h"
    render_png(nothing)


@pytest.mark.parametrize("leads", [[1], [1, 2]])
def test_measure_without_a_unit_is_named_once(leads: list[int]) -> None:
    less = [-0.1] * len(leads)
    figure = plot_error_by_lead_time(
        {"a": [0.9] * len(leads)},
        leads,
        quantity=QUANTITY,
        measure="relative error",
        difference=("a - b", less, less, less),
    )
    left, right = (" ".join(texts(axes)) for axes in figure.axes)
    assert "relative error" in left
    assert not any(word in left + right for word in ("RMSE", "ug/m3"))
    assert right.startswith("a - b:\nwith its 95% interval")
