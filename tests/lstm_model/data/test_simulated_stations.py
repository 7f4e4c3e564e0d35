"""The simulated stations: their form, their statistics, and that the wind carries their air.

Bands are written around the real stations' figures from 2013-03-01 to 2015-02-28, given beside
them; no later hour is read.
"""

import hashlib
import io
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lstm_model.arrays import Float64Array
from lstm_model.data.simulated_stations import STATIONS, WINDS, simulate_stations
from lstm_model.data.simulation import simulate

POLLUTANTS = ("PM2.5", "PM10", "SO2", "NO2", "CO", "O3")
WEATHER = ("TEMP", "PRES", "DEWP", "RAIN", "WSPM")
MEASURED = 17520  # h of each station before 2015-03-01
REAL = Path(os.environ.get("LSTM_TUNING_DATA", "")) / "stations"
REAL_SAMPLE = """\
"No","year","month","day","hour","PM2.5","PM10","SO2","NO2","CO","O3","TEMP","PRES","DEWP","RAIN","wd","WSPM","station"
1,2013,3,1,0,3,6,13,7,300,85,-2.3,1020.8,-19.7,0,"E",0.5,"Changping"
2,2013,3,1,1,NA,NA,NA,NA,NA,NA,NA,NA,NA,NA,NA,NA,"Changping"
"""

# What the real stations show and how far simulated ones may be from it
BANDS = {
    "PM2.5: mean": (81.6, 13.0),
    "PM2.5: sd": (77.4, 13.0),
    "PM2.5: skew": (1.64, 0.9),
    "PM2.5: hourly change, sd": (20.6, 4.0),
    "PM2.5: autocorrelation at 1 h": (0.964, 0.012),
    "PM2.5: autocorrelation at 6 h": (0.756, 0.08),
    "PM2.5: autocorrelation at 24 h": (0.370, 0.08),
    "PM2.5: correlation of two stations, mean": (0.864, 0.03),
    "PM2.5: the same, least": (0.798, 0.08),
    "PM2.5: the same, largest": (0.960, 0.03),
    "PM2.5: changes of two stations, correlation": (0.229, 0.09),
    "PM2.5: one station's change, another's 1 h later": (0.158, 0.07),
    "PM2.5: one station's change, another's 2 h later": (0.089, 0.05),
    "southerly wind: South's change, North's 2 h later": (0.121, 0.3),
    "southerly wind: North's change, South's 2 h later": (0.0, 0.16),
    "northerly wind: North's change, South's 2 h later": (0.292, 0.25),
    "northerly wind: South's change, North's 2 h later": (-0.002, 0.12),
    "PM10: mean": (106.7, 12.0),
    "SO2: mean": (19.9, 4.0),
    "NO2: mean": (49.5, 6.0),
    "CO: mean": (1226.0, 200.0),
    "O3: mean": (58.0, 8.0),
    "PM10: correlation with PM2.5": (0.862, 0.06),
    "SO2: correlation with PM2.5": (0.500, 0.08),
    "NO2: correlation with PM2.5": (0.627, 0.08),
    "CO: correlation with PM2.5": (0.773, 0.09),
    "O3: correlation with PM2.5": (-0.124, 0.22),
    "O3: correlation with NO2": (-0.460, 0.08),
    "O3: mean at 15:00 less at 06:00": (72.9, 15.0),
    "TEMP: correlation of two stations": (0.992, 0.005),
    "DEWP: correlation of two stations": (0.990, 0.005),
    "PRES: correlation of two stations": (0.974, 0.025),
    "WSPM: correlation of two stations": (0.630, 0.08),
    "TEMP: mean": (13.5, 1.0),
    "DEWP: mean": (2.26, 1.5),
    "PRES: mean": (1009.8, 1.5),
    "WSPM: mean": (1.65, 0.25),
    "RAIN: share of hours, %": (3.30, 1.6),
    "PM2.5: missing, %": (2.20, 0.6),
    "PM10: missing, %": (1.63, 0.6),
    "SO2: missing, %": (2.67, 0.6),
    "NO2: missing, %": (3.43, 0.8),
    "CO: missing, %": (6.88, 1.2),
    "O3: missing, %": (3.11, 0.8),
    "TEMP: missing, %": (0.12, 0.03),
    "wd: missing, %": (0.17, 0.08),
    "PM2.5: gaps a year": (52.4, 9.0),
    "PM2.5: all stations missing, %": (0.154, 0.16),
    "least squares: gain over persistence, %": (1.93, 3.0),
    "least squares: the others' mean adds, points": (6.30, 2.5),
}


