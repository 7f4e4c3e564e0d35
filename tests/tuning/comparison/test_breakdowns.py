"""Groups of test hours that are made up here, against answers worked out by hand."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lstm_model.arrays import Float64Array
from lstm_model.data.beijing import AQI_BREAKPOINTS
from lstm_model.data.series_index import SeriesIndex
from lstm_model.evaluation.baselines import PERSISTENCE
from tests.tuning.comparison.builders import make_errors, make_table
from tuning.comparison.backtest import ForecastErrors
from tuning.comparison.breakdowns import (
    break_down,
    find_largest_errors,
    find_level_edges,
    measure_coverage,
    measure_coverage_by_series,
)


def test_breakdowns_by_hand() -> None:
    # Two days across the end of a month, 30 and 31 January, then an hour of February.
    errors = np.arange(49.0)[None, :, None]
    errors[0, 7] = np.nan
    window = make_errors({"a": errors, PERSISTENCE: 2 * errors})
    wind = np.array(["NW", "SE"], dtype=object)[np.arange(200) % 2]
    breakdowns = break_down(window, ["a", PERSISTENCE], [35.0, 75.0], {"wind": wind})
    groups = {(each.by, each.group): each for each in breakdowns}
    assert groups["month", "2"].rows == 1
    assert groups["month", "2"].rmse == {"a": 48.0, PERSISTENCE: 96.0}
    assert groups["month", "1"].rows == 47
    assert groups["hour of day", "07"].rows == 1  # the first was not observed
    assert groups["hour of day", "07"].rmse["a"] == 31.0
    assert groups["hour of day", "00"].rmse["a"] == pytest.approx(np.sqrt((0 + 24**2 + 48**2) / 3))
    # Levels 0, 20, 40, 60, 80 in turn: two below 35, two from there to 75, each above.
    rows = {name: groups["level", name].rows for name in ("below 35", "35 to 75", "75 and more")}
    assert rows == {"below 35": 20, "35 to 75": 19, "75 and more": 9}
    # Origins are rows 100, 101, ...: even ones have NW.
    even = np.delete(np.arange(49.0), 7)
    even = even[even % 2 == 0]
    assert groups["wind", "NW"].rows == len(even)
    assert groups["wind", "NW"].rmse["a"] == pytest.approx(np.sqrt(np.mean(even**2)))


def test_level_on_an_edge_is_in_the_upper_group() -> None:
    window = make_errors({PERSISTENCE: np.ones((1, 5, 1))})
    breakdowns = break_down(window, [PERSISTENCE], [40.0, 75.0], {})
    rows = {each.group: each.rows for each in breakdowns if each.by == "level"}
    assert rows == {"below 40": 2, "40 to 75": 2, "75 and more": 1}


def test_largest_errors_come_with_their_hours() -> None:
    errors = np.zeros((1, 40, 1))
    errors[0, [3, 30], 0] = [-50.0, 60.0]
    errors[0, 12, 0] = np.nan
    largest = find_largest_errors(make_errors({PERSISTENCE: errors}), PERSISTENCE, 1)
    assert len(largest) == 10
    assert (largest[0].time, largest[0].error) == ("2020-01-31 06:00", 60.0)
    assert (largest[0].observed, largest[0].forecast) == (130.0, 190.0)
    assert (largest[1].time, largest[1].error) == ("2020-01-30 03:00", -50.0)


def test_level_edges_are_quantiles_of_training() -> None:
    target = np.concatenate([np.arange(1.0, 102.0), [9999.0, 1.0, 2.0, 3.0]])
    table = make_table({"": target}, validation_row=101)
    assert find_level_edges(table, AQI_BREAKPOINTS) == [35, 75, 115, 150, 250]
    assert find_level_edges(table, None) == [21, 41, 61, 81, 96]


def simple(forecasts: Float64Array, observed: Float64Array) -> ForecastErrors:
    """A test of hours whose forecasts are given by the hour that is forecast."""
    rows = len(observed)
    times = pd.date_range(datetime(2020, 1, 1), periods=rows, freq="h")
    errors = {
        "m": (forecasts - observed[:, None])[None],
        "persistence": (0 * forecasts - observed[:, None])[None],
    }
    return ForecastErrors(
        times, observed, errors, np.zeros((rows, 2), np.int_), 0 * forecasts, 0 * forecasts
    )


def test_coverage_counted_by_hand() -> None:
    """Bounds of +-10 at 80% and +-20 at 95%; five hours, the last one not observed."""
    observed = np.array([50.0, 62.0, 75.0, 190.0, np.nan])
    forecasts = np.full((5, 2), 55.0)
    forecasts[3] = 180.0, 100.0

    class Model:
        intervals = True

        def prediction_intervals(
            self,
            values: Float64Array,
            floor: Float64Array,
            series: str,
            scales: Float64Array | None,
        ) -> dict[float, tuple[Float64Array, Float64Array]]:
            np.testing.assert_allclose(values[:4], forecasts[:4])
            return {0.8: (values - 10, values + 10), 0.95: (values - 20, values + 20)}

    found = measure_coverage(simple(forecasts, observed), "m", Model(), [100.0])  # type: ignore[arg-type]
    shares = {
        (one.claim, one.lead_time, one.forecast_level): (one.rows, one.covered) for one in found
    }
    assert shares == {
        (0.8, 1, "all"): (4, 0.75),
        (0.8, 1, "below 100"): (3, pytest.approx(2 / 3)),
        (0.8, 1, "100 and more"): (1, 1.0),
        (0.8, 2, "all"): (4, 0.5),
        (0.8, 2, "below 100"): (3, pytest.approx(2 / 3)),
        (0.8, 2, "100 and more"): (1, 0.0),
        (0.95, 1, "all"): (4, 1.0),
        (0.95, 1, "below 100"): (3, 1.0),
        (0.95, 1, "100 and more"): (1, 1.0),
        (0.95, 2, "all"): (4, 0.75),
        (0.95, 2, "below 100"): (3, 1.0),
        (0.95, 2, "100 and more"): (1, 0.0),
    }
    assert [one.mean_width for one in found[:2]] == pytest.approx([20.0, 20.0])


def of_two_series(forecasts: Float64Array, observed: Float64Array) -> ForecastErrors:
    """The first three hours are of A, the others of B, which training never saw."""
    window = simple(forecasts, observed)
    scales = {"B": np.full((len(observed) - 3, 2), 7.0)}
    return replace(window, index=SeriesIndex(("A", "B"), (0, 3, len(observed))), scales=scales)


def test_largest_errors_name_their_series() -> None:
    observed = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    forecasts = np.repeat((observed + [1, -9, 2, 30, 3])[:, None], 2, axis=1)
    largest = find_largest_errors(of_two_series(forecasts, observed), "m", 1)
    assert [(each.series, each.error) for each in largest[:2]] == [("B", 30.0), ("A", -9.0)]
    assert find_largest_errors(simple(forecasts, observed), "m", 1)[0].series is None


def test_coverage_of_several_series_is_over_all_and_by_each() -> None:
    """A's bounds are +-10, B's +-its scale of 7; one hour has none, and is not counted."""
    observed = np.array([50.0, 62.0, 75.0, 50.0, 60.0, 70.0])
    forecasts = np.full((6, 2), 55.0)

    class Model:
        def prediction_intervals(
            self,
            values: Float64Array,
            floor: Float64Array,
            series: str,
            scales: Float64Array | None,
        ) -> dict[float, tuple[Float64Array, Float64Array]]:
            if series == "A":
                assert scales is None
                return {0.8: (values - 10, values + 10)}
            assert scales is not None
            units = scales.copy()
            units[2] = np.nan
            return {0.8: (values - units, values + units)}

    model: Any = Model()
    errors = of_two_series(forecasts, observed)
    [first, second] = [
        each for each in measure_coverage(errors, "m", model, [0.0]) if each.forecast_level == "all"
    ]
    assert (first.lead_time, first.rows, first.covered) == (1, 5, 0.8)
    assert first.mean_width == pytest.approx((3 * 20 + 2 * 14) / 5)
    assert second.lead_time == 2
    by_series = measure_coverage_by_series(errors, {"m": model})
    assert by_series is not None
    assert {
        name: [(each.lead_time, each.rows, each.covered) for each in found]
        for name, found in by_series.items()
    } == {
        "A": [(1, 3, pytest.approx(2 / 3)), (2, 3, pytest.approx(2 / 3))],
        "B": [(1, 2, 1.0), (2, 2, 1.0)],
    }
    assert measure_coverage_by_series(simple(forecasts, observed), {"m": model}) is None
