"""Eight simulated stations: hourly air that the wind carries from one to the next.

The weather and the box of `simulation.py` make the region's air. The wind brings it to a station
sooner or later than to the middle of the map; and it drives plumes, a pattern that moves over the
map, so that a station shows what one upwind of it showed some hours ago. `docs/simulation.md`
compares the outcome with the real stations and says what it does not reproduce.

"Measured" below means read off the real files' hours before 2015-03-01; "fitted" means chosen so
that the statistics of simulated and real stations over those hours agree.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lstm_model.arrays import Float64Array, Mask
from lstm_model.data.simulation import (
    COLDEST_DAY,
    HOURS_PER_YEAR,
    SPIN_UP,
    WARMEST_HOUR,
    Weather,
    cosine,
    decaying_sum,
    draw_gaps,
    fill_box,
    red_noise,
    rest,
    simulate_weather,
)


class Station(NamedTuple):
    """A place on the map and what is peculiar to its air."""

    name: str
    east: float  # km from the middle of the map
    north: float
    dirt: float  # its share of the box's PM2.5
    traffic: float  # its NO2 as a share of the mean
    pressure: float  # hPa above that of the one-site simulation: its height


# Four in the town, four north of it, about as far from one another as the real ones
STATIONS = (
    Station("Centre", 0, 0, 0.90, 1.10, -5.7),
    Station("East", 11, 1, 0.94, 1.10, -4.3),
    Station("Hills", 24, 44, 0.78, 0.70, -9.2),
    Station("North", -9, 32, 0.82, 0.82, -8.9),
    Station("NorthEast", 26, 22, 0.86, 0.82, -3.9),
    Station("NorthWest", -14, 40, 0.75, 0.60, -8.9),
    Station("South", 5, -6, 0.90, 1.05, -4.3),
    Station("West", -13, -2, 0.91, 1.10, -8.0),
)
FIRST_HOUR = "2013-03-01"  # as in the real files
CLOCK_START = "2013-01-01"  # from which the weather counts its hours
CLOCK_PARTS = ("year", "month", "day", "hour")

# How the region's air travels, fitted
CARRIED = 3.6  # km/h at 1 m/s of wind
ALOFT_SD, ALOFT_MEMORY = 1.6, 10.0  # m/s, h: wind that no station measures
STEERING_MEMORY = 5.0  # h of wind that decide where air comes from
SLOWEST = 8.0  # km/h; in slower wind the stations' air is alike rather than late
REGION_GUST_SD = 1.3  # as GUST_SD of the one-site simulation, whose gusts are local as well
PLUME_SIZES = (12.0, 35.0)  # km: of a quarter of town, of the town
PLUME_WAVES = 24  # of each size
PLUME_MEMORY = 16.0  # h until a plume has changed its form
PLUME_SD = (0.09, 0.28)  # share of the region's PM2.5, of each size
LOCAL_SD, LOCAL_MEMORY = 0.16, 4.0  # share, h: streets around the monitor
THINNEST = 0.1  # share that is always there
BACKGROUND = 4.0  # ug/m3 that no wind clears
MONITOR_SD = 2.5  # ug/m3
PM_RANGE, GAS_RANGE, CO_RANGE = (2, 999), (1, 650), (100, 10000)  # ug/m3; measured, rounded

# Other pollutants: levels, how they go with PM2.5, season, hour and noise; fitted
COARSE, COARSE_SD, COARSE_SPRING, SPRING_DAY = 14.0, 1.15, 0.35, 105
DUSTIEST = 2.7  # sd of the noise: dirtier air would be beyond the monitors
NOISE_SHARED = 0.75  # how far the stations' noises are one
GAS_MEMORY = 10.0  # h
TYPICAL_PM25 = 60.0  # ug/m3
SULPHUR, SULPHUR_POWER, SULPHUR_WINTER, SULPHUR_DAY, SULPHUR_SD = 12.5, 0.5, 1.05, 0.35, 0.55
NITROGEN, NITROGEN_POWER, NITROGEN_WINTER, NITROGEN_DAY, NITROGEN_SD = 48.0, 0.4, 0.24, 0.17, 0.4
CARBON_CLEAN, CARBON, CARBON_POWER, CARBON_WINTER, CARBON_SD = 250.0, 670.0, 0.8, 0.35, 0.42
OZONE, OZONE_WINTER, OZONE_DAY, OZONE_SD = 42.0, -0.6, 0.7, 0.3
OZONE_LOST = 0.012  # share per ug/m3 of NO2

# What a station's weather adds to the region's, fitted
WARMER = 1.3  # degC: these years against the one-site simulation's
TEMPERATURE_SD, DEW_POINT_SD, PRESSURE_SD, SITE_MEMORY = 1.0, 1.3, 0.7, 12.0
WIND_SD, WIND_MEMORY = 1.5, 3.0  # m/s, h
STREET_WIND = 0.42  # share of the one-site simulation's wind, which is the airport's
SHOWER_MEMORY, SHOWER_ABOVE = 3.0, -0.4  # h; where it rains in the region, not every station is wet
RAIN_LOG_MEAN, RAIN_LOG_SD = -1.3, 1.6  # of mm in an hour
EASTERN = ("N", "NNE", "NE", "ENE", "E", "ESE", "SE", "SSE")
WINDS = (*EASTERN, "S", "SSW", "SW", "WSW", "W", "WNW", "NW", "NNW")

# Gaps a year, fitted: of the network, of a station's six monitors, of one monitor, of its weather
NETWORK_GAPS, MONITORS_GAPS, WEATHER_GAPS = 4, 30, 10
MONITOR_GAPS = {"PM2.5": 18, "PM10": 8, "SO2": 26, "NO2": 48, "CO": 120, "O3": 46}
ONE_HOUR, GAP_LOG_MEAN, GAP_LOG_SD, LONGEST_GAP = 0.67, 1.5, 1.3, 208  # h


def simulate_stations(seed: int = 0, years: int = 4) -> pd.DataFrame:
    """Hourly air at eight stations for `years` years from 2013-03-01 00:00, one after the other.

    The columns and dtypes are those that `pandas.read_csv` gives for the real stations' files: No,
    year, month, day, hour, PM2.5, PM10, SO2, NO2, CO and O3 (ug/m3, NaN where missing), TEMP and
    DEWP (degC), PRES (hPa), RAIN (mm), wd (one of 16 winds), WSPM (m/s), station. Equal arguments
    give equal tables.

    Raises:
        ValueError: `years` is below 1.
    """
    if years < 1:
        raise ValueError(f"`years >= 1` must hold, but got years={years}")
    rng = np.random.default_rng(seed)
    first = pd.Timestamp(FIRST_HOUR)
    clock = pd.date_range(first, first + pd.DateOffset(years=years), freq="h")[:-1]
    rows = len(clock)
    offset = (first - pd.Timestamp(CLOCK_START)) // pd.Timedelta(hours=1)
    hours = np.arange(-SPIN_UP, rows, dtype=np.float64) + offset
    weather = simulate_weather(rng, hours)
    pm25 = _carry(rng, hours, weather)
    air = _pollutants(rng, hours, pm25)
    sites = _site_weather(rng, weather)
    network = _draw(rng, rows, NETWORK_GAPS * years)
    parts = {part: np.asarray(getattr(clock, part), dtype=np.int64) for part in CLOCK_PARTS}
    tables = []
    for number, station in enumerate(STATIONS):
        off = network | _draw(rng, rows, MONITORS_GAPS * years)
        cells: dict[str, NDArray[np.generic]] = {"No": np.arange(1, rows + 1), **parts}
        for name, values in air.items():
            missing = off | _draw(rng, rows, MONITOR_GAPS[name] * years)
            cells[name] = np.where(missing, np.nan, values[number, SPIN_UP:])
        missing = np.zeros(rows, dtype=np.bool_)
        missing[rng.choice(rows, WEATHER_GAPS * years, replace=False)] = True
        for name, values in sites.items():
            cells[name] = np.where(missing, np.nan, values[number, SPIN_UP:])
        table = pd.DataFrame(cells)
        turn = table["wd"].fillna(0).astype(int)
        # Calm air has no direction; a comparison with NaN is false
        table["wd"] = pd.Series(np.array(WINDS)[turn]).where(table["WSPM"] > 0)
        tables.append(table.assign(station=station.name))
    return pd.concat(tables, ignore_index=True)


def _carry(rng: np.random.Generator, hours: Float64Array, weather: Weather) -> Float64Array:
    """(S, T) PM2.5 (ug/m3) at the stations, before it is measured."""
    box = fill_box(rng, hours, weather, REGION_GUST_SD)
    # Where the air goes to, km/h: a wind is named after where it comes from
    east, north = (
        -CARRIED * (wind + ALOFT_SD * red_noise(rng, len(hours), ALOFT_MEMORY))
        for wind in (weather.east, weather.north)
    )
    fresh = 1 - float(np.exp(-1 / STEERING_MEMORY))
    steered = [fresh * decaying_sum(speed, STEERING_MEMORY) for speed in (east, north)]
    slowness = 1 / (steered[0] ** 2 + steered[1] ** 2 + SLOWEST**2)
    clock = np.arange(len(hours), dtype=np.float64)
    places = np.array([(station.east, station.north) for station in STATIONS])
    late = (places @ np.array(steered)) * slowness
    region = np.interp((clock - late).ravel(), clock, box).reshape(late.shape)

    # Plumes are waves of random length and direction, in the coordinates of the moving air
    travelled = np.array([np.cumsum(east), np.cumsum(north)])
    ratio = LOCAL_SD * _noises(rng, len(hours), LOCAL_MEMORY, shared=0)
    for size, sd in zip(PLUME_SIZES, PLUME_SD, strict=True):
        waves = rng.standard_normal((PLUME_WAVES, 2)) / size
        turning = rng.standard_normal(PLUME_WAVES) / PLUME_MEMORY
        start = rng.uniform(0, 2 * np.pi, PLUME_WAVES)
        phase = turning[:, None] * clock + start[:, None] - waves @ travelled
        shift = waves @ places.T
        # cos(a + b) = cos a cos b - sin a sin b: stations share the waves' cosines
        pattern = np.cos(shift).T @ np.cos(phase) - np.sin(shift).T @ np.sin(phase)
        ratio += sd * np.sqrt(2 / PLUME_WAVES) * pattern
    dirt = np.array([[station.dirt] for station in STATIONS])
    return BACKGROUND + dirt * region * np.maximum(1 + ratio, THINNEST)


def _pollutants(
    rng: np.random.Generator, hours: Float64Array, pm25: Float64Array
) -> dict[str, Float64Array]:
    """(S, T) of each pollutant as the monitors write it, in the real files' order."""
    winter = cosine(hours, HOURS_PER_YEAR, 24 * COLDEST_DAY)
    noises = {
        name: _noises(rng, len(hours), GAS_MEMORY) for name in ("PM10", "SO2", "NO2", "CO", "O3")
    }
    traffic = np.array([[station.traffic] for station in STATIONS])
    dirty = pm25 / TYPICAL_PM25
    coarse = COARSE * np.exp(
        COARSE_SPRING * cosine(hours, HOURS_PER_YEAR, 24 * SPRING_DAY)
        + COARSE_SD * np.minimum(noises["PM10"], DUSTIEST)
    )
    sulphur = dirty**SULPHUR_POWER * np.exp(
        SULPHUR_WINTER * winter + SULPHUR_DAY * cosine(hours, 24, 11) + SULPHUR_SD * noises["SO2"]
    )
    nitrogen = traffic * dirty**NITROGEN_POWER
    nitrogen = (
        NITROGEN
        * nitrogen
        * np.exp(
            NITROGEN_WINTER * winter
            + NITROGEN_DAY * cosine(hours, 24, 22)
            + NITROGEN_SD * noises["NO2"]
        )
    )
    carbon = CARBON_CLEAN + CARBON * dirty**CARBON_POWER * np.exp(CARBON_SD * noises["CO"])
    carbon = traffic**0.5 * carbon * np.exp(CARBON_WINTER * winter)
    # Sunlight makes ozone, fresh exhaust takes it away
    ozone = OZONE * np.exp(
        OZONE_WINTER * winter
        + OZONE_DAY * cosine(hours, 24, WARMEST_HOUR)
        - OZONE_LOST * (nitrogen - NITROGEN)
        + OZONE_SD * noises["O3"]
    )
    measured = pm25 + MONITOR_SD * rng.standard_normal(pm25.shape)
    return {
        "PM2.5": measured.round().clip(*PM_RANGE),
        "PM10": (measured + coarse).round().clip(*PM_RANGE),
        "SO2": (SULPHUR * sulphur).round().clip(*GAS_RANGE),
        "NO2": nitrogen.round().clip(*GAS_RANGE),
        "CO": (100 * (carbon / 100).round()).clip(*CO_RANGE),
        "O3": ozone.round().clip(*GAS_RANGE),
    }


