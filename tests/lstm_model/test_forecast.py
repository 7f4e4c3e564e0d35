"""A saved model at work: the object that load() gives, and the command."""

import io
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

import lstm_model
from lstm_model import forecast
from lstm_model.command import run_app
from lstm_model.configuration import Configuration, DataSettings, Reading
from lstm_model.data.csv_table import parse_csv
from lstm_model.data.series import EncodedSeries, FeatureEncoder
from lstm_model.errors import TableError
from lstm_model.figures import forecasts as figures
from lstm_model.inference.intervals import calibrate
from lstm_model.inference.predictor import OutOfRangeWarning, TrainedForecaster
from lstm_model.inference.warm_start import TOLERANCE, WarmUpProbe
from lstm_model.model.forecaster import LSTMForecaster
from lstm_model.training.evaluator import SETTLING_ROWS, HoldoutEvaluator
from lstm_model.training.trainer import Trainer

LONG = "x" * 300  # no file can have such a name
HOUR = pd.Timedelta(hours=1)
SMALL = Configuration(hidden_size=6, chunk_length=40, context_length=12, learning_rate=0.03)
SETTINGS = DataSettings(
    source="air.csv",
    time="when",
    target="pm",
    features=("wind", "pm", "temp"),
    horizon=3,
    validation_from=pd.Timestamp("2020-04-01").to_pydatetime(),
    test_from=pd.Timestamp("2021-01-01").to_pydatetime(),
)