def figures(air: pd.DataFrame, south: str = "South", north: str = "North") -> dict[str, float]:
    """The figures of `BANDS`, of the stations' first two years."""
    air = air.groupby("station").head(MEASURED)
    air = air.assign(time=pd.to_datetime(air[["year", "month", "day", "hour"]]))
    wide = {name: _wide(air, name) for name in (*POLLUTANTS, *WEATHER)}
    pm25 = wide["PM2.5"]
    change = pm25.diff()
    pairs = pm25.corr().to_numpy()[np.triu_indices(len(STATIONS), 1)]
    missing = pm25.isna()
    by_hour = air.groupby("hour")["O3"].mean()
    own, both = least_squares_gains(pm25)
    outcome = {
        "PM2.5: sd": pm25.std().mean(),
        "PM2.5: skew": pm25.skew().mean(),
        "PM2.5: hourly change, sd": change.std().mean(),
        **{
            f"PM2.5: autocorrelation at {lag} h": np.mean([pm25[s].autocorr(lag) for s in pm25])
            for lag in (1, 6, 24)
        },
        "PM2.5: correlation of two stations, mean": pairs.mean(),
        "PM2.5: the same, least": pairs.min(),
        "PM2.5: the same, largest": pairs.max(),
        "PM2.5: changes of two stations, correlation": _between(change, 0),
        "PM2.5: one station's change, another's 1 h later": _between(change, 1),
        "PM2.5: one station's change, another's 2 h later": _between(change, 2),
        **{f"{name}: mean": wide[name].mean().mean() for name in (*POLLUTANTS, *WEATHER)},
        **{f"{name}: correlation with PM2.5": air[name].corr(air["PM2.5"]) for name in POLLUTANTS},
        "O3: correlation with NO2": air["O3"].corr(air["NO2"]),
        "O3: mean at 15:00 less at 06:00": by_hour[15] - by_hour[6],
        **{f"{name}: correlation of two stations": _between(wide[name], 0) for name in WEATHER},
        "RAIN: share of hours, %": 100 * (air["RAIN"] > 0).mean(),
        **{
            f"{name}: missing, %": 100 * air[name].isna().mean()
            for name in (*POLLUTANTS, "TEMP", "wd")
        },
        "PM2.5: gaps a year": (missing & ~missing.shift(fill_value=False)).sum().mean() / 2,
        "PM2.5: all stations missing, %": 100 * missing.all(axis=1).mean(),
        "least squares: gain over persistence, %": 100 * own,
        "least squares: the others' mean adds, points": 100 * (both - own),
    }
    northerly = _northerly(air)
    for wind, there in (("southerly", northerly < -0.7), ("northerly", northerly > 0.7)):
        for first, then, names in ((south, north, "South North"), (north, south, "North South")):
            one, other = names.split()
            outcome[f"{wind} wind: {one}'s change, {other}'s 2 h later"] = (
                change[first].where(there).corr(change[then].shift(-2))
            )
    return {name: float(outcome[name]) for name in BANDS}


def _wide(air: pd.DataFrame, column: str) -> pd.DataFrame:
    return air.pivot(index="time", columns="station", values=column)


def _between(wide: pd.DataFrame, lag: int) -> float:
    """The mean correlation of one station with another, `lag` hours later."""
    later = wide.shift(-lag).add_suffix(" later")
    square = wide.join(later).corr().loc[list(wide), list(later)].to_numpy()
    return float(square[~np.eye(len(square), dtype=np.bool_)].mean())


def _northerly(air: pd.DataFrame) -> "pd.Series[float]":
    """The stations' mean wind from the north over three hours (m/s)."""
    angle = air["wd"].map({name: np.pi * number / 8 for number, name in enumerate(WINDS)})
    north = (np.cos(angle) * air["WSPM"]).groupby(air["time"]).mean()
    mean: pd.Series[float] = north.rolling(3).mean()
    return mean


def least_squares_gains(pm25: pd.DataFrame) -> tuple[float, float]:
    """What least squares gain over persistence's RMSE in the second year, one hour ahead.

    From a station's last six hours; and from those and the others' mean of the same hours.
    """
    seen = pm25.ffill().bfill()
    gains: list[list[float]] = [[], []]
    for station in pm25:
        target = (pm25[station].shift(-1) - seen[station]).to_numpy()
        others = seen.drop(columns=station).mean(axis=1)
        scored = ~np.isnan(target)
        scored[:6] = False
        first = np.arange(len(target)) < MEASURED // 2
        for kept, columns in zip(gains, ([seen[station]], [seen[station], others]), strict=True):
            inputs = _lags(columns)
            learn, score = scored & first, scored & ~first
            weights = np.linalg.lstsq(inputs[learn], target[learn], rcond=None)[0]
            error = target[score] - inputs[score] @ weights
            kept.append(1 - float(np.sqrt((error**2).mean() / (target[score] ** 2).mean())))
    return float(np.mean(gains[0])), float(np.mean(gains[1]))


def _lags(columns: list[pd.Series]) -> Float64Array:
    lags = [column.shift(lag).to_numpy() for column in columns for lag in range(6)]
    return np.column_stack([np.ones(len(columns[0])), *lags])


