import subprocess
import sys
from io import BytesIO

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from lstm_model.errors import InputError
from lstm_model.figures.canvas import DPI, WIDTH, draw_on, render_png
from lstm_model.figures.errors import (
    plot_error_by_lead_time,
    plot_error_by_level,
    plot_residuals_by_level,
)
from lstm_model.figures.forecasts import pick_weeks, plot_episode, plot_forecast, plot_weeks
from lstm_model.figures.gates import plot_gates
from lstm_model.figures.search import plot_optimisation_history
from tests.lstm_model.figures.contents import MODELS, QUANTITY, legend, shares


def test_dates_are_few_enough_to_be_read() -> None:
    week = np.arange("2014-02-01", "2014-02-08", dtype="datetime64[h]")
    figure = plot_episode(week, np.ones(168), {}, lead_time="1 h", quantity="x")
    render_png(figure)
    written = [each.get_text() for each in figure.axes[0].get_xticklabels()]
    assert 4 <= len([each for each in written if each]) <= 9
    assert "03" in written


def test_titles_are_as_wide_as_their_panel() -> None:
    figure = Figure()
    grid = figure.add_gridspec(2, 120)
    for columns, lines in ((slice(None), 1), (slice(60), 2), (slice(1), 3)):
        axes = figure.add_subplot(grid[0, columns])
        plot_error_by_level(["low"], [1], {"a": [1.0]}, quantity="x", on=axes)
        assert axes.get_title(loc="left").count("\n") + 1 == lines


def test_gates_on_axes_of_ones_own_share_their_hours() -> None:
    hours = np.arange("2014-02-01", "2014-02-03", dtype="datetime64[h]")
    shares = {gate: np.full((48, 4), 0.5) for gate in ("forget", "input", "output")}
    figure = Figure()
    axes = figure.subplots(4, 2, sharex="row")[:, 1]
    plot_gates(hours, np.ones(48), shares, quantity="x", on=axes)
    assert len({each.get_position().bounds[2] for each in axes}) == 1
    assert len({each.get_xlim() for each in axes}) == 1


def test_ax_is_of_axes_alone() -> None:
    for ax in ("x", Figure(), [Figure().subplots(), 3]):
        with pytest.raises(InputError, match=r"^ax must be matplotlib's axes, but got "):
            draw_on(ax, lambda on: Figure())  # type: ignore[arg-type]


def test_names_from_outside_are_drawn_as_they_are() -> None:
    names = ["$x_", "_hidden", r"$\oops$", "n" * 50]
    figure = plot_error_by_lead_time({name: [1, 2] for name in names}, [1, 2], quantity="$a$")
    shown = [text.replace(r"\$", "$").strip() for text in legend(figure)]
    assert shown == [*names[:3], "n" * 37 + "..."]
    plot_error_by_level(["$", "$$"], [1, 2], {r"$\oops$": [1, 2]}, quantity="$")
    render_png(figure)


@pytest.mark.parametrize("lead_times", [1, 24])
def test_no_legend_lies_on_data_and_nothing_is_cut_off(lead_times: int) -> None:
    rmse = {name: list(np.arange(20.0, 20.0 + lead_times)) for name in MODELS}
    ones = [1.0] * lead_times
    figure = plot_error_by_lead_time(
        rmse,
        range(1, lead_times + 1),
        quantity=QUANTITY,
        difference=("multivariate - univariate", ones, ones, ones),
    )
    render_png(figure)
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


def test_study_figures_are_whole_and_small() -> None:
    rng = np.random.default_rng(0)
    hours = np.arange("2013-02-01", "2013-03-01", dtype="datetime64[h]")
    level = np.abs(100 + 20 * rng.normal(size=len(hours)).cumsum())
    wild = {"n" * 60: level + 20 * rng.normal(size=len(hours)), "persistence": np.roll(level, 1)}
    ridge = f"ridge_{'n' * 40}"
    made = [
        plot_weeks(
            hours,
            level,
            wild,
            pick_weeks(hours, level),
            lead_time="24 h",
            quantity=QUANTITY,
        ),
        plot_residuals_by_level(
            {name: values - level for name, values in wild.items()},
            {f"{low} to {low + 50}": level // 50 == low // 50 for low in range(0, 300, 50)},
            quantity=QUANTITY,
        ),
        plot_gates(hours[:168], level[:168], shares(168, 64), quantity=QUANTITY),
        plot_optimisation_history(
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
        assert len(render_png(figure)) < (300_000 if noise else 120_000)
        page = figure.bbox
        frame = figure.legends[0].get_window_extent()
        assert 0 <= frame.x0 < frame.x1 <= page.width
        for axes in figure.axes:
            box = axes.get_tightbbox()
            assert box is not None
            assert 0 <= box.x0 < box.x1 <= page.width
            assert 0 <= box.y0 < box.y1 <= page.height
            assert not frame.overlaps(box)


@pytest.mark.parametrize("last", ["0001-01-02T23:00", "9999-12-31T22:59"])
def test_an_axis_of_time_ends_where_dates_do(last: str) -> None:
    """Whatever its margin is."""
    times = np.datetime64(last, "us") - np.arange(48)[::-1].astype("timedelta64[h]")
    valid, values = times[-1:] + np.timedelta64(1, "h"), np.array([60.0])
    figure = plot_forecast(
        times, np.arange(48.0), valid, values, {0.8: (values - 5, values + 7)}, quantity=QUANTITY
    )
    assert render_png(figure).startswith(b"\x89PNG")


def test_a_png_of_few_colours_keeps_them() -> None:
    figure = plot_error_by_level(["x"], [1], {"univariate": [1.0]}, quantity="x")
    with Image.open(BytesIO(render_png(figure))) as image:
        colours = image.convert("RGB").getcolors()
    assert colours is not None
    most = [colour for _, colour in sorted(colours, reverse=True)[:2]]
    assert most == [(0xD5, 0x5E, 0x00), (255, 255, 255)]


def test_a_png_is_the_same_whenever_it_is_made() -> None:
    def make() -> bytes:
        return render_png(plot_error_by_level(["x"], [1], {"a": [1.0]}, quantity="x"))

    once = make()
    assert once == make()
    with Image.open(BytesIO(once)) as image:
        assert image.format == "PNG"
        assert image.width == WIDTH * DPI


def test_pyplot_is_never_imported() -> None:
    code = """if True:
        import sys
        from lstm_model.figures.canvas import render_png
        from lstm_model.figures.errors import plot_error_by_level
        render_png(plot_error_by_level(["x"], [1], {"a": [1.0]}, quantity="x"))
        sys.exit("matplotlib.pyplot" in sys.modules)
    """
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
