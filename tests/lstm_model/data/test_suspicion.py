"""What looks as if it meant something else, and what does not."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from lstm_model.data.simulation import simulate
from lstm_model.data.step import Step
from lstm_model.data.suspicion import (
    find_doubts,
    find_sentinels,
    is_mostly_empty,
    is_sentinel,
    longest_repeat,
    meaning_of_empty,
)
from lstm_model.wording import yaml_text
from tests.tuning.space.yaml_hints import keys_of

HOUR = Step(3600)
RNG = np.random.default_rng(4)
LEVEL = (400 + 40 * RNG.normal(size=500)).round(1)
COLD = RNG.normal(5, 8, 500).round(1)


def mixed(values: Any, *numbers: float, times: int = 5) -> Any:
    """The values, with each of the numbers in some rows."""
    spoilt = np.array(values, np.float64)
    for at, number in enumerate(numbers):
        spoilt[10 + at : 10 + at + 7 * times : 7] = number
    return spoilt


@pytest.mark.parametrize(
    ("values", "numbers"),
    [
        (LEVEL, [-200]),
        (LEVEL, [-999, -200]),
        (LEVEL, [-9999, 9999]),
        (LEVEL, [1e20]),
        (LEVEL, [0]),
        (COLD, [99.9]),
        (COLD, [-99]),
        (np.abs(COLD), [-1]),
        (RNG.integers(0, 11, 500), [-999]),  # a scale with few different numbers
        (RNG.integers(1, 6, 500), [99]),
    ],
)
def test_numbers_that_stand_for_missing_are_seen(values: Any, numbers: list[float]) -> None:
    assert find_sentinels(mixed(values, *numbers)) == dict.fromkeys(sorted(numbers), 5) or (
        set(find_sentinels(mixed(values, *numbers))) == set(numbers)
    )


@pytest.mark.parametrize(
    "values",
    [
        LEVEL,
        COLD,
        COLD.round(),  # whole degrees, from below zero on
        mixed(LEVEL, 5000, times=1),  # one spike
        RNG.integers(0, 2, 500),  # a flag
        RNG.poisson(0.2, 500),
        np.arange(-1, 30).repeat(4),  # -1 is the next after 0
        np.full(50, 7.0),
        np.full(50, np.nan),
        np.where(RNG.random(500) < 0.95, 0, RNG.exponential(3, 500).round(1)),  # rain
        np.minimum(np.abs(30 * COLD), 300),  # an instrument at its limit
    ],
)
def test_what_is_only_unusual_is_not(values: Any) -> None:
    assert find_sentinels(np.asarray(values, np.float64)) == {}


def test_the_simulated_air_raises_no_doubt() -> None:
    air = simulate(seed=0)
    assert find_doubts([air.drop(columns=["year", "month", "day", "hour"])], HOUR, "pm2.5") == []


def test_rows_that_repeat_are_counted() -> None:
    column = pd.Series([np.nan, np.nan, 1, np.nan, 2, np.nan, np.nan, np.nan])
    assert longest_repeat(column) == 3, "before the first value nothing is repeated"
    assert not is_mostly_empty(column, HOUR)
    assert is_mostly_empty(column, Step(32400)), "27 hours"
    assert not is_mostly_empty(pd.Series([1.0] * 100 + [np.nan] * 90), HOUR), "less than half"
    assert is_mostly_empty(pd.Series([1.0] * 20 + [np.nan] * 25), HOUR)


def showers(value: float = 1.5) -> "pd.Series[float]":
    """Two rows of rain at irregular times, and nothing between."""
    column = pd.Series(np.nan, range(600))
    for start in (3, 40, 55, 130, 300, 310, 420):
        column[[start, start + 1]] = value
    return column


def test_empty_means_nothing_happened_for_rare_events() -> None:
    assert meaning_of_empty(showers(), HOUR) == 0
    assert meaning_of_empty(showers().map({1.5: "holiday"}), HOUR) == "none"
    # Where the column says itself that nothing happened, empty is something else.
    assert meaning_of_empty(showers().where(showers().index != 40, 0.0), HOUR) is None
    said = showers().map({1.5: "holiday"})
    said[40] = "None"
    assert meaning_of_empty(said, HOUR) is None
    assert meaning_of_empty(showers(-1.5), HOUR) is None, "below zero 0 is no nothing"
    survey = pd.Series(np.nan, range(600))
    survey[::50] = 3.0
    assert meaning_of_empty(survey, HOUR) is None, "a survey holds until the next one"
    assert meaning_of_empty(pd.Series([1.0, np.nan] * 50), HOUR) is None, "half is not most"


def test_the_hints_are_keys_that_work() -> None:
    """Also of a name that YAML would take for something else."""
    name = "gust: m/s"
    times = pd.date_range("2021-01-01", periods=600, freq="h")
    frame = pd.DataFrame({"load": mixed(np.tile(LEVEL, 2)[:600], -200), name: showers().to_numpy()})
    sentinel, empty = find_doubts([frame.set_axis(times)], HOUR, "load")
    assert keys_of(sentinel) == {"missing": {"load": [-200]}}
    assert keys_of(empty) == {"fill": {name: 0}}
    assert yaml_text(name) in empty


def test_a_spike_hides_nothing_and_rare_nines_are_seen() -> None:
    spiked = mixed(LEVEL, -999)
    spiked[0] = -1500
    assert find_sentinels(spiked) == {-999: 5}
    assert find_sentinels(mixed(LEVEL, -999, times=1)) == {-999: 1}
    assert not find_sentinels(mixed(LEVEL, 5000, times=2)), "two spikes of one size are no nines"


def test_measurement_is_no_sentinel() -> None:
    assert [number for number in (-200, 9999, 1e20, -1) if not is_sentinel(number)] == []
    assert [number for number in (0, 500, 3000.0) if is_sentinel(number)] == []


def test_many_columns_are_told_of_at_once() -> None:
    times = pd.date_range("2021-01-01", periods=500, freq="h")
    frame = pd.DataFrame({f"c{at}": mixed(LEVEL, -200) for at in range(40)}, index=times)
    (sentence,) = find_doubts([frame], HOUR, "c0")
    assert sentence.startswith("each of 40 columns (c0, c1, c2, c3, c4, ...) is -200 in 5 rows")
    assert keys_of(sentence) == {"missing": {name: [-200] for name in frame}}
