import subprocess
import sys
from io import BytesIO

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from PIL import Image

from lstm_model import figures

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


def test_an_episode_shows_what_was_observed_and_forecast() -> None:
    observed = np.arange(48.0)
    observed[10:20] = np.nan
    forecasts = {"multivariate": observed[::-1].copy(), "persistence": np.full(48, 3.0)}
    figure = figures.episode(TIMES, observed, forecasts, lead_time="6 h", quantity=QUANTITY)
    drawn = lines(figure.axes[0])
    assert list(drawn) == ["observed", "multivariate", "persistence"] == legend(figure)
    # A gap stays NaN, where matplotlib breaks the line; no forecast hides it.
    above, *below = (line.get_zorder() for line in figure.axes[0].lines)
    assert above > max(below)
    np.testing.assert_array_equal(drawn["observed"], observed)
    np.testing.assert_array_equal(drawn["multivariate"], forecasts["multivariate"])
    assert drawn["persistence"] == [3.0] * 48
    assert np.asarray(figure.axes[0].lines[0].get_xdata()).tolist() == TIMES.tolist()
    assert texts(figure.axes[0]) == [
        "pm2.5 (ug/m3): observed, and as forecast 6 h before",
        "pm2.5 (ug/m3)",
    ]


def test_an_observation_between_two_gaps_has_a_mark() -> None:
    observed = np.array([np.nan, 5.0, np.nan])
    figure = figures.episode(TIMES[:3], observed, {}, lead_time="1 h", quantity="x")
    assert figure.axes[0].lines[0].get_marker() == "o"
    assert figure.axes[0].lines[0].get_markersize() > 0


def test_dates_are_few_enough_to_be_read() -> None:
    week = np.arange("2014-02-01", "2014-02-08", dtype="datetime64[h]")
    figure = figures.episode(week, np.ones(168), {}, lead_time="1 h", quantity="x")
    figures.png(figure)
    written = [each.get_text() for each in figure.axes[0].get_xticklabels()]
    assert 4 <= len([each for each in written if each]) <= 9
    assert "03" in written


def test_errors_by_lead_time_beside_their_difference() -> None:
    rmse = {"multivariate": [1.0, 2.0, 4.0], "persistence": [2.0, 4.0, 6.0]}
    difference = ("a - b", [-1.0, -2.0, -2.0], [-2.0, -3.0, -3.0], [0.5, -1.0, -1.0])
    figure = figures.error_by_lead_time(rmse, [1, 2, 3], quantity=QUANTITY, difference=difference)
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
    figure = figures.error_by_lead_time({"a": [1, 2]}, [1, 2], quantity="x", step="15 min")
    assert figure.axes[0].get_xlabel() == "lead time (x 15 min)"


def test_a_single_lead_time_has_marks_with_names_and_numbers() -> None:
    rmse = {"multivariate": [20.904], "persistence": [22.4], "same_hour_yesterday": [71.2]}
    figure = figures.error_by_lead_time(
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
    figure = figures.error_by_level(
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


def test_importances_are_sorted_and_say_of_how_many_trials() -> None:
    figure = figures.importances(
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


def test_a_model_has_one_colour_in_every_figure() -> None:
    colours = {name: style.colour for name, style in figures.styles(MODELS).items()}
    assert len(set(colours.values())) == len(MODELS)
    assert {name: figures.styles([name])[name].colour for name in MODELS} == colours
    bars = figures.error_by_level(["x"], [1], {"univariate": [1.0]}, quantity="x")
    line = figures.error_by_lead_time({"univariate": [1, 2]}, [1, 2], quantity="x")
    assert line.axes[0].lines[0].get_color() == colours["univariate"]
    assert bars.axes[0].patches[0].get_facecolor()[:3] == pytest.approx(
        tuple(int(colours["univariate"][at : at + 2], 16) / 255 for at in (1, 3, 5))
    )


def test_studies_of_any_name_keep_their_colours_where_the_looks_are_given() -> None:
    looks = figures.styles(["first", "second", "persistence", "ridge_second"])
    assert looks["first"].colour != looks["second"].colour
    assert looks["first"].dash == "-" != looks["ridge_second"].dash
    figure = figures.episode(
        TIMES, np.ones(48), {"second": np.ones(48)}, lead_time="1 h", quantity="x", looks=looks
    )
    assert figure.axes[0].lines[1].get_color() == looks["second"].colour


def test_names_from_outside_are_drawn_as_they_are() -> None:
    names = ["$x_", "_hidden", r"$\oops$", "n" * 50]
    figure = figures.error_by_lead_time({name: [1, 2] for name in names}, [1, 2], quantity="$a$")
    shown = [text.replace(r"\$", "$").strip() for text in legend(figure)]
    assert shown == [*names[:3], "n" * 37 + "..."]
    figures.error_by_level(["$", "$$"], [1, 2], {r"$\oops$": [1, 2]}, quantity="$")
    figures.png(figure)


@pytest.mark.parametrize("lead_times", [1, 24])
def test_no_legend_lies_on_data_and_nothing_is_cut_off(lead_times: int) -> None:
    rmse = {name: list(np.arange(20.0, 20.0 + lead_times)) for name in MODELS}
    ones = [1.0] * lead_times
    figure = figures.error_by_lead_time(
        rmse,
        range(1, lead_times + 1),
        quantity=QUANTITY,
        difference=("multivariate - univariate", ones, ones, ones),
    )
    figures.png(figure)
    page = figure.bbox
    for axes in figure.axes:
        box = axes.get_tightbbox()
        assert box is not None
        assert 0 <= box.x0 < box.x1 <= page.width
        assert 0 <= box.y0 < box.y1 <= page.height
        for each in figure.legends:
            frame = each.get_window_extent()
            assert not frame.overlaps(box)
            assert 0 <= frame.x0 < frame.x1 <= page.width


def test_a_png_is_the_same_whenever_it_is_made() -> None:
    def make() -> bytes:
        return figures.png(figures.error_by_level(["x"], [1], {"a": [1.0]}, quantity="x"))

    once = make()
    assert once == make()
    with Image.open(BytesIO(once)) as image:
        assert image.format == "PNG"
        assert image.width == figures.WIDTH * figures.DPI


def test_pyplot_is_never_imported() -> None:
    code = """if True:
        import sys
        from lstm_model import figures
        figures.png(figures.error_by_level(["x"], [1], {"a": [1.0]}, quantity="x"))
        sys.exit("matplotlib.pyplot" in sys.modules)
    """
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
