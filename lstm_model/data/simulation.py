"""The simulated Beijing: hourly air whose weather causes its PM2.5, for machines without a network.

A box model. Passing lows and highs turn the wind; the northerly is dry and flushes the box, calm
and southerly air let it fill, and moist air fills it faster. `docs/simulation.md` compares the
outcome with the real file and says what it does not reproduce.

"Measured" below means read off the real file's hours before 2014; "fitted" means chosen so that the
statistics of simulated and real PM2.5 over those years agree.
"""

from dataclasses import dataclass
from itertools import accumulate
from statistics import NormalDist

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lstm_model.arrays import Float64Array, Mask

FIRST_YEAR = 2010  # as in the real file
SPIN_UP = 500  # h simulated and dropped, so that no filter's start is seen
HOURS_PER_YEAR = 8766.0

# Clock: when the yearly and daily waves peak, measured
COLDEST_DAY = 15  # day of the year
DRIEST_DAY = 22
HIGHEST_PRESSURE_DAY = 4
WARMEST_HOUR = 15.5
SOUTHERLY_HOUR = 17.0  # the breeze from the plain to the mountains
LOWEST_PRESSURE_HOUR = 16.0
EMISSION_HOUR = 22.0  # evening traffic, heating, and a shallow mixing layer

# Pressure, temperature and dew point: yearly and daily waves, anomalies and their memory, measured
PRESSURE = 1016.4  # hPa
PRESSURE_YEAR, PRESSURE_DAY, PRESSURE_SD = 12.3, 1.2, 5.4  # hPa
PRESSURE_MEMORY = 16.5  # h; gives autocorrelations of 0.83 at 12 h and 0.57 at 24 h
TEMPERATURE = 12.1  # degC
TEMPERATURE_YEAR, TEMPERATURE_DAY, TEMPERATURE_SD = 15.6, 4.6, 2.9  # degC
TEMPERATURE_MEMORY = 28.0  # h
COLD_HIGH = 1.3  # degC colder for one sd of higher pressure
DEW_POINT = 1.8  # degC
DEW_POINT_YEAR, DEW_POINT_SD = 18.7, 6.8  # degC
DRY_WINTER = 0.3  # share by which dew points vary more in January than on average, less in July

# Wind, m/s: constants fitted to the shares of the directions by month and hour, how long they
# stay, and their mean speeds
NORTHERLY = 0.32
NORTHERLY_WINTER = 1.45  # the winter monsoon; the summer monsoon is its opposite
NORTHERLY_DAY = 1.25  # the breeze
NORTHERLY_SD = 1.7  # of the passing weather
STORMY_WINTER = 0.3  # share by which the passing weather is stronger in January
RISE_SHARE = 0.5  # how far the northerly is the rise of pressure behind a cold front
WEATHER_MEMORY = 22.0  # h; of the rest of it
SURGE = 1.63  # northerlies come as surges, stronger than what flows back
EASTERLY = -0.15
EASTERLY_PER_NORTHERLY = -0.35  # the surges come from the north-west
EASTERLY_SD = 1.75
TURBULENCE_SD = 0.55
TURBULENCE_MEMORY = 1.8  # h
DAY_BREEZE = 0.25  # share by which wind is stronger in the afternoon
CALM_BELOW = 1.5  # m/s; slower wind has no direction: cv
MPH = 0.44704  # m/s; the real file's speeds are whole m/s, rounded to miles per hour
STILL = 0.45  # m/s; what the real file adds for an hour without wind

# Moisture of the air mass, in standard deviations
DRYING = 0.85  # share of it that follows from the wind of the last day or so; fitted
DRYING_MEMORY = 19.0  # h
MOISTURE_MEMORY = 31.0  # h; of the rest of it

# Rain and snow: a score passes a threshold; fitted to the hours of rain and snow by season
SHOWER_MEMORY = 10.0  # h; gives spells of 3 to 4 hours
SHOWER_MOISTURE = 0.86
SHOWER_SUMMER = 0.45
SHOWER_ABOVE = 2.2
SNOW_BELOW = 3.0  # degC