@pytest.fixture(scope="module")
def four_years() -> pd.DataFrame:
    return simulate_stations()


@pytest.fixture(
    scope="module", params=(0, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in (1, 2)))
)
def measured(request: pytest.FixtureRequest) -> dict[str, float]:
    return figures(simulate_stations(request.param))


def test_a_seed_gives_one_table(four_years: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(four_years, simulate_stations(0), check_exact=True)


def test_seeds_differ_in_the_air_and_not_in_the_clock() -> None:
    zero, one = simulate_stations(0, years=1), simulate_stations(1, years=1)
    for column in (*POLLUTANTS, *WEATHER, "wd"):
        assert not zero[column].equals(one[column]), column
    for column in ("No", "year", "month", "day", "hour", "station"):
        assert zero[column].equals(one[column]), column


def test_numpys_global_state_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("seed", "normal", "standard_normal", "random", "rand", "randn", "uniform"):
        monkeypatch.setattr(np.random, name, None)
    simulate_stations(years=1)


def test_columns_and_dtypes_are_the_real_files(four_years: pd.DataFrame) -> None:
    real = pd.read_csv(io.StringIO(REAL_SAMPLE))
    assert list(four_years.columns) == list(real.columns)
    assert four_years.dtypes.astype(str).to_dict() == real.dtypes.astype(str).to_dict()


def test_stations_follow_one_another_on_one_clock(four_years: pd.DataFrame) -> None:
    assert four_years["station"].drop_duplicates().tolist() == [s.name for s in STATIONS]
    assert (four_years["station"] != four_years["station"].shift()).sum() == 8
    for _, air in four_years.groupby("station"):
        clock = pd.to_datetime(air[["year", "month", "day", "hour"]])
        assert clock.iloc[0] == pd.Timestamp("2013-03-01 00:00")
        assert clock.iloc[-1] == pd.Timestamp("2017-02-28 23:00")
        assert (clock.diff().dropna() == pd.Timedelta(hours=1)).all()
        assert air["No"].tolist() == list(range(1, 35065))  # as in the real files


@pytest.mark.parametrize("years", [0, -1])
def test_years_below_one_are_refused(years: int) -> None:
    with pytest.raises(ValueError, match=rf"`years >= 1` must hold, but got years={years}"):
        simulate_stations(years=years)


def test_values_are_in_range(four_years: pd.DataFrame) -> None:
    for column in POLLUTANTS:
        seen = four_years[column].dropna()
        assert (seen == seen.round()).all(), column
        assert seen.between(1, 10000).all(), column
        if column != "CO":  # few reach the end of a monitor's range
            assert (seen == seen.max()).sum() < 10, column
    assert (four_years["CO"].dropna() % 100 == 0).all()
    assert set(four_years["wd"].dropna()) == set(WINDS)
    assert four_years["wd"][four_years["WSPM"] == 0].isna().all()  # calm air has no direction
    assert (four_years["DEWP"].dropna() <= four_years["TEMP"].dropna()).all()
    both = four_years[["PM2.5", "PM10"]].dropna()
    assert (both["PM10"] >= both["PM2.5"]).all()  # fine dust is a part of all dust


def test_statistics_are_near_the_real_stations(measured: dict[str, float]) -> None:
    outside = {
        name: (measured[name], middle, width)
        for name, (middle, width) in BANDS.items()
        if not abs(measured[name] - middle) <= width
    }
    assert not outside


@pytest.mark.skipif(not REAL.is_dir(), reason="LSTM_TUNING_DATA names no folder with stations/")
def test_the_real_stations_figures_are_as_written() -> None:
    files = sorted(REAL.glob("*.csv"))
    air = pd.concat([pd.read_csv(file, nrows=MEASURED) for file in files], ignore_index=True)
    real = figures(air, south="Tiantan", north="Changping")
    assert real == {
        name: pytest.approx(middle, rel=0.01, abs=0.06) for name, (middle, _) in BANDS.items()
    }


def test_the_upwind_station_leads(measured: dict[str, float]) -> None:
    for wind, upwind, downwind in (
        ("southerly", "South", "North"),
        ("northerly", "North", "South"),
    ):
        with_it = measured[f"{wind} wind: {upwind}'s change, {downwind}'s 2 h later"]
        against_it = measured[f"{wind} wind: {downwind}'s change, {upwind}'s 2 h later"]
        assert with_it > against_it + 0.2, wind  # real: 0.16 and 0.30 more


def test_the_one_site_simulation_is_what_it_was() -> None:
    # Written before the stations came to share its parts
    numbers = simulate().select_dtypes("number").to_numpy(dtype=np.float64)
    assert hashlib.sha256(numbers.tobytes()).hexdigest() == (
        "e8474d63f9cd305f7134720c4eb7ba1836e37191d813258763a8dabcbc493635"
    )
