import numpy as np
import pandas as pd

from lstm_model.data.neighbours import mean_of_others
from lstm_model.data.series_index import SeriesIndex

DAYS = pd.date_range("2021-01-01", periods=4)
NAN = np.nan


def test_the_mean_of_the_others_by_hand() -> None:
    times = DAYS[[0, 1, 2, 3, 1, 2, 3, 0, 1]]
    index = SeriesIndex(("a", "b", "c"), (0, 4, 7, 9))
    target = np.array([1.0, 2, NAN, 4, 10, 20, NAN, NAN, 6])
    # On day 1 c has no value; on day 4 neither b nor c has one.
    expected = [NAN, (10 + 6) / 2, 20, NAN, (2 + 6) / 2, NAN, 4, 1, (2 + 10) / 2]
    np.testing.assert_array_equal(mean_of_others(target, times, index), expected)


def test_as_a_naive_mean() -> None:
    random = np.random.default_rng(0)
    table = random.normal(size=(5, 40))
    table[random.random(table.shape) < 0.3] = NAN
    times = pd.date_range("2021-01-01", periods=40, freq="h")
    index = SeriesIndex(tuple("abcde"), tuple(range(0, 201, 40)))
    repeated = pd.DatetimeIndex(np.tile(times.to_numpy(), 5))
    mean = mean_of_others(table.ravel(), repeated, index).reshape(5, 40)
    for number in range(5):
        others = pd.DataFrame(np.delete(table, number, axis=0)).mean()
        np.testing.assert_allclose(mean[number], others, rtol=1e-12)


def test_a_large_value_of_its_own_is_nothing_to_a_row() -> None:
    """The sum of all less its own would have lost the others' digits."""
    index = SeriesIndex(("a", "b", "c"), (0, 1, 2, 3))
    mean = mean_of_others(np.array([1e20, 0.1, 0.3]), DAYS[[0, 0, 0]], index)
    assert mean[0] == 0.2


def test_one_series_has_none() -> None:
    assert np.isnan(mean_of_others(np.ones(4), DAYS, SeriesIndex.of_one(4))).all()