# The box, fitted
EMISSION = 9.5  # ug/m3 an hour
HEATING = 0.5  # log ratio of January's emission to the mean; summer's deeper box is its opposite
EMISSION_DAY = 0.3
MOIST_GROWTH = 0.68  # share by which a moist hour (1 sd) adds more: secondary particles
LOSS = 0.058  # share an hour in still air
NORTHERLY_LOSS = 0.052  # share an hour at 1 m/s of northerly
NORTHERLY_POWER = 1.45
AFTERNOON_LOSS = 0.13  # share by which losses are larger in the deep layer of the afternoon
RAIN_LOSS, SNOW_LOSS = 0.2, 0.05  # share an hour washed out
GUST_SD = 2.55  # ug/m3 in an hour at 1 ug/m3; grows as the root of the concentration, as measured
BACKGROUND = 10.5  # ug/m3 that no wind clears
HOUR_MEAN = 0.14  # an hourly mean still holds this share of the hour before
MONITOR_SD = 2.0  # ug/m3
MONITOR_MAX = 994.0  # ug/m3, the real file's largest value

# Gaps in pm2.5, over all five years: 214, half of them one hour long, the longest 155 h
GAPS_PER_YEAR = 44  # a few meet and count as one
LONG_GAP_LOG_MEAN, LONG_GAP_LOG_SD, LONGEST_GAP = 2.0, 1.45, 155
FIRST_GAP = 24  # h; the real file begins with a day without pm2.5


@dataclass(frozen=True)
class Weather:
    """Hourly weather of one place; every field is (T,).

    Attributes:
        north, east: the wind's components from the north and from the east (m/s).
        moisture: of the air mass, in standard deviations.
        temperature, dew_point: degC.
        pressure: hPa.
        rain, snow: whether it falls.
    """

    north: Float64Array
    east: Float64Array
    moisture: Float64Array
    temperature: Float64Array
    dew_point: Float64Array
    pressure: Float64Array
    rain: Mask
    snow: Mask


def simulate(seed: int = 0, years: int = 5) -> pd.DataFrame:
    """Hourly Beijing-like air for `years` calendar years from 2010-01-01 00:00, with leap days.

    The columns and dtypes are those that `pandas.read_csv` gives for the real file: No, year,
    month, day, hour, pm2.5 (ug/m3, NaN where missing), DEWP and TEMP (degC), PRES (hPa), cbwd (NE,
    NW, SE, or cv where calm), Iws (m/s, summed since the direction changed), Is and Ir (hours of
    snow and of rain so far). Equal arguments give equal tables.

    Raises:
        ValueError: `years` is below 1.
    """
    if years < 1:
        raise ValueError(f"`years >= 1` must hold, but got years={years}")
    rng = np.random.default_rng(seed)
    clock = pd.date_range(f"{FIRST_YEAR}-01-01", f"{FIRST_YEAR + years}-01-01", freq="h")[:-1]
    rows = len(clock)
    hours = np.arange(-SPIN_UP, rows, dtype=np.float64)
    weather = simulate_weather(rng, hours)
    box = fill_box(rng, hours, weather)
    mean = (1 - HOUR_MEAN) * box + HOUR_MEAN * np.append(box[0], box[:-1])
    measured = BACKGROUND + mean + MONITOR_SD * rng.standard_normal(len(hours))
    pm25 = np.clip(measured, 0, MONITOR_MAX)[SPIN_UP:].round()
    missing = draw_gaps(rng, rows, GAPS_PER_YEAR * years)
    missing[:FIRST_GAP] = True
    pm25[missing] = np.nan
    direction, wind_sum = _combined_wind(weather.north[SPIN_UP:], weather.east[SPIN_UP:])
    whole = {"DEWP": weather.dew_point, "TEMP": weather.temperature, "PRES": weather.pressure}
    rounded = {name: values[SPIN_UP:].round() for name, values in whole.items()}
    return pd.DataFrame(
        {
            "No": np.arange(1, rows + 1),
            **{
                part: np.asarray(getattr(clock, part), dtype=np.int64)
                for part in ("year", "month", "day", "hour")
            },
            "pm2.5": pm25,
            **rounded,
            "cbwd": direction,
            "Iws": wind_sum,
            "Is": _hours_so_far(weather.snow[SPIN_UP:]),
            "Ir": _hours_so_far(weather.rain[SPIN_UP:]),
        }
    ).astype({"DEWP": np.int64, "Is": np.int64, "Ir": np.int64})