def _site_weather(rng: np.random.Generator, weather: Weather) -> dict[str, Float64Array]:
    """(S, T) of each weather column, in the real files' order; `wd` as a number of `WINDS`."""
    size = len(weather.north)
    height = np.array([[station.pressure] for station in STATIONS])
    temperature = (
        WARMER + weather.temperature + TEMPERATURE_SD * _noises(rng, size, SITE_MEMORY, shared=0)
    )
    dew_point = weather.dew_point + DEW_POINT_SD * _noises(rng, size, SITE_MEMORY, shared=0)
    pressure = weather.pressure + height + PRESSURE_SD * _noises(rng, size, SITE_MEMORY, shared=0)
    shower = _noises(rng, size, SHOWER_MEMORY)
    amount = np.exp(RAIN_LOG_MEAN + RAIN_LOG_SD * shower).clip(0.1)
    rain = np.where(weather.rain & (shower > SHOWER_ABOVE), amount, 0.0)
    north = weather.north + WIND_SD * _noises(rng, size, WIND_MEMORY, shared=0)
    east = weather.east + WIND_SD * _noises(rng, size, WIND_MEMORY, shared=0)
    return {
        "TEMP": temperature.round(1),
        "PRES": pressure.round(1),
        "DEWP": np.minimum(dew_point, temperature).round(1),
        "RAIN": rain.round(1),
        "wd": np.round(np.arctan2(east, north) / (2 * np.pi) * len(WINDS)) % len(WINDS),
        "WSPM": (STREET_WIND * np.hypot(north, east)).round(1),
    }


def _noises(
    rng: np.random.Generator, size: int, memory: float, shared: float = NOISE_SHARED
) -> Float64Array:
    """(S, T) noise of variance 1 at each station, of which the weight `shared` is the same."""
    own = np.array([red_noise(rng, size, memory) for _ in STATIONS])
    return shared * red_noise(rng, size, memory) + rest(shared) * own


def _draw(rng: np.random.Generator, rows: int, count: int) -> Mask:
    """Which rows lie in one of `count` gaps as long as the real ones."""
    return draw_gaps(
        rng,
        rows,
        count,
        short=ONE_HOUR,
        log_mean=GAP_LOG_MEAN,
        log_sd=GAP_LOG_SD,
        longest=LONGEST_GAP,
    )
