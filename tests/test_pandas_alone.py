"""What a comparison prints and writes, worked out anew with pandas and numpy alone.

Nothing here imports the project: the table is read, shifted and averaged by pandas, and the
intervals are drawn from the numbers that lie in model.json.
"""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.field import field_table

pytestmark = pytest.mark.slow


def close(value: Any) -> Any:
    """To a millionth."""
    return pytest.approx(value, rel=1e-6, abs=1e-9)


@dataclass(frozen=True)
class Case:
    """A table, how pandas reads it, and the seasons of its step in rows."""

    name: str
    target: str
    clock: str
    horizon: int
    seasons: dict[str, int]
    missing: tuple[int, ...] = ()


HOURLY = {"same_hour_yesterday": 24, "same_hour_last_week": 168}
DAILY = {"same_day_last_week": 7, "same_day_last_year": 365}
CASES = [
    Case("plain.csv", "load", "time", 3, HOURLY),
    Case("sentinel.csv", "load", "time", 2, HOURLY, missing=(-200,)),
    Case("intermittent.csv", "sales", "date", 1, DAILY),
    Case("rain_empty.csv", "traffic", "time", 1, {**HOURLY, "same_hour_last_year": 8760}),
]


# Two kinds in each run, the others at night: a comparison is a minute.
NIGHTLY = {"sentinel.csv", "rain_empty.csv"}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(case, marks=pytest.mark.nightly if case.name in NIGHTLY else ())
        for case in CASES
    ],
    ids=[case.name for case in CASES],
)
def compared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Case, Path, str]:
    """The comparison's folder, and what the command printed."""
    case: Case = request.param
    home = tmp_path_factory.mktemp("home")

    def command(module: str, *arguments: object) -> str:
        done = subprocess.run(
            [sys.executable, "-m", module, *map(str, arguments)],
            capture_output=True, text=True, cwd=home, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    asked = ("--target", case.target, "--horizon", case.horizon, "--output", "one.yaml")
    command("tuning.new_space", field_table(case.name), *asked)
    budget = ("--trials", 1, "--max-epochs", 4, "--finalists", 1, "--seeds", 2)
    said = command("tuning.compare", "--space", "one.yaml", "--name", "all", *budget)
    return case, home / "runs" / "all", said


def target_of(case: Case) -> "pd.Series[float]":
    frame = pd.read_csv(field_table(case.name), index_col=case.clock, parse_dates=True)
    return frame[case.target].astype(float).mask(frame[case.target].isin(case.missing))


def errors(forecast: "pd.Series[float]", observed: "pd.Series[float]") -> dict[str, float]:
    error = (forecast - observed).dropna()
    return {"rmse": float(np.sqrt((error**2).mean())), "mae": float(error.abs().mean())}


def reference(case: Case, name: str, y: "pd.Series[float]", lead: int, split: Any) -> Any:
    """A baseline's forecasts by the time that is forecast."""
    last = y.ffill()
    if name == "training_mean":
        return pd.Series(y[y.index < split].mean(), y.index)
    season = case.seasons.get(name, 0)
    rows = season * -(-lead // season) if season else lead  # persistence: from the origin
    return last.shift(rows)


def test_the_test_s_baselines_rows_and_errors(compared: tuple[Case, Path, str]) -> None:
    case, folder, _ = compared
    written = json.loads((folder / "comparison.json").read_text())
    y, split = target_of(case), pd.Timestamp(written["test_from"])
    test = y[y.index >= split]
    forecasts = pd.read_csv(folder / "forecasts.csv", parse_dates=["time"])
    without = {"one", "ridge_one", "lightgbm_one"}
    assert set(written["models"]) - without == {"persistence", "training_mean", *case.seasons}
    for lead in range(1, case.horizon + 1):
        assert written["rows"][str(lead)] == test.notna().sum()
        persistence = errors(reference(case, "persistence", y, lead, split)[test.index], test)
        at = forecasts[forecasts["lead_time"] == lead].set_index("time")
        assert len(at) == test.notna().sum()
        pd.testing.assert_series_equal(at["observed"], test.dropna(), check_names=False)
        for name, model in written["models"].items():
            expected = errors(at[name], test)
            if name not in without:
                by_hand = reference(case, name, y, lead, split)[test.index]
                np.testing.assert_allclose(at[name], by_hand[at.index], rtol=1e-9, atol=1e-9)
                assert errors(by_hand, test) == close(expected)
            for metric, value in expected.items():
                assert model[metric][str(lead)] == close(value)
            skill = 1 - expected["rmse"] / persistence["rmse"]
            assert model["skill"][str(lead)] == close(skill)
    one = written["models"]["one"]
    for lead_text, name in one["best_baseline"].items():
        beyond = 1 - one["rmse"][lead_text] / written["models"][name]["rmse"][lead_text]
        assert one["skill_best_baseline"][lead_text] == close(beyond)


def test_the_study_s_baselines(compared: tuple[Case, Path, str]) -> None:
    case, folder, _ = compared
    study = folder.parent / "all-one"
    summary = json.loads((study / "summary.json").read_text())
    settings = json.loads((study / "study.json").read_text())["data"]["settings"]
    start, end = (pd.Timestamp(settings[key]) for key in ("validation_from", "test_from"))
    y = target_of(case)
    y = y[y.index < end]  # no study reads the rest
    validation = y[y.index >= start]
    by_hand = {}
    for name in ("persistence", "training_mean", *case.seasons):
        found = [
            errors(reference(case, name, y, lead, start)[validation.index], validation)["rmse"]
            for lead in range(1, case.horizon + 1)
        ]
        by_hand[name] = float(np.mean(found))
        assert summary["baselines"][f"{name}_rmse"] == close(by_hand[name])
    ridge = summary["baselines"]["ridge_rmse"]
    best = min({**by_hand, "ridge": ridge}.items(), key=lambda pair: pair[1])
    assert summary["baselines"]["best_baseline"] == best[0]
    told = summary["best"]["validation"]
    if case.horizon == 1:
        assert told["skill_best_baseline"] == close(1 - told["rmse"] / best[1])


def test_the_coverage_of_the_bounds(compared: tuple[Case, Path, str]) -> None:
    case, folder, _ = compared
    written = json.loads((folder / "comparison.json").read_text())
    model = json.loads((folder / "models" / "one" / "model.json").read_text())
    intervals = model["intervals"]
    forecasts = pd.read_csv(folder / "forecasts.csv")
    y = target_of(case)
    never_negative = bool((y[y.index < pd.Timestamp(written["test_from"])].dropna() >= 0).all())
    assert model["never_negative"] == never_negative
    found = {}
    for lead in range(1, case.horizon + 1):
        at = forecasts[forecasts["lead_time"] == lead]
        center, observed = at["one"].to_numpy(), at["observed"].to_numpy()
        below, above = (
            np.interp(center, intervals["levels"][lead - 1], side[lead - 1])
            for side in intervals["spreads"]
        )
        for claim, quantiles in intervals["quantiles"].items():
            low, high = quantiles[lead - 1]
            lower = center + low * np.where(low < 0, below, above)
            upper = center + high * np.where(high < 0, below, above)
            if never_negative:
                lower = np.maximum(lower, 0)
            inside = (lower <= observed) & (observed <= upper)
            found[float(claim), lead] = inside.mean(), (upper - lower).mean()
    for one in written["coverage"]:
        if one["forecast_level"] == "all":
            share, width = found.pop((one["claim"], one["lead_time"]))
            assert one["covered"] == close(share)
            assert one["mean_width"] == close(width)
            assert one["rows"] == written["rows"][str(one["lead_time"])]
    assert not found


def test_what_is_printed_is_what_is_written(compared: tuple[Case, Path, str]) -> None:
    """With one lead time the table has RMSE, MAE and skill; each is the number, rounded."""
    case, folder, said = compared
    written = json.loads((folder / "comparison.json").read_text())
    assert written["verdict"] in " ".join(said.split())
    if case.horizon > 1:
        return
    table = said[said.rindex("the test hours") :]
    for name, model in written["models"].items():
        title = name.replace("_", " ")
        row = re.search(rf"^│ {title}[^│]*│ *([\d.,]+) │ *([\d.,]+) │ *(-?[\d.]+)% │", table, re.M)
        assert row, title
        for text, metric in zip(row.groups(), ("rmse", "mae", "skill"), strict=True):
            value = model[metric]["1"] * (100 if metric == "skill" else 1)
            decimals = len(text.partition(".")[2])
            assert float(text.replace(",", "")) == pytest.approx(value, abs=0.51 * 10**-decimals)
