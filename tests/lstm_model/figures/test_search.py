import numpy as np
import pytest

from lstm_model.figures.canvas import render_png
from lstm_model.figures.search import plot_importances, plot_optimisation_history
from tests.lstm_model.figures.contents import QUANTITY, legend, texts


def test_importances_are_sorted() -> None:
    figure = plot_importances(
        {"multivariate": {"dropout": 0.1, "learning_rate": 0.9}, "univariate": {"loss": 1.0}},
        {"multivariate": 8, "univariate": 21},
    )
    first, second = figure.axes
    ends = [bar.get_extents().x1 for bar in first.patches]
    widths = [first.transData.inverted().transform((end, 0))[0] for end in ends]
    assert widths == pytest.approx([10, 90])
    assert [each.get_text() for each in first.get_yticklabels()] == ["dropout", "learning_rate"]
    assert texts(first) == ["multivariate: 8 trials", "share of importance (%)"]
    assert second.get_title(loc="left") == "univariate: 21 trials"


def test_history_shows_trials_and_best_so_far() -> None:
    figure = plot_optimisation_history(
        [2, 0, 1, 3, 4],
        [20.0, 23.0, 24.0, None, 21.0],
        [True, False, True, False, False],
        {"persistence": 25.0, "ridge_multivariate": 22.5},
        study="multivariate",
        quantity=QUANTITY,
    )
    axes = figure.axes[0]
    best, finished, stopped, *references = axes.lines
    assert np.asarray(best.get_xydata()).tolist() == [[0, 23], [1, 23], [2, 20], [4, 20]]
    assert best.get_drawstyle() == "steps-post"
    assert np.asarray(finished.get_xydata()).tolist() == [[0, 23], [4, 21]]
    assert np.asarray(stopped.get_xydata()).tolist() == [[1, 24], [2, 20]]
    assert finished.get_markerfacecolor() != stopped.get_markerfacecolor()
    assert [np.asarray(line.get_ydata()).tolist() for line in references] == [[25, 25], [22.5] * 2]
    assert legend(figure) == [
        *("best so far: 20.00, trial 2", "finished", "stopped early"),
        *("persistence 25.00", "ridge multivariate 22.50"),
    ]
    low, high = axes.get_ylim()
    assert low < 20 < 25 < high
    assert texts(axes) == [
        *("multivariate: validation RMSE of 4 trials", "trial", "RMSE of pm2.5 (ug/m3)")
    ]


def test_outliers_are_marked_at_the_edge() -> None:
    values = [*np.linspace(20.0, 21.0, 17), 60.0, 70.0, 400.0]
    stopped = [*[False] * 18, True, True]
    figure = plot_optimisation_history(
        range(20), values, stopped, {"persistence": 90.0}, study="s", quantity="x"
    )
    axes = figure.axes[0]
    low, high = axes.get_ylim()
    assert 19.5 < low < 20 < 21 < high < 22
    drawn = {str(line.get_label()): line for line in axes.lines}
    assert drawn["finished"].get_marker() == "o"
    for name, numbers in (("finished", [17]), ("stopped early", [18, 19])):
        edge = drawn[f"{name}, off the scale"]
        assert np.asarray(edge.get_xdata()).tolist() == numbers
        assert np.asarray(edge.get_ydata()).tolist() == [high] * len(numbers)
        assert edge.get_marker() == "^"
        assert not edge.get_clip_on()
    assert "persistence 90.00 (off the scale)" in legend(figure)


@pytest.mark.parametrize("rmse", [[], [None, None], [3.0], [3.0, 3.0]])
def test_a_history_of_few_trials_or_none_is_drawn(rmse: list[float | None]) -> None:
    figure = plot_optimisation_history(
        range(len(rmse)),
        rmse,
        [True] * len(rmse),
        {"persistence": 4.0, "_$": 5.0},
        study="_$s$",
        quantity="$",
    )
    low, high = figure.axes[0].get_ylim()
    assert low < 4 < 5 < high
    count = sum(value is not None for value in rmse)
    assert figure.axes[0].get_title(loc="left") == rf"_\$s\$: validation RMSE of {count} trials"
    assert legend(figure)[-2:] == ["persistence 4.000", r" _\$ 5.000"]
    assert any("best so far" in each for each in legend(figure)) == bool(count)
    render_png(figure)


def test_history_of_a_measure_without_a_unit() -> None:
    figure = plot_optimisation_history(
        [0], [0.9], [False], {}, study="s", quantity=QUANTITY, measure="relative error"
    )
    assert texts(figure.axes[0]) == [
        "s: validation relative error of 1 trials",
        "trial",
        "relative error",
    ]
