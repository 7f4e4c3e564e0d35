import subprocess
import sys
from io import BytesIO

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.dates import date2num
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch
from PIL import Image

from lstm_model.figures import forecasts as figures

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


def naive_weeks(observed: list[float], rows: int) -> list[int]:
    """The first rows of the low, the middle and the highest week, where there are plenty."""
    known = {}
    for start in range(0, len(observed) - rows + 1, rows):
        values = [each for each in observed[start : start + rows] if each == each]
        if len(values) >= 0.9 * rows:
            known[start] = sum(values) / len(values)
    ranked = sorted(known, key=lambda start: known[start])
    return [ranked[round(0.1 * (len(ranked) - 1))], ranked[(len(ranked) - 1) // 2], ranked[-1]]


@pytest.mark.parametrize(("step", "rows"), [("1h", 168), ("3h", 56), ("15m", 672), ("1D", 7)])
def test_three_weeks_are_those_of_a_plain_search(step: str, rows: int) -> None:
    rng = np.random.default_rng(rows)
    observed = 80 + 10 * rng.normal(size=30 * rows + 5).cumsum() / rows**0.5
    observed[rng.random(len(observed)) < 0.04] = np.nan
    highest = int(np.nanargmax(observed)) // rows * rows
    observed[highest : highest + rows // 5 + 1] = np.nan  # not enough is left to show it
    times = np.datetime64("2012-01-01") + np.arange(len(observed)) * np.timedelta64(
        int(step[:-1]),
        step[-1],  # type: ignore[call-overload]
    )
    found = figures.three_weeks(times, observed)
    starts = naive_weeks(observed.tolist(), rows)
    assert highest not in starts
    assert list(found) == ["low", "middle", "highest"]
    assert list(found.values()) == [slice(start, start + rows) for start in starts]


def test_of_a_short_or_an_empty_period_fewer_weeks_are_picked() -> None:
    times = np.arange("2012-01-01", "2012-02-01", dtype="datetime64[h]")
    level = np.repeat([2.0, 1.0, 3.0, 3.0], 168)

    def picked(rows: int, observed: np.ndarray = level) -> dict[str, slice]:
        return figures.three_weeks(times[:rows], observed[:rows])

    weeks = [slice(start, start + 168) for start in (0, 168, 336, 504)]
    assert picked(503) == {"low": weeks[1], "highest": weeks[0]}
    assert picked(335) == {"highest": weeks[0]}
    assert picked(100) == {"highest": slice(0, 100)}
    assert picked(1) == {"highest": slice(0, 1)}
    assert picked(0) == {}
    # Of equal weeks the first, always.
    flat = np.ones(672)
    assert picked(672, flat) == dict(zip(("low", "middle", "highest"), weeks[:2], strict=False)) | {
        "highest": weeks[3]
    }
    # Where too much is missing everywhere, the least missing; without any observation, one.
    gaps = level.copy()
    for week, missing in zip(weeks, (40, 60, 20, 168), strict=True):
        gaps[week][:missing] = np.nan
    assert picked(672, gaps) == {"low": weeks[1], "middle": weeks[0], "highest": weeks[2]}
    assert picked(672, np.full(672, np.nan)) == {"highest": weeks[0]}
    # Rows longer than a day are shown seven at a time.
    assert figures.three_weeks(np.arange(0, 270, 30).astype("datetime64[D]"), np.ones(9)) == {
        "highest": slice(0, 7)
    }


def test_weeks_lie_below_one_another_with_their_dates_and_levels() -> None:
    observed = np.arange(48.0)
    observed[26] = np.nan
    forecasts = {"multivariate": observed[::-1].copy(), "persistence": np.full(48, 3.0)}
    chosen = {"low": slice(0, 24), "highest": slice(25, 30), "none": slice(26, 27)}
    figure = figures.weeks(
        TIMES, observed, forecasts, chosen, lead_time="6 h", quantity="$a (ug/m3)"
    )
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        r"\$a (ug/m3): observed, and as forecast 6 h before" "\nLow: 2014-02-01, mean 11.50",
        "Highest: 2014-02-02, mean 27.25",
        "None: 2014-02-02, nothing observed",
    ]
    for axes, rows in zip(figure.axes, chosen.values(), strict=True):
        drawn = lines(axes)
        assert list(drawn) == ["observed", "multivariate", "persistence"] == legend(figure)
        np.testing.assert_array_equal(drawn["observed"], observed[rows])
        for name, values in forecasts.items():
            np.testing.assert_array_equal(drawn[name], values[rows])
        assert np.asarray(axes.lines[0].get_xdata()).tolist() == TIMES[rows].tolist()
        black, model, grey = axes.lines
        assert black.get_zorder() > model.get_zorder() > grey.get_zorder()
        assert grey.get_linewidth() < model.get_linewidth()
    figures.png(figure)
    longer = figures.weeks(
        TIMES, observed, {}, {"low": slice(20, 30)}, lead_time="1 h", quantity="x"
    )
    assert "2014-02-01 to 2014-02-02" in longer.axes[0].get_title(loc="left")


def test_residuals_by_level_are_the_quantiles_of_each_group() -> None:
    rng = np.random.default_rng(0)
    errors = {"multivariate": rng.normal(size=3000), "persistence": rng.normal(2, 3, 3000)}
    errors["persistence"][:100] = np.nan
    low = np.arange(3000) < 1500
    groups = {"below 35": low, "35 and more": ~low, "none": np.zeros(3000, bool)}
    figure = figures.residuals_by_level(errors, groups, quantity=QUANTITY)
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
    figure = figures.residuals_by_level(
        {"_a$": np.array([4.0, 9.0])}, only, quantity="$", step="1 D"
    )
    assert [np.asarray(line.get_ydata()).tolist() for line in figure.axes[0].lines[1:]] == [[4.0]]
    assert figure.axes[0].get_xticklabels()[0].get_text() == r"\$_" "\n1 rows"
    assert legend(figure) == [r" _a\$"]
    figures.png(figure)
    nothing = figures.residuals_by_level({"a": np.full(2, np.nan)}, only, quantity="x")
    assert nothing.axes[0].get_xticklabels()[0].get_text() == r"\$_" "\n0 h"
    figures.png(nothing)


def shares(rows: int, units: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(units)
    return {name: rng.random((rows, units)) for name in ("forget", "input", "output", "long_term")}


def test_gates_are_shown_below_what_was_observed() -> None:
    observed = np.arange(48.0)
    observed[10:20] = np.nan
    values = shares(48, 30)
    figure = figures.gates(TIMES, observed, values, quantity=QUANTITY)
    top, heat, retain, output, bar = figure.axes
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
    assert len({axes.get_xlim() for axes in (top, heat, retain, output)}) == 1
    for axes, gate in ((retain, "input"), (output, "output")):
        (mean,) = axes.lines
        np.testing.assert_allclose(np.asarray(mean.get_ydata()), values[gate].mean(axis=1))
        corners = np.asarray(axes.collections[0].get_paths()[0].vertices)[:, 1]
        np.testing.assert_allclose(corners[1:49], np.percentile(values[gate], 10, axis=1))
        np.testing.assert_allclose(corners[-2:-50:-1], np.percentile(values[gate], 90, axis=1))
        assert axes.get_ylim() == (0.0, 1.0)
    assert legend(figure) == ["10% to 90% of the units", "mean over the units"]


def test_gates_of_one_hour_and_one_unit_are_drawn() -> None:
    figure = figures.gates(TIMES[:1], np.array([np.nan]), shares(1, 1), quantity="$_")
    assert np.asarray(figure.axes[1].images[0].get_array()).shape == (1, 1)
    assert figure.axes[0].get_title(loc="left") == r"\$_: observed"
    figures.png(figure)


def test_the_history_shows_every_trial_and_the_best_so_far() -> None:
    figure = figures.optimisation_history(
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


def test_outliers_are_marked_at_the_edge_and_press_no_others_together() -> None:
    values = [*np.linspace(20.0, 21.0, 17), 60.0, 70.0, 400.0]
    stopped = [*[False] * 18, True, True]
    figure = figures.optimisation_history(
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
    figure = figures.optimisation_history(
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
    figures.png(figure)


def test_a_model_has_one_colour_in_every_figure() -> None:
    colours = {name: figures.styles(MODELS)[name].colour for name in MODELS}
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


def test_nothing_of_the_figures_of_a_study_is_cut_off_or_large() -> None:
    rng = np.random.default_rng(0)
    hours = np.arange("2013-02-01", "2013-03-01", dtype="datetime64[h]")
    level = np.abs(100 + 20 * rng.normal(size=len(hours)).cumsum())
    wild = {"n" * 60: level + 20 * rng.normal(size=len(hours)), "persistence": np.roll(level, 1)}
    ridge = f"ridge_{'n' * 40}"
    made = [
        figures.weeks(
            hours,
            level,
            wild,
            figures.three_weeks(hours, level),
            lead_time="24 h",
            quantity=QUANTITY,
        ),
        figures.residuals_by_level(
            {name: values - level for name, values in wild.items()},
            {f"{low} to {low + 50}": level // 50 == low // 50 for low in range(0, 300, 50)},
            quantity=QUANTITY,
        ),
        figures.gates(hours[:168], level[:168], shares(168, 64), quantity=QUANTITY),
        figures.optimisation_history(
            range(50),
            (20 + rng.random(50)).tolist(),
            (rng.random(50) < 0.5).tolist(),
            {ridge: 99.0},
            study="n" * 60,
            quantity=QUANTITY,
        ),
    ]
    for figure in made:
        noise = figure is made[2]  # no gate is as restless as these, and noise has no small file
        assert len(figures.png(figure)) < (300_000 if noise else 120_000)
        page = figure.bbox
        frame = figure.legends[0].get_window_extent()
        assert 0 <= frame.x0 < frame.x1 <= page.width
        for axes in figure.axes:
            box = axes.get_tightbbox()
            assert box is not None
            assert 0 <= box.x0 < box.x1 <= page.width
            assert 0 <= box.y0 < box.y1 <= page.height
            assert not frame.overlaps(box)


@pytest.mark.parametrize("leads", [1, 24])
def test_a_forecast_stands_after_the_past_with_its_bands(leads: int) -> None:
    observed = np.arange(48.0)
    observed[40:] = np.nan
    valid = TIMES[-1] + np.arange(1, leads + 1).astype("timedelta64[h]")
    values = np.linspace(60, 30, leads)
    bounds = {0.8: (values - 5, values + 7), 0.95: (values - 9, values + 20)}
    figure = figures.forecast_ahead(TIMES, observed, valid, values, bounds, quantity=QUANTITY)
    (axes,) = figure.axes
    assert legend(figure) == ["observed", "forecast", "80% interval", "95% interval"]
    np.testing.assert_array_equal(lines(axes)["observed"], observed)
    np.testing.assert_array_equal(lines(axes)["forecast"], values)
    assert texts(axes) == [
        "pm2.5 (ug/m3): known until 2014-02-02 23:00, and forecast from then on",
        QUANTITY,
    ]
    bands = [patch for patch in axes.patches if isinstance(patch, StepPatch)]
    for band, (low, high) in zip(bands, bounds.values(), strict=True):
        drawn, edges, baseline = band.get_data()
        np.testing.assert_array_equal(drawn, high)
        np.testing.assert_array_equal(baseline, low)
        # Each is as wide as a step, with the forecast in its middle.
        np.testing.assert_allclose(edges[:-1] + 0.5 / 24, date2num(valid))
        np.testing.assert_allclose(np.diff(edges), 1 / 24)
    assert bands[0].get_zorder() > bands[1].get_zorder(), "the narrower one would be hidden"
    bottom, top = axes.get_ylim()
    assert (bottom < 0, top > 80) == (True, True), "nothing lies on the edge"


@pytest.mark.parametrize("last", ["0001-01-02T23:00", "9999-12-31T22:59"])
def test_an_axis_of_time_ends_where_dates_do(last: str) -> None:
    """Whatever its margin is."""
    times = np.datetime64(last, "us") - np.arange(48)[::-1].astype("timedelta64[h]")
    valid, values = times[-1:] + np.timedelta64(1, "h"), np.array([60.0])
    figure = figures.forecast_ahead(
        times, np.arange(48.0), valid, values, {0.8: (values - 5, values + 7)}, quantity=QUANTITY
    )
    assert figures.png(figure).startswith(b"\x89PNG")


def test_a_png_of_few_colours_keeps_them() -> None:
    figure = figures.error_by_level(["x"], [1], {"univariate": [1.0]}, quantity="x")
    with Image.open(BytesIO(figures.png(figure))) as image:
        colours = image.convert("RGB").getcolors()
    assert colours is not None
    most = [colour for _, colour in sorted(colours, reverse=True)[:2]]
    assert most == [(0xD5, 0x5E, 0x00), (255, 255, 255)]


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
        from lstm_model.figures import forecasts as figures
        figures.png(figures.error_by_level(["x"], [1], {"a": [1.0]}, quantity="x"))
        sys.exit("matplotlib.pyplot" in sys.modules)
    """
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
