"""Which rows a report's episode shows."""

import numpy as np
import pandas as pd
import pytest

from tuning.reporting.comparison_figures import pick_episode


@pytest.mark.parametrize(
    ("freq", "rows", "span"),
    [("h", 169, "week"), ("6h", 29, "week"), ("D", 25, "25 rows"), ("MS", 25, "25 rows")],
)
def test_episode_is_a_week_or_some_rows(freq: str, rows: int, span: str) -> None:
    times = pd.date_range("2001-01-01", periods=400, freq=freq)
    observed = np.zeros(400)
    observed[200] = 1.0
    near, told = pick_episode(times, observed)
    assert (int(near.sum()), told) == (rows, span)
    assert near[200 - rows // 2 : 200 + rows // 2 + 1].all()


def test_episode_at_the_end_is_shorter() -> None:
    times = pd.date_range("2001-01-01", periods=30, freq="MS")
    near, told = pick_episode(times, np.arange(30.0))
    assert (np.flatnonzero(near).tolist(), told) == ([*range(17, 30)], "13 rows")
