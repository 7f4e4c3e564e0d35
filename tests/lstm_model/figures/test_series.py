import numpy as np
import pytest
from matplotlib.axes import Axes

from lstm_model.arrays import Float64Array
from lstm_model.figures.canvas import render_png
from lstm_model.figures.series import FROM_EACH_END, MOST_NAMED, pick_by_skill, plot_skill_by_series
from tests.lstm_model.figures.contents import legend

UNKNOWN = np.nan


@pytest.mark.parametrize(
    ("skill", "numbers"),
    [
        ([0.1, 0.5, -0.2, UNKNOWN, 0.3], {"best": 1, "median": 0, "worst": 2}),
        ([0.1, 0.5, 0.3], {"best": 1, "median": 2, "worst": 0}),
        ([UNKNOWN, 0.1, 0.2], {"best": 2, "worst": 1}),
        ([0.1], {"best": 0}),
        ([UNKNOWN], {}),
    ],
)
def test_series_that_stand_for_all(skill: list[float], numbers: dict[str, int]) -> None:
    assert pick_by_skill(np.array(skill)) == numbers


def sizes(axes: Axes, measure: str = "get_width") -> Float64Array:
    """Of the bars."""
    return np.array([getattr(bar, measure)() for bar in axes.patches])


def test_bars_are_sorted_and_have_their_names_and_numbers() -> None:
    figure = plot_skill_by_series(
        {
            "sites": np.array([0.1, UNKNOWN, 0.3, -0.05]),
            "ridge_sites": np.array([0.2, 0.9, 0.1, 0]),
        },
        ["a", "not scored", "$b$", "c"],
    )
    (axes,) = figure.axes
    assert sizes(axes) == pytest.approx([0.3, 0.1, -0.05])
    assert [each.get_text() for each in axes.get_yticklabels()] == [r"\$b\$", "a", "c"]
    assert [each.get_text() for each in axes.texts] == ["30.0%", "10.0%", "-5.0%"]
    assert axes.get_title(loc="left") == "Skill of sites by series: above 0 in 2 of 3"
    marks = next(line for line in axes.lines if line.get_label() == "ridge sites")
    assert np.asarray(marks.get_xdata()).tolist() == [0.1, 0.2, 0]
    assert np.asarray(marks.get_ydata()).tolist() == [0, 1, 2]
    assert legend(figure) == ["ridge sites", "sites"]
    top, bottom = axes.get_ylim()
    assert top > bottom, "the best is above"


def test_of_many_the_best_and_the_worst_are_named() -> None:
    """All bars stand in one panel, those with names in another."""
    count = MOST_NAMED + 1
    skill = np.linspace(-0.2, 0.6, count)  # the last is the best
    figure = plot_skill_by_series({"sites": skill}, [f"s{n}" for n in range(count)])
    every, named = figure.axes
    assert sizes(every, "get_height") == pytest.approx(skill[::-1])
    best = [f"s{count - 1 - n}" for n in range(FROM_EACH_END)]
    worst = [f"s{FROM_EACH_END - 1 - n}" for n in range(FROM_EACH_END)]
    assert [each.get_text() for each in named.get_yticklabels()] == [*best, *worst]
    assert named.get_title(loc="left") == f"The best and the worst {FROM_EACH_END}"
    assert not figure.legends, "one model needs none"
    assert len(plot_skill_by_series({"sites": skill[1:]}, ["s"] * (count - 1)).axes) == 1


def test_one_far_below_does_not_press_the_others() -> None:
    skill = np.array([0.1, 0.15, 0.2, 0.3, -40.0])
    figure = plot_skill_by_series({"sites": skill}, list("abcde"))
    (axes,) = figure.axes
    assert axes.get_xlim()[0] > -0.5
    assert sizes(axes)[-1] == pytest.approx(-0.3), "as far down as the best is up"
    assert "-4000.0%" in [each.get_text() for each in axes.texts]
    arrows = [each for each in axes.texts if "\N{LEFTWARDS ARROW}" in each.get_text()]
    assert [each.get_position()[1] for each in arrows] == [4], "in the last row"


@pytest.mark.parametrize(
    ("skill", "rows"), [([], 0), ([UNKNOWN], 0), ([0.0], 1), ([-3.0, -2.0], 2)]
)
def test_few_series_are_drawn(skill: list[float], rows: int) -> None:
    figure = plot_skill_by_series({"sites": np.array(skill)}, ["a"] * len(skill))
    assert len(figure.axes[0].get_yticklabels()) == rows
    render_png(figure)


def test_long_names_are_cut_in_the_middle() -> None:
    figure = plot_skill_by_series({"sites": np.array([0.1])}, ["region north/household 0017"])
    [label] = figure.axes[0].get_yticklabels()
    assert label.get_text() == "region nor...ehold 0017"