def simulate_weather(rng: np.random.Generator, hours: Float64Array) -> Weather:
    """The weather of the given hours, counted from the start of a calendar year."""
    winter = cosine(hours, HOURS_PER_YEAR, 24 * COLDEST_DAY)
    afternoon = cosine(hours, 24, WARMEST_HOUR)
    # A high is what the pressure's rise has left behind: hence the wind leads the pressure
    anomaly, rise = _pressure(rng, len(hours))
    passing = RISE_SHARE * rise + rest(RISE_SHARE) * red_noise(rng, len(hours), WEATHER_MEMORY)
    north, east = _wind(rng, hours, winter, afternoon, passing)
    moisture = rest(DRYING) * red_noise(rng, len(hours), MOISTURE_MEMORY) - DRYING * _dried(passing)

    temperature = (
        TEMPERATURE
        - TEMPERATURE_YEAR * winter
        + TEMPERATURE_DAY * afternoon
        - COLD_HIGH * anomaly
        + TEMPERATURE_SD * red_noise(rng, len(hours), TEMPERATURE_MEMORY)
    )
    dew_point = (
        DEW_POINT
        - DEW_POINT_YEAR * cosine(hours, HOURS_PER_YEAR, 24 * DRIEST_DAY)
        + DEW_POINT_SD * (1 + DRY_WINTER * winter) * moisture
    )
    shower = red_noise(rng, len(hours), SHOWER_MEMORY) + SHOWER_MOISTURE * moisture
    wet = shower - SHOWER_SUMMER * winter > SHOWER_ABOVE
    snow = wet & (temperature < SNOW_BELOW)
    pressure = (
        PRESSURE
        + PRESSURE_YEAR * cosine(hours, HOURS_PER_YEAR, 24 * HIGHEST_PRESSURE_DAY)
        - PRESSURE_DAY * cosine(hours, 24, LOWEST_PRESSURE_HOUR)
        + PRESSURE_SD * anomaly
    )
    return Weather(
        north=north,
        east=east,
        moisture=moisture,
        temperature=temperature,
        dew_point=np.minimum(dew_point, temperature),
        pressure=pressure,
        rain=wet & ~snow,
        snow=snow,
    )


def cosine(hours: Float64Array, period: float, peak: float) -> Float64Array:
    """A cosine of the given period (h) that is 1 at `peak` (h)."""
    return np.cos(2 * np.pi * (hours - peak) / period)


def rest(share: float) -> float:
    """The weight that brings the variance of a sum of two independent parts to 1."""
    return float(np.sqrt(1 - share**2))


def decaying_sum(values: Float64Array, memory: float) -> Float64Array:
    """Each value and what is left of those before it, which fades to 1/e in `memory` hours."""
    keep = float(np.exp(-1 / memory))
    return np.array(list(accumulate(values.tolist(), lambda total, value: keep * total + value)))


def red_noise(rng: np.random.Generator, size: int, memory: float) -> Float64Array:
    """Noise of variance 1 whose autocorrelation falls to 1/e in `memory` hours."""
    scale = float(np.sqrt(1 - np.exp(-2 / memory)))
    return scale * decaying_sum(rng.standard_normal(size), memory)


def _pressure(rng: np.random.Generator, size: int) -> tuple[Float64Array, Float64Array]:
    """Pressure, as a critically damped oscillation, and its hourly rise; both of variance 1."""
    keep = float(np.exp(-1 / PRESSURE_MEMORY))
    scale = float(np.sqrt((1 - keep**2) / (1 + keep**2))) * (1 - keep**2)
    twice = decaying_sum(decaying_sum(rng.standard_normal(size), PRESSURE_MEMORY), PRESSURE_MEMORY)
    pressure = scale * twice
    rise = np.diff(pressure, prepend=0) / ((1 - keep) * float(np.sqrt(2 / (1 + keep**2))))
    return pressure, rise


def _dried(weather: Float64Array) -> Float64Array:
    """How far the northerlies of the last day have dried the air, near variance 1."""
    mean = (1 - float(np.exp(-1 / DRYING_MEMORY))) * decaying_sum(weather, DRYING_MEMORY)
    return mean * float(np.sqrt(1 + DRYING_MEMORY / WEATHER_MEMORY))


