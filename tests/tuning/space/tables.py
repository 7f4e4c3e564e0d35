"""Tables to propose a space for."""

from typing import Any

import numpy as np
import pandas as pd


def table(rows: int, step: str = "30min", start: str = "2021-03-01", **columns: Any) -> str:
    """A CSV with the clock `at`, a noisy `load` and these columns."""
    rng = np.random.default_rng(0)
    frame = {
        "at": pd.date_range(start, periods=rows, freq=step),
        "load": rng.normal(400, 30, rows).round(1),
        **columns,
    }
    return str(pd.DataFrame(frame).to_csv(index=False))


def text_of(rows: int, **changes: str) -> str:
    """table() with some lines replaced, line_2 being the first row."""
    lines = table(rows).splitlines()
    for key, line in changes.items():
        lines[int(key.removeprefix("line_")) - 1] = line
    return "\n".join(lines)


def of_series(lengths: dict[str, int], step: str = "h", start: str = "2021-01-01") -> pd.DataFrame:
    """A table in long form: noisy `sales` of each `shop`, so many rows `at` a time."""
    rng = np.random.default_rng(1)
    parts = [
        pd.DataFrame(
            {
                "shop": shop,
                "at": pd.date_range(start, periods=rows, freq=step),
                "sales": rng.normal(400, 30, rows).round(1),
            }
        )
        for shop, rows in lengths.items()
    ]
    return pd.concat(parts, ignore_index=True)