def air(rows: int = 35000) -> pd.DataFrame:
    """Hours of a level that returns to its mean, moved by the wind, and is seen with an error."""
    rng = np.random.default_rng(12)
    wind = np.array(["NW", "SE"])[(np.cumsum(rng.random(rows) < 0.1) % 2)].astype(object)
    level, logarithm = np.empty(rows), 0.0
    for row, noise in enumerate(rng.normal(size=rows)):
        pull = -0.03 if wind[row] == "NW" else 0.03
        logarithm = 0.97 * logarithm + pull + 0.1 * noise
        level[row] = 60 * math.exp(logarithm + 0.2 * rng.normal())
    level[rng.integers(0, rows, rows // 200)] = np.nan
    frame = pd.DataFrame({"wind": wind, "pm": level.round(2), "temp": rng.normal(10, 5, rows)})
    return frame.set_index(pd.date_range("2020-01-01", periods=rows, freq="h", name="time"))


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return air()


@pytest.fixture(scope="module")
def made(table: pd.DataFrame) -> tuple[EncodedSeries, TrainedForecaster]:
    """A series, and two members with the intervals of their mean."""
    series = EncodedSeries.from_table(table, HOUR, SETTINGS)
    members, forecasts = [], []
    for seed in range(2):
        fit = Trainer(SMALL, series, max_epochs=10, seed=seed)
        *_, last = fit
        best = last.best
        members.append(TrainedForecaster.of(series, "pm", SMALL, best.weights, best.score))
        forecasts.append(HoldoutEvaluator(series).forecast(members[-1].model))
    both = TrainedForecaster.ensemble(members)
    starts = WarmUpProbe(table[table.index < SETTINGS.test_from], series.encoding, "pm")
    mean = np.mean(forecasts, axis=0)
    return series, both.completed([(series, mean)], starts, SETTINGS.reading, simulated=False)


@pytest.fixture(scope="module")
def saved(
    made: tuple[EncodedSeries, TrainedForecaster], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("study") / "best"
    made[1].save(folder)
    return folder


def csv(frame: pd.DataFrame) -> str:
    return frame.to_csv(index_label="when", date_format="%Y-%m-%d %H:%M")


@pytest.fixture
def recent(table: pd.DataFrame, tmp_path: Path) -> Path:
    """400 hours that nothing was learned from."""
    path = tmp_path / "latest.csv"
    path.write_text(csv(table.iloc[20000:20400]))
    return path


@pytest.fixture
def ask(
    saved: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """The command's status and what it said, in this process."""

    def run(*arguments: object, model: Path = saved) -> tuple[int, str, str]:
        status = run_app(forecast.app, ["--model", str(model), *map(str, arguments)])
        said = capsys.readouterr()
        return status, said.out, said.err

    handler = signal.getsignal(signal.SIGTERM)
    yield run
    signal.signal(signal.SIGTERM, handler)


def test_stationary_hours_lie_in_the_intervals_as_often_as_claimed(
    made: tuple[EncodedSeries, TrainedForecaster], table: pd.DataFrame
) -> None:
    """Three years that no model and no residual comes from: within two points, at each side too."""
    found = made[1].forecast(table[table.index >= SETTINGS.test_from])
    observed = table["pm"].reindex(found.origins).to_numpy()
    for claim, (low, high) in found.bounds.items():
        for lead in range(1, 4):
            came, least, most = observed[lead:], low[:-lead, lead - 1], high[:-lead, lead - 1]
            known = np.isfinite(came)
            below, above = (came < least)[known].mean(), (came > most)[known].mean()
            assert 1 - below - above == pytest.approx(claim, abs=0.02)
            assert below == pytest.approx((1 - claim) / 2, abs=0.015)
            # Where it is high, the intervals are wider in proportion.
            top = found.values[:-lead, lead - 1] > 90
            assert (came >= least)[known & top].mean() == pytest.approx((1 + claim) / 2, abs=0.03)
            width = (most - least)[top].mean() / (most - least)[~top].mean()
            assert 1.5 < width < 4


def test_an_ensemble_is_one_folder_and_the_mean_of_its_members(
    made: tuple[EncodedSeries, TrainedForecaster], saved: Path, table: pd.DataFrame
) -> None:
    both = lstm_model.load(saved)
    assert sorted(file.name for file in saved.iterdir()) == ["model.json", "model.safetensors"]
    assert sum(file.stat().st_size for file in saved.iterdir()) < 30_000
    part = table.iloc[:600]
    each = [replace(both, models=(model,)).forecast(part).values for model in both.models]
    assert np.abs(each[0] - each[1]).max() > 0.1
    found = both.forecast(part)
    np.testing.assert_allclose(found.values, np.mean(each, axis=0), rtol=1e-12)
    np.testing.assert_array_equal(found.values, made[1].forecast(part).values)
    for claim, bounds in made[1].forecast(part).bounds.items():
        np.testing.assert_array_equal(found.bounds[claim], bounds)
    assert (both.reading.time, both.simulated, both.validation) == ("when", False, None)
    assert found.origins[0] == part.index[both.rows_needed - 1]
    assert found.origins[-1] == part.index[-1]


def test_intervals_are_of_the_mean_forecast_of_validation(
    made: tuple[EncodedSeries, TrainedForecaster],
) -> None:
    series, both = made
    check = HoldoutEvaluator(series)
    mean = np.mean([check.forecast(model) for model in both.models], axis=0)
    expected = calibrate([(series, mean)])
    assert both.intervals is not None
    np.testing.assert_array_equal(both.intervals.levels, expected.levels)
    np.testing.assert_array_equal(both.intervals.quantiles[0.8], expected.quantiles[0.8])


def test_a_target_that_was_never_negative_has_no_negative_bound(
    made: tuple[EncodedSeries, TrainedForecaster], table: pd.DataFrame
) -> None:
    both, part = made[1], table.iloc[20000:20400]
    assert both.intervals is not None
    wide = {claim: 50 * quantiles for claim, quantiles in both.intervals.quantiles.items()}
    both = replace(both, intervals=replace(both.intervals, quantiles=wide))
    assert (both.forecast(part).bounds[0.95][0] == 0).all()
    other = replace(both, never_negative=False)
    assert (other.forecast(part).bounds[0.95][0] < 0).all()


def test_rows_needed_are_those_after_which_more_past_changes_little(
    made: tuple[EncodedSeries, TrainedForecaster], table: pd.DataFrame
) -> None:
    """The same origin forecast from a table cut short before it, and from a long one."""
    both = made[1]
    long = both.forecast(table)
    known = both.rows_needed

    def moved(rows: int) -> float:
        differences = []
        for row in range(9000, 34000, 600):
            cut = table.iloc[row - rows + 1 : row + 1]
            short = replace(both, rows_needed=min(rows, known)).forecast(cut)
            assert short.origins[-1] == table.index[row]
            differences.append(short.values[-1] - long.values[row - known + 1])
        return float(np.max(np.sqrt(np.mean(np.square(differences), axis=0)) / both.change_scale))

    assert 10 < known < 336
    assert moved(known) < 1.3 * TOLERANCE  # other starts than those that it was measured from
    assert moved(known // 4) > TOLERANCE


def test_cold_starts_are_compared_with_what_a_naive_reading_gives(
    made: tuple[EncodedSeries, TrainedForecaster], table: pd.DataFrame
) -> None:
    """On a table of 60 rows: 20 before, 20 after each start."""
    both, part = made[1], table.iloc[100:160]
    differences = WarmUpProbe(part, both.encoding, "pm").differences(both.models)
    assert differences.shape == (20, 3)
    whole = torch.from_numpy(both.encoding.inputs(part))
    squares = []
    with torch.inference_mode():
        for start in range(20, 41):
            if np.isnan(part["pm"].iloc[start]):
                continue
            own = torch.from_numpy(both.encoding.inputs(part.iloc[start : start + 20]))
            nothing = torch.zeros(20, whole.shape[1])
            cold = warm = torch.zeros(20, 3)
            for model in both.models:
                cold = cold + model(torch.cat([nothing, own])[None])[0, 20:] / 2
                warm = warm + model(whole[None, start - 20 : start + 20])[0, 20:] / 2
            squares.append((cold - warm) ** 2)
    expected = torch.stack(squares).mean(0).sqrt().numpy()
    np.testing.assert_allclose(differences, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(("far", "needed"), [([], 1), ([0], 2), ([0, 1, 7], 9), ([19], 20)])
def test_settled_is_after_the_last_row_that_moves(
    made: tuple[EncodedSeries, TrainedForecaster],
    table: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    far: list[int],
    needed: int,
) -> None:
    starts = WarmUpProbe(table.iloc[:60], made[1].encoding, "pm")
    differences = np.full((20, 3), TOLERANCE / 2)
    differences[far, 1] = 2 * TOLERANCE
    monkeypatch.setattr(WarmUpProbe, "differences", lambda self, models: differences)
    assert starts.rows_needed(made[1].models) == needed


@pytest.mark.parametrize(("minutes", "week"), [(60, 168), (15, 672), (5, 2016)])
def test_cold_starts_are_followed_until_a_weeks_mean_has_settled(
    table: pd.DataFrame, minutes: int, week: int
) -> None:
    step = pd.Timedelta(minutes=minutes)
    frame = table.iloc[:10_000].ffill()[["pm"]]
    frame.index = pd.date_range("2020-01-01", periods=len(frame), freq=step)
    encoding = FeatureEncoder.learn(frame, "pm", (), step)
    model = LSTMForecaster.seeded(len(encoding.channels), SMALL, 1, seed=0)
    followed = len(WarmUpProbe(frame, encoding, "pm").differences([model]))
    assert followed == week + SETTLING_ROWS


def test_a_year_is_scored_nearly_as_soon_as_its_models_have_read_it(
    made: tuple[EncodedSeries, TrainedForecaster], table: pd.DataFrame
) -> None:
    part = table.iloc[: 8760 + made[1].rows_needed - 1]
    inputs = torch.from_numpy(made[1].encoding.inputs(part))
    scoring, reading = [], []
    for _ in range(3):
        begun = perf_counter()
        assert made[1].forecast(part).values.shape == (8760, 3)
        scored = perf_counter()
        with torch.inference_mode():
            for model in made[1].models:
                model(inputs[None])
        scoring.append(scored - begun)
        reading.append(perf_counter() - scored)
    # It takes less than twice as long; with a window of rows for each hour, a hundred times.
    assert min(scoring) < 15 * min(reading)


def test_whole_numbers_categories_and_other_columns_do(
    made: tuple[EncodedSeries, TrainedForecaster], table: pd.DataFrame
) -> None:
    part = table.iloc[20000:20400].assign(temp=lambda t: t["temp"].round())
    part.iloc[5, 2] = np.nan
    kinds = {"temp": "Int64", "wind": "category"}
    other = part.astype(kinds).assign(more="text")[["more", "temp", "pm", "wind"]]
    expected = made[1].forecast(part).values
    np.testing.assert_array_equal(made[1].forecast(other).values, expected)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda t: t.drop(columns=["temp", "wind"]), r"\(pm, temp, wind\), but temp, wind are mis"),
        (lambda t: t.iloc[:5], r"must have \d+ rows or more, .* but has 5; give it a longer past"),
        (lambda t: t.iloc[::2], "must be 0 days 01:00:00 apart, .* it is 0 days 02:00:00"),
        (lambda t: t.reset_index(drop=True), "the clock's columns .when., but has a Range"),
        (
            lambda t: t.assign(temp="warm"),
            "temp must be numeric, as it was in training, but got 'warm'",
        ),
        (lambda t: t.assign(temp=np.inf), "temp must be finite"),
        (lambda t: t.assign(pm=np.nan), "pm must have been observed in at least one row"),
        (
            lambda t: t.assign(wind=t["wind"].where(t.index != t.index[7], "N")),
            "wind must be one of NW, SE, as in training, but 1 rows differ, the first with 'N' at "
            "2022-04-13 15:00:00; leave empty",
        ),
        (lambda t: t.assign(wind=3.0), "wind must be one of NW, SE, .* first with '3'"),
    ],
)
def test_what_a_model_cannot_do_it_says(
    made: tuple[EncodedSeries, TrainedForecaster],
    table: pd.DataFrame,
    spoil: Callable[[pd.DataFrame], pd.DataFrame],
    told: str,
) -> None:
    with pytest.raises(TableError, match=told):
        made[1].forecast(spoil(table.iloc[20000:20400]))


@pytest.mark.parametrize("left", [2, 3])
def test_what_is_forecast_has_a_time(
    made: tuple[EncodedSeries, TrainedForecaster],
    ask: Callable[..., tuple[int, str, str]],
    table: pd.DataFrame,
    recent: Path,
    tmp_path: Path,
    left: int,
) -> None:
    """Three hours, of which the year 9999 has to have as many after the last row."""
    last = pd.Timestamp("9999-12-31 23:00") - left * HOUR
    part = table.iloc[20000:20400]
    part.index = pd.date_range(end=last, periods=400, freq="h")
    recent.write_text(csv(part))
    status, out, err = ask("--data", recent, "--plot", tmp_path / "ahead.png")
    if left == 3:
        assert (status, err) == (0, "")
        assert out.splitlines()[-1].split(",")[2] == "9999-12-31 23:00"
        assert made[1].forecast(part).table()["valid_time"].iloc[-1] == last + 3 * HOUR
        return
    rule = "must end 3 rows or more before the year 10000, as what is forecast has no time then"
    assert (status, out) == (2, "")
    assert err.startswith(f"{recent}:401: the clock {rule}, but ends at {last} with rows ")
    with pytest.raises(TableError, match=f"the table {rule}, but ends at {last}; end it earlier"):
        made[1].forecast(part)


def test_another_unit_is_warned_of_and_a_record_is_not(
    made: tuple[EncodedSeries, TrainedForecaster], table: pd.DataFrame
) -> None:
    part = table.iloc[20000:20400]
    channel = next(each for each in made[1].encoding.numeric if each.column == "temp")
    assert channel.most == table["temp"].iloc[: 91 * 24].max()
    record = channel.most + 0.45 * (channel.most - channel.least)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made[1].forecast(part.assign(temp=record))
    with pytest.warns(
        OutOfRangeWarning, match=r"temp was from .* far outside in 400 rows, the first wit"
    ):
        made[1].forecast(part.assign(temp=part["temp"] + 273.15))


def test_the_command_forecasts_from_the_last_row(
    ask: Callable[..., tuple[int, str, str]], saved: Path, recent: Path, table: pd.DataFrame
) -> None:
    status, out, err = ask("--data", recent)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == ("origin,lead_time,valid_time,forecast,lower_80,upper_80,lower_95,upper_95")
    found = lstm_model.load(saved).forecast(table.iloc[20000:20400])
    assert [line.split(",")[:3] for line in lines[1:]] == [
        ["2022-04-29 23:00", str(lead), f"2022-04-30 0{lead - 1}:00"] for lead in (1, 2, 3)
    ]
    numbers = np.array([[float(v) for v in line.split(",")[3:]] for line in lines[1:]])
    wide, narrow = found.bounds[0.95], found.bounds[0.8]
    expected = [found.values[-1], narrow[0][-1], narrow[1][-1], wide[0][-1], wide[1][-1]]
    np.testing.assert_allclose(numbers.T, expected, rtol=1e-5)
    forecasts, lower, upper, lowest, highest = numbers.T
    assert (lowest < lower).all()
    assert (lower < forecasts).all()
    assert (forecasts < upper).all()
    assert (upper < highest).all()


def test_many_origins_from_standard_input_to_a_file(
    ask: Callable[..., tuple[int, str, str]],
    recent: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, plot = tmp_path / "out.csv", tmp_path / "ahead.png"
    drawn: dict[str, Any] = {}
    draw = figures.forecast_ahead

    def watched(*arguments: Any, **named: Any) -> Figure:
        drawn.update(
            zip(("times", "observed", "valid", "forecast", "bounds"), arguments, strict=True)
        )
        return draw(*arguments, **named)

    monkeypatch.setattr(figures, "forecast_ahead", watched)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(recent.read_bytes())))
    status, printed, err = ask("--data", "-", "--every", 24, "--out", out, "--plot", plot)
    assert (status, printed, err) == (0, "", "")
    found = pd.read_csv(out, parse_dates=["origin", "valid_time"])
    origins = found["origin"].unique()
    assert str(origins[-1]) == "2022-04-29 23:00:00"
    assert (np.diff(origins) == np.timedelta64(24, "h")).all()
    assert len(origins) > 4
    # The last one is what is forecast without the others.
    _, alone, _ = ask("--data", recent)
    pd.testing.assert_frame_equal(
        found.tail(3).reset_index(drop=True),
        pd.read_csv(io.StringIO(alone), parse_dates=["origin", "valid_time"]),
    )
    with Image.open(plot) as image:
        assert image.format == "PNG"
    last = found.tail(3)
    assert (str(drawn["times"][0]), len(drawn["times"])) == ("2022-04-29T00:00:00.000000", 24)
    np.testing.assert_array_equal(drawn["valid"], last["valid_time"].to_numpy())
    np.testing.assert_allclose(drawn["forecast"], last["forecast"], rtol=1e-5)
    np.testing.assert_allclose(
        np.array(drawn["bounds"][0.95]), last[["lower_95", "upper_95"]].T, rtol=1e-5
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text.replace("pm", "pm10", 1), "no column 'pm'; did you mean 'pm10'?"),
        (lambda text: "\n".join(text.splitlines()[:20]) + "\n", "must have [0-9]+ rows or more"),
        (lambda text: text.replace("SE", "S", 1), "wind must be one of NW, SE"),
        (lambda text: re.sub(r"\n[^\n]*04-20 05:00[^\n]*", "", text), "the clock jumps from"),
        (lambda text: "\n".join(text.splitlines()[::2]), "rows must be 0 days 01:00:00 apart"),
        (lambda text: text.replace("when", "time", 1), "no column 'when'"),
        (lambda text: "when,pm\n", "no column 'temp'"),
    ],
)
def test_mistakes_in_a_table_are_plain_lines(
    ask: Callable[..., tuple[int, str, str]],
    recent: Path,
    change: Callable[[str], str],
    told: str,
) -> None:
    recent.write_text(change(recent.read_text()))
    status, out, err = ask("--data", recent)
    assert (status, out) == (2, "")
    assert all(line.startswith((str(recent), "    ")) for line in err.splitlines())
    assert re.search(told, err), err


