"""The simulated Beijing: its form, its statistics, and that its weather causes its PM2.5.

Bands are written around the real file's figures over 2010-2013, given beside them.
"""

import numpy as np
import pandas as pd
import pytest

from lstm_model.data.simulation import simulate

SEEDS = (0, 1, 2, 3)


@pytest.fixture(scope="module", params=SEEDS)
def air(request: pytest.FixtureRequest) -> pd.DataFrame:
    return simulate(request.param)


@pytest.fixture(scope="module")
def five_years() -> pd.DataFrame:
    return simulate()


def test_a_seed_gives_one_table(five_years: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(five_years, simulate(0))


def test_seeds_differ_in_the_air_and_not_in_the_clock(five_years: pd.DataFrame) -> None:
    other = simulate(1)
    for column in ("pm2.5", "DEWP", "TEMP", "PRES", "cbwd", "Iws", "Is", "Ir"):
        assert not five_years[column].equals(other[column]), column
    for column in ("No", "year", "month", "day", "hour"):
        assert five_years[column].equals(other[column]), column


def test_numpys_global_state_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("seed", "normal", "standard_normal", "standard_t", "random", "rand", "randn"):
        monkeypatch.setattr(np.random, name, None)
    simulate(years=1)


def test_columns_and_dtypes_are_the_real_files(five_years: pd.DataFrame) -> None:
    real = {
        "No": "int64",
        "year": "int64",
        "month": "int64",
        "day": "int64",
        "hour": "int64",
        "pm2.5": "float64",
        "DEWP": "int64",
        "TEMP": "float64",
        "PRES": "float64",
        "cbwd": str(pd.Series(["NW"]).dtype),  # str or object, by pandas's version
        "Iws": "float64",
        "Is": "int64",
        "Ir": "int64",
    }
    assert list(five_years.columns) == list(real)
    assert five_years.dtypes.astype(str).to_dict() == real


@pytest.mark.parametrize(("years", "rows"), [(1, 8760), (3, 26304), (5, 43824)])
def test_rows_count_the_leap_day(years: int, rows: int) -> None:
    assert len(simulate(years=years)) == rows


@pytest.mark.parametrize("years", [0, -1])
def test_years_below_one_are_refused(years: int) -> None:
    with pytest.raises(ValueError, match=rf"`years >= 1` must hold, but got years={years}"):
        simulate(years=years)


def test_the_clock_is_regular(five_years: pd.DataFrame) -> None:
    clock = pd.to_datetime(five_years[["year", "month", "day", "hour"]])
    assert clock.iloc[0] == pd.Timestamp("2010-01-01 00:00")
    assert clock.iloc[-1] == pd.Timestamp("2014-12-31 23:00")
    assert (clock.diff().dropna() == pd.Timedelta(hours=1)).all()
    assert five_years["No"].tolist() == list(range(1, 43825))


def test_values_are_whole_and_in_range(air: pd.DataFrame) -> None:
    for column in ("pm2.5", "DEWP", "TEMP", "PRES"):
        seen = air[column].dropna()
        assert (seen == seen.round()).all(), column
    assert air.drop(columns="pm2.5").notna().all(axis=None)
    assert air["pm2.5"].min() >= 0
    assert air["pm2.5"].max() <= 994
    assert (air["DEWP"] <= air["TEMP"]).all()  # air holds no more water than that
    assert set(air["cbwd"]) == {"NE", "NW", "SE", "cv"}
    assert np.allclose(air["Iws"], air["Iws"].round(2), rtol=0, atol=1e-9)


# What the real file shows over 2010-2013 and how far a simulated table may be from it. Seeds differ
# by a tenth, as real years do by more.
BANDS = {
    "mean": (98.8, 12.0),
    "sd": (91.7, 13.0),
    "skew": (1.81, 0.5),
    "autocorrelation at 1 h": (0.963, 0.02),
    "autocorrelation at 24 h": (0.387, 0.10),
    "missing, %": (4.7, 1.0),  # the mean of the five years, 0.9 to 8.3
    "gaps a year": (42.8, 3.0),
    "persistence RMSE at 1 h": (24.9, 3.0),
    "persistence RMSE at 6 h": (69.6, 9.0),
    "persistence RMSE at 24 h": (110.0, 17.0),
    "NE, %": (11.4, 4.0),
    "NW, %": (33.4, 5.0),
    "SE, %": (34.4, 5.0),
    "cv, %": (20.8, 4.0),
    "rain, %": (4.3, 1.5),
    "snow, %": (0.94, 0.7),
    "Iws, mean": (25.0, 8.0),
    "TEMP, mean": (12.1, 1.0),
    "TEMP, sd": (12.3, 1.5),
    "DEWP, mean": (1.8, 1.5),
    "DEWP, sd": (14.5, 1.5),
    "PRES, mean": (1016.4, 1.5),
    "PRES, sd": (10.4, 1.0),
}


def _figures(air: pd.DataFrame) -> dict[str, float]:
    pm25 = air["pm2.5"]
    missing = pm25.isna()
    last = pm25.ffill()
    figures = {
        "mean": pm25.mean(),
        "sd": pm25.std(),
        "skew": pm25.skew(),
        "autocorrelation at 1 h": pm25.autocorr(1),
        "autocorrelation at 24 h": pm25.autocorr(24),
        "missing, %": 100 * missing.mean(),
        "gaps a year": (missing & ~missing.shift(fill_value=False)).sum() / air["year"].nunique(),
        **{
            f"persistence RMSE at {lead} h": ((pm25 - last.shift(lead)) ** 2).mean() ** 0.5
            for lead in (1, 6, 24)
        },
        **{f"{name}, %": 100 * (air["cbwd"] == name).mean() for name in ("NE", "NW", "SE", "cv")},
        "rain, %": 100 * (air["Ir"] > 0).mean(),
        "snow, %": 100 * (air["Is"] > 0).mean(),
        "Iws, mean": air["Iws"].mean(),
    }
    for column in ("TEMP", "DEWP", "PRES"):
        figures |= {f"{column}, mean": air[column].mean(), f"{column}, sd": air[column].std()}
    return {name: float(value) for name, value in figures.items()}


def test_statistics_are_near_the_real_files(air: pd.DataFrame) -> None:
    figures = _figures(air)
    assert figures.keys() == BANDS.keys()
    outside = {
        name: (figures[name], middle, width)
        for name, (middle, width) in BANDS.items()
        if abs(figures[name] - middle) > width
    }
    assert not outside


def test_gaps_are_like_the_real_ones(air: pd.DataFrame) -> None:
    missing = air["pm2.5"].isna()
    lengths = missing.groupby((missing != missing.shift()).cumsum()).sum()
    lengths = lengths[lengths > 0]
    assert missing[:24].all()  # as in the real file
    assert 0.4 < (lengths == 1).mean() < 0.6  # real: 0.51
    assert 48 < lengths.max() <= 2 * 155  # real: 155; two gaps may meet


def test_seasons_of_weather_are_beijings(air: pd.DataFrame) -> None:
    january, july = air[air["month"] == 1], air[air["month"] == 7]
    assert -8 < january["TEMP"].mean() < -1  # real: -5.5
    assert 24 < july["TEMP"].mean() < 30  # real: 27.0
    assert july["DEWP"].mean() - january["DEWP"].mean() > 30  # real: 37
    assert january["PRES"].mean() - july["PRES"].mean() > 20  # real: 27
    assert (january["cbwd"] == "NW").mean() > 0.40  # real: 0.53
    assert (july["cbwd"] == "NW").mean() < 0.25  # real: 0.19
    assert (july["Ir"] > 0).mean() > 3 * (january["Ir"] > 0).mean()  # real: 0.113 and 0.002
    assert (july["Is"] > 0).sum() == 0
    heating = air["month"].isin([11, 12, 1, 2])
    assert air["pm2.5"][heating].mean() > air["pm2.5"][~heating].mean()  # real: 109 and 94
    assert air["pm2.5"][heating].std() > air["pm2.5"][~heating].std()  # real: 114 and 77


def test_days_run_as_in_beijing(air: pd.DataFrame) -> None:
    hourly = air.groupby("hour")[["pm2.5", "TEMP"]].mean()
    assert 10 < hourly["pm2.5"][0] - hourly["pm2.5"][15] < 45  # real: 28
    assert 6 < hourly["TEMP"][15] - hourly["TEMP"][6] < 12  # real: 9.3
    southerly = (air["cbwd"] == "SE").groupby(air["hour"]).mean()
    assert southerly[17] > 2 * southerly[6]  # real: 0.57 and 0.16


def test_northerly_wind_clears_the_air(air: pd.DataFrame) -> None:
    logs = np.log1p(air["pm2.5"])
    change = logs.shift(-6) - logs
    dirty = air["pm2.5"] > 75  # clean air can't be cleared; levels alike, only the wind differs
    northerly = change[dirty & (air["cbwd"] == "NW")].mean()
    southerly = change[dirty & (air["cbwd"] == "SE")].mean()
    assert northerly < southerly - 0.3  # real: -0.60 and -0.04
    assert northerly < -0.4


def test_rain_washes_out(air: pd.DataFrame) -> None:
    change = np.log1p(air["pm2.5"]).diff()
    moist = (air["TEMP"] - air["DEWP"] < 8) & (air["pm2.5"].shift() > 75)
    assert (
        change[moist & (air["Ir"] > 0)].mean() < change[moist & (air["Ir"] == 0)].mean() - 0.06
    )  # real: -0.126 and -0.006


def test_wind_sums_restart_where_the_direction_changes(air: pd.DataFrame) -> None:
    same = air["cbwd"] == air["cbwd"].shift()
    grown = air["Iws"].diff()
    assert (grown[same] > 0).all()
    assert air["Iws"][~same].max() <= 25  # one hour's wind; real: at most 17.88
    assert air["Iws"][~same].min() >= 0.45
    hourly = grown.where(same, air["Iws"])
    assert hourly.round(2).nunique() < 30  # the real file's coarse steps: 20


@pytest.mark.parametrize("column", ["Is", "Ir"])
def test_snow_and_rain_count_their_hours(air: pd.DataFrame, column: str) -> None:
    hours, before = air[column], air[column].shift(fill_value=0)
    assert ((hours == 0) | (hours == before + 1)).all()
    assert hours.max() >= 3
