import numpy as np
import pytest
from matplotlib.dates import date2num
from matplotlib.patches import StepPatch

from lstm_model.figures.canvas import render_png
from lstm_model.figures.forecasts import pick_weeks, plot_episode, plot_forecast, plot_weeks
from tests.lstm_model.figures.contents import QUANTITY, TIMES, legend, lines, texts


def test_episode_shows_observed_and_forecast() -> None:
    observed = np.arange(48.0)
    observed[10:20] = np.nan
    forecasts = {"multivariate": observed[::-1].copy(), "persistence": np.full(48, 3.0)}
    figure = plot_episode(TIMES, observed, forecasts, lead_time="6 h", quantity=QUANTITY)
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
    figure = plot_episode(TIMES[:3], observed, {}, lead_time="1 h", quantity="x")
    assert figure.axes[0].lines[0].get_marker() == "o"
    assert figure.axes[0].lines[0].get_markersize() > 0


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
    found = pick_weeks(times, observed)
    starts = naive_weeks(observed.tolist(), rows)
    assert highest not in starts
    assert list(found) == ["low", "middle", "highest"]
    assert list(found.values()) == [slice(start, start + rows) for start in starts]


def test_short_or_empty_period_has_fewer_weeks() -> None:
    times = np.arange("2012-01-01", "2012-02-01", dtype="datetime64[h]")
    level = np.repeat([2.0, 1.0, 3.0, 3.0], 168)

    def picked(rows: int, observed: np.ndarray = level) -> dict[str, slice]:
        return pick_weeks(times[:rows], observed[:rows])

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
    assert pick_weeks(np.arange(0, 270, 30).astype("datetime64[D]"), np.ones(9)) == {
        "highest": slice(0, 7)
    }


def test_weeks_have_dates_and_levels() -> None:
    observed = np.arange(48.0)
    observed[26] = np.nan
    forecasts = {"multivariate": observed[::-1].copy(), "persistence": np.full(48, 3.0)}
    chosen = {"low": slice(0, 24), "highest": slice(25, 30), "none": slice(26, 27)}
    figure = plot_weeks(TIMES, observed, forecasts, chosen, lead_time="6 h", quantity="$a (ug/m3)")
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
    render_png(figure)
    longer = plot_weeks(TIMES, observed, {}, {"low": slice(20, 30)}, lead_time="1 h", quantity="x")
    assert "2014-02-01 to 2014-02-02" in longer.axes[0].get_title(loc="left")


@pytest.mark.parametrize("leads", [1, 24])
def test_forecast_follows_the_past_with_bands(leads: int) -> None:
    observed = np.arange(48.0)
    observed[40:] = np.nan
    valid = TIMES[-1] + np.arange(1, leads + 1).astype("timedelta64[h]")
    values = np.linspace(60, 30, leads)
    bounds = {0.8: (values - 5, values + 7), 0.95: (values - 9, values + 20)}
    figure = plot_forecast(TIMES, observed, valid, values, bounds, quantity=QUANTITY)
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