def test_other_mistakes_name_the_flag_or_the_folder(
    ask: Callable[..., tuple[int, str, str]], saved: Path, recent: Path, tmp_path: Path
) -> None:
    for arguments, told in (
        (("--data", tmp_path / "none.csv"), "can't be read: No such file or directory; --data is"),
        (("--data", recent, "--plot", "a.pdf"), "--plot must be a file that ends with .png, but"),
        (("--data", recent, "--out", tmp_path / "no" / "a.csv"), "--out must lie in a folder that"),
        (("--data", recent, "--out", tmp_path), "--out must be a file, but"),
        (("--data", recent, "--every", 0), "'--every'"),
        (("--data", LONG), f"{LONG}: can't be read: File name too long"),
        (("--data", recent, "--out", LONG), f"got '{LONG}': File name too long; choose another"),
        (("--data", recent, "--plot", f"{LONG}.png"), f"got '{LONG}.png': File name too long"),
        (("--data", recent, "--out", f"{LONG}/a"), "--out must lie in a folder that is there, but"),
    ):
        status, out, err = ask(*arguments)
        assert (status, out) == (2, "")
        assert told in err
    status, _, err = ask("--data", recent, model=saved.parent)
    assert status == 2
    assert err.endswith(f"but {saved.parent} has none; there is {saved}\n")
    for folder in (Path(LONG), saved.parent / LONG):
        status, _, err = ask("--data", recent, model=folder)
        assert (status, err[-9:]) == (2, "has none\n")
    spaced = tmp_path / "my study"
    shutil.copytree(saved, spaced / "best")
    assert ask("--data", recent, model=spaced)[2].endswith(f"; there is '{spaced}/best'\n")