def _wind(
    rng: np.random.Generator,
    hours: Float64Array,
    winter: Float64Array,
    afternoon: Float64Array,
    weather: Float64Array,
) -> tuple[Float64Array, Float64Array]:
    """The wind's components from the north and from the east (m/s)."""
    gusty = 1 + DAY_BREEZE * afternoon
    north = (
        NORTHERLY
        + NORTHERLY_WINTER * winter
        - NORTHERLY_DAY * cosine(hours, 24, SOUTHERLY_HOUR)
        + NORTHERLY_SD * (1 + STORMY_WINTER * winter) * weather
        + TURBULENCE_SD * red_noise(rng, len(hours), TURBULENCE_MEMORY)
    )
    north = np.where(north > 0, SURGE * north, north) * gusty
    sideways = 0.8 * red_noise(rng, len(hours), 10.0) + 0.6 * red_noise(rng, len(hours), 1.0)
    east = EASTERLY + EASTERLY_PER_NORTHERLY * north + EASTERLY_SD * sideways * gusty
    return north, east


def _combined_wind(
    north: Float64Array, east: Float64Array
) -> tuple[NDArray[np.str_], Float64Array]:
    """cbwd, and Iws in its coarse steps, starting anew at every change of direction."""
    speed = np.hypot(north, east)
    direction = np.where(north > 0, np.where(east > 0, "NE", "NW"), "SE")  # SE holds all southerly
    direction = np.where(speed < CALM_BELOW, "cv", direction)
    miles = np.round(np.maximum(np.round(speed), 1) / MPH)
    step = np.where(speed < 0.25, STILL, np.round(miles * MPH, 2))
    same = np.append(False, direction[1:] == direction[:-1])
    return direction, _sum_while(step, same).round(2)


def _hours_so_far(falling: Mask) -> NDArray[np.int64]:
    """Hours that rain or snow has lasted, 0 while none falls."""
    return _sum_while(falling.astype(np.float64), falling).astype(np.int64)


def _sum_while(values: Float64Array, going_on: Mask) -> Float64Array:
    """Running sums that start anew, with their own value, where `going_on` is false."""
    total = np.cumsum(values)
    before = np.where(going_on, 0.0, total - values)  # `values` >= 0, so that the newest is largest
    return total - np.maximum.accumulate(before)


def fill_box(
    rng: np.random.Generator, hours: Float64Array, weather: Weather, gust_sd: float = GUST_SD
) -> Float64Array:
    """(T,) PM2.5 (ug/m3) above the background, which emissions add and wind and rain take away."""
    winter = cosine(hours, HOURS_PER_YEAR, 24 * COLDEST_DAY)
    afternoon = cosine(hours, 24, WARMEST_HOUR)
    daily = 1 + EMISSION_DAY * cosine(hours, 24, EMISSION_HOUR)
    source = (
        EMISSION
        * np.exp(HEATING * winter)
        * daily
        * np.maximum(1 + MOIST_GROWTH * weather.moisture, 0)
    )
    cleared = LOSS + NORTHERLY_LOSS * np.maximum(weather.north, 0) ** NORTHERLY_POWER
    loss = (
        cleared * (1 + AFTERNOON_LOSS * afternoon)
        + RAIN_LOSS * weather.rain
        + SNOW_LOSS * weather.snow
    )
    gusts = gust_sd * rng.standard_normal(len(hours))
    level, levels = 80.0, []
    for kept, added, gust in zip(
        np.exp(-loss).tolist(), source.tolist(), gusts.tolist(), strict=True
    ):
        level = level * kept + added
        level = max(level + gust * level**0.5, 0.0)
        levels.append(level)
    return np.array(levels)


def draw_gaps(
    rng: np.random.Generator,
    rows: int,
    count: int,
    *,
    short: float = 0.5,
    log_mean: float = LONG_GAP_LOG_MEAN,
    log_sd: float = LONG_GAP_LOG_SD,
    longest: int = LONGEST_GAP,
) -> Mask:
    """Which of the rows lie in one of `count` gaps; a share `short` of them is one row long."""
    longer = int(count * (1 - short))
    # Evenly spaced quantiles rather than draws: a few long gaps decide the share that is missing
    scores = np.array([NormalDist().inv_cdf((rank + 0.5) / longer) for rank in range(longer)])
    long = np.exp(log_mean + log_sd * scores).clip(2, longest)
    lengths = np.append(long, np.ones(count - longer)).astype(np.int64)
    missing = np.zeros(rows, dtype=np.bool_)
    for start, length in zip(rng.choice(rows, count, replace=False), lengths, strict=True):
        missing[start : start + length] = True
    return missing