def test_nothing_but_the_forecasts_file_is_written_over(
    ask: Callable[..., tuple[int, str, str]],
    recent: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, pipe, link = recent.read_bytes(), tmp_path / "pipe", tmp_path / "link.png"
    os.mkfifo(pipe)
    link.symlink_to(recent)
    for arguments, told in (
        (("--out", recent), f"--data and --out must be two files, but both are {recent}"),
        (("--plot", link), f"--data and --plot must be two files, but both are {link}"),
        (("--out", "a.png", "--plot", "./a.png"), "--out and --plot must be two files, but both"),
        (("--out", pipe), f"--out must be a regular file, but {pipe} is a pipe or a device"),
    ):
        status, out, err = ask("--data", recent, *arguments)
        assert (status, out) == (2, "")
        assert err.startswith(told)
    assert recent.read_bytes() == before
    assert pipe.is_fifo()
    other = tmp_path / "other.csv"
    link.unlink()
    link.symlink_to(other)
    assert ask("--data", recent, "--out", link)[0] == 0
    assert link.is_symlink()
    assert other.read_text().startswith("origin,lead_time,")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert recent.parent == tmp_path
    status, _, err = ask("--data", f"~/{recent.name}", "--out", recent)
    assert (status, err[:34]) == (2, "--data and --out must be two files")
    link.unlink()
    link.symlink_to(link)  # leads nowhere: nothing is lost
    assert ask("--data", recent, "--out", link)[0] == 0
    assert link.read_text() == other.read_text()


def test_a_name_may_be_as_long_as_names_can_be(
    ask: Callable[..., tuple[int, str, str]], recent: Path, tmp_path: Path
) -> None:
    for name in ("x" * 255, "é" * 127):
        assert ask("--data", recent, "--out", tmp_path / name) == (0, "", "")
        assert (tmp_path / name).read_text().startswith("origin,lead_time,")


def test_without_standard_streams_the_reason_is_told(
    ask: Callable[..., tuple[int, str, str]], recent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as closed:
        closed.setattr(sys, "stdin", None)
        assert ask("--data", "-")[::2] == (
            2,
            "standard input must be there for --data -, but is closed\n",
        )
        closed.setattr(sys, "stdout", None)
        status, _, err = ask("--data", recent)
    assert (status, err) == (1, "error: standard output is closed; name a file with --out\n")


def test_what_kind_a_column_is_the_model_knows(
    ask: Callable[..., tuple[int, str, str]], recent: Path
) -> None:
    """A feature may be empty throughout; a number among texts is a text that training never saw."""
    frame = pd.read_csv(recent, index_col="when", parse_dates=True)
    for name in ("wind", "temp"):
        recent.write_text(csv(frame.assign(**{name: np.nan})))
        assert ask("--data", recent)[0] == 0
    recent.write_text(csv(frame.assign(pm=np.nan)))
    assert ask("--data", recent)[0] == 2
    odd = frame.copy()
    odd.loc[odd.index[5], "wind"] = "0"
    recent.write_text(csv(odd))
    status, _, err = ask("--data", recent)
    assert status == 2
    assert "wind" in err
    assert "'0'" in err


def test_what_a_reader_has_to_know_is_a_warning(
    ask: Callable[..., tuple[int, str, str]],
    made: tuple[EncodedSeries, TrainedForecaster],
    recent: Path,
    tmp_path: Path,
) -> None:
    """Simulated data, no intervals, another unit; the forecasts come all the same."""
    replace(made[1], simulated=True, intervals=None).save(tmp_path / "model")
    frame = pd.read_csv(recent, index_col="when", parse_dates=True)
    recent.write_text(csv(frame.assign(temp=frame["temp"] + 273.15)))
    status, out, err = ask("--data", recent, model=tmp_path / "model")
    assert status == 0
    assert out.splitlines()[1].endswith(",,,,")
    for line, told in zip(
        err.splitlines(),
        ("simulated data", "temp was from .* far outside in 400 rows", "without intervals"),
        strict=True,
    ):
        assert re.match(f"warning: .*{told}", line)


def test_the_module_is_a_command(saved: Path, recent: Path) -> None:
    """And tells what it can before it has imported anything heavy."""
    asked = ["-m", "lstm_model.forecast", "--model", saved, "--data", recent, "--plot", "a.pdf"]
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *map(str, asked)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    imports = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    assert not any(re.search(r"\| (torch|pandas)$", line) for line in imports)
    assert (done.returncode, done.stdout) == (2, "")
    told = [line for line in done.stderr.splitlines() if line not in imports]
    assert told == ["--plot must be a file that ends with .png, but got a.pdf"]


# Tables as DataFrames


def trained_on(text: str, target: str, split: tuple[int, int], **keys: Any) -> TrainedForecaster:
    """A small model of a CSV, with how its table is read."""
    table = parse_csv(
        text.encode(),
        "t.csv",
        Reading.model_validate(keys),
        target=target,
        features=[name for name in text.splitlines()[0].split(",") if name in FEATURES],
        horizon=1,
    )
    times = table.frame.index
    settings = DataSettings(
        target=target,
        features=tuple(map(str, table.frame.columns)),
        validation_from=times[split[0]].to_pydatetime(),
        test_from=times[split[1]].to_pydatetime(),
    )
    series = EncodedSeries.from_table(table.frame, table.step, settings)
    fit = Trainer(SMALL, series, max_epochs=2, seed=0)
    *_, last = fit
    model = TrainedForecaster.of(series, target, SMALL, last.best.weights)
    starts = WarmUpProbe(table.frame, series.encoding, target)
    return model.completed(
        [(series, HoldoutEvaluator(series).forecast(model.model))],
        starts,
        table.reading,
        simulated=False,
    )


FEATURES = ("load", "open", "kind", "wind", "holiday")


def several(rows: int = 500) -> pd.DataFrame:
    """Columns of every kind, as a CSV has them: texts."""
    rng = np.random.default_rng(8)
    times = pd.date_range("2021-01-01", periods=rows, freq="h")
    at = np.arange(rows)
    return pd.DataFrame(
        {
            "year": times.year.astype(str),
            "month": times.month.astype(str),
            "day": times.day.astype(str),
            "hour": times.hour.astype(str),
            "load": (50 + 5 * np.sin(at / 4) + rng.normal(0, 1, rows)).round(2).astype(str),
            "open": np.where(at % 24 < 12, "true", "false"),
            "kind": (at // 7 % 3).astype(str),
            "wind": [f'"{value // 10},{value % 10}"' for value in at % 40],
            "holiday": np.where(at % 90 < 6, "Easter", ""),
        }
    )


def csv_of(frame: pd.DataFrame) -> str:
    """Texts as they are, with the quotes that are in them."""
    lines = [",".join(map(str, frame.columns)), *(",".join(row) for row in frame.to_numpy())]
    return "\n".join(lines) + "\n"


KEYS: dict[str, Any] = {"types": {"kind": "category"}, "fill": {"holiday": "none"}}


@pytest.fixture(scope="module")
def text() -> str:
    frame = several()
    return csv_of(frame)


@pytest.fixture(scope="module")
def reader(text: str) -> TrainedForecaster:
    return trained_on(text, "load", (300, 400), **KEYS)


def test_a_dataframe_is_read_as_the_csv_is(
    reader: TrainedForecaster, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Booleans, codes, texts that are numbers, empty cells and a clock in parts: as pandas reads
    them, as texts, and by the command.
    """
    assert reader.encoding.channels[:2] == ("load", "wind")
    assert {"open=true", "kind=2", "holiday=none"} <= set(reader.encoding.channels)
    as_pandas_does = pd.read_csv(io.StringIO(text), decimal=",")
    as_pandas_does["load"] = as_pandas_does["load"].astype(float)
    assert as_pandas_does["open"].dtype == bool
    assert as_pandas_does["wind"].dtype == np.float64
    expected = reader.forecast(as_pandas_does).table()
    assert expected["forecast"].notna().all()
    as_texts = pd.read_csv(io.StringIO(text), dtype=str)
    pd.testing.assert_frame_equal(reader.forecast(as_texts).table(), expected)
    times = pd.to_datetime(as_pandas_does[["year", "month", "day", "hour"]])
    by_time = as_pandas_does.set_axis(pd.DatetimeIndex(times)).astype({"open": "boolean"})
    pd.testing.assert_frame_equal(
        reader.forecast(by_time).table(), expected, check_index_type=False, check_dtype=False
    )
    reader.save(tmp_path / "model")
    (tmp_path / "t.csv").write_text(text)
    arguments = ["--model", str(tmp_path / "model"), "--data", str(tmp_path / "t.csv")]
    assert run_app(forecast.app, [*arguments, "--every", "1"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    printed = pd.read_csv(io.StringIO(said.out), parse_dates=["origin", "valid_time"])
    for column in ("forecast", "lower_80", "upper_95"):
        np.testing.assert_array_equal(printed[column], expected[column])


def test_times_that_are_texts(text: str) -> None:
    frame = several()
    frame.insert(0, "at", pd.date_range("2021-01-01", periods=len(frame), freq="h").astype(str))
    body = csv_of(frame)
    model = trained_on(body, "load", (300, 400), time="at", **KEYS)
    table = pd.read_csv(io.StringIO(body), dtype=str)
    expected = model.forecast(table).table()
    table["at"] = pd.to_datetime(table["at"])
    pd.testing.assert_frame_equal(model.forecast(table).table(), expected, check_dtype=False)
    with pytest.raises(TableError, match=r"clock's columns \(at\), but has a RangeIndex and no at"):
        model.forecast(table.drop(columns="at"))
    wrong = table.assign(at="noon")
    with pytest.raises(TableError, match="at 0: at = 'noon': must be a time such as"):
        model.forecast(wrong)


def test_a_later_table_is_read_as_the_first_was(reader: TrainedForecaster) -> None:
    """Of 1,500 alone nobody could say whether it has thousands."""
    table = several()
    table["wind"] = "1,500"
    table["holiday"] = table["holiday"].mask(table["holiday"] == "")
    read = reader._read(table)
    assert (read["wind"] == 1.5).all()
    assert (read["holiday"] == "none").sum() > 400
    assert reader._read(table.assign(wind=1.5))["wind"].equals(read["wind"])


def test_what_pandas_takes_for_missing_is_told() -> None:
    """pandas.read_csv reads None as missing, and the last holiday would not end."""
    frame = several()
    frame["holiday"] = frame["holiday"].replace("", "None")
    text = csv_of(frame)
    model = trained_on(text, "load", (300, 400), types={"kind": "category"})
    read = pd.read_csv(io.StringIO(text), dtype={"wind": str, "kind": str})
    with pytest.warns(
        OutOfRangeWarning, match="holiday was None in some rows of training, and is in none here"
    ):
        model.forecast(read)
    kept = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, na_values=[""])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.forecast(kept)


def test_frames_that_could_be_read_otherwise_are_refused(reader: TrainedForecaster) -> None:
    frame = pd.read_csv(io.StringIO(csv_of(several())), dtype=str)
    by_time = frame.set_axis(
        pd.date_range("2021-01-01", periods=len(frame), freq="h", tz="Asia/Tokyo")
    )
    with pytest.raises(TableError, match=r"times must have no zone, .* but have Asia/Tokyo"):
        reader.forecast(by_time)
    twice = pd.concat([frame, frame[["load"]]], axis=1)
    with pytest.raises(TableError, match="each column must be there once, but load is there twice"):
        reader.forecast(twice)
    short = frame.assign(year="21")
    with pytest.raises(TableError, match="the year must have four digits, but is 21"):
        reader.forecast(short)


def test_booleans_with_an_empty_cell_among_them(reader: TrainedForecaster) -> None:
    """pandas makes objects of them."""
    text = csv_of(several()).replace(",true,", ",,", 1)
    read = pd.read_csv(io.StringIO(text), decimal=",")
    assert read["open"].dtype == object
    assert reader.forecast(read).values.shape[1] == 1


@pytest.mark.filterwarnings("ignore::lstm_model.inference.predictor.OutOfRangeWarning")
def test_digits_are_not_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A meter that stands at twelve millions, and moves by some tens an hour."""
    rng = np.random.default_rng(9)
    rows = 600
    meter = 12_345_678 + np.cumsum(20 + 10 * np.sin(np.arange(rows) / 4) + rng.normal(0, 1, rows))
    times = pd.date_range("2021-01-01", periods=rows, freq="h")
    frame = pd.DataFrame({"time": times, "load": meter.round(1)})
    text = frame.to_csv(index=False)
    model = trained_on(text, "load", (360, 480), time="time")
    (tmp_path / "t.csv").write_text(text)
    model.save(tmp_path / "model")
    arguments = ["--model", str(tmp_path / "model"), "--data", str(tmp_path / "t.csv")]
    assert run_app(forecast.app, [*arguments, "--every", "1"]) == 0
    printed = pd.read_csv(io.StringIO(capsys.readouterr().out))
    expected = model.forecast(frame).table()
    for column in ("forecast", "lower_80", "upper_80", "lower_95", "upper_95"):
        np.testing.assert_array_equal(printed[column], expected[column])
    assert printed["forecast"].diff().abs().median() < 60
    # Bounds follow the level: with six digits all of its knots would be the same.
    assert model.intervals is not None
    assert (np.diff(model.intervals.levels) > 0).all()
    low, high = printed["lower_95"], printed["upper_95"]
    came = frame.set_index("time")["load"].reindex(pd.to_datetime(printed["valid_time"])).to_numpy()
    assert ((low <= came) & (came <= high))[~np.isnan(came)].mean() > 0.85


@pytest.mark.parametrize("shift", [0.0, -12.0])
def test_bounds_are_cut_where_nothing_that_was_seen_is_negative(shift: float) -> None:
    """Prices that were never negative in training, and are in validation where they are shifted."""
    rng = np.random.default_rng(10)
    rows = 900
    price = 20 + 8 * np.sin(np.arange(rows) / 4) + rng.normal(0, 4, rows)
    price = np.maximum(price, 0.1)
    price[500:] += shift
    times = pd.date_range("2021-01-01", periods=rows, freq="h")
    frame = pd.DataFrame({"time": times, "load": price.round(2)})
    model = trained_on(frame.to_csv(index=False), "load", (480, 700), time="time")
    assert model.never_negative == (shift == 0)
    found = model.forecast(frame)
    low, high = found.bounds[0.95]
    assert (low >= 0).all() == (shift == 0)
    test = slice(700, rows)
    came = pd.Series(price, times).reindex(found.origins + HOUR).to_numpy()
    inside = ((low[:, 0] <= came) & (came <= high[:, 0]))[-(rows - 700) :]
    assert inside[:-1].mean() > 0.9
    negative = came[-(rows - 700) :] < 0
    if shift:
        assert negative.sum() > 10
        assert inside[negative].mean() > 0.6, "3% where they were cut"
    assert len(came[-(rows - 700) :]) == len(range(*test.indices(rows)))


@pytest.mark.filterwarnings("ignore::lstm_model.inference.predictor.OutOfRangeWarning")
def test_a_negative_value_among_recent_rows_ends_the_cut() -> None:
    """What the model has read counts as seen: from that row on."""
    rng = np.random.default_rng(11)
    level = np.abs(rng.normal(1, 1, 600)).round(2)
    times = pd.date_range("2021-01-01", periods=600, freq="h")
    frame = pd.DataFrame({"time": times, "load": level})
    model = trained_on(frame.to_csv(index=False), "load", (360, 480), time="time")
    assert (model.forecast(frame).bounds[0.95][0] >= 0).all()
    frame.loc[500, "load"] = -3.0
    found = model.forecast(frame)
    after = found.origins >= times[500]
    assert (found.bounds[0.95][0][~after] >= 0).all()
    assert (found.bounds[0.95][0][after] < 0).any()
