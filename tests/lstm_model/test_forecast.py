"""A saved model at work: the object that load() gives, and the command."""

import io
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

import lstm_model
from lstm_model import forecast
from lstm_model.command import run_app
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.errors import TableError
from lstm_model.figures.forecasts import plot_forecast
from lstm_model.inference.predictor import TrainedForecaster
from tests.lstm_model.air import HOUR, trained_on

LONG = "x" * 300  # no file can have such a name


def csv(frame: pd.DataFrame) -> str:
    return frame.to_csv(index_label="when", date_format="%Y-%m-%d %H:%M")


@pytest.fixture
def recent(air_table: pd.DataFrame, tmp_path: Path) -> Path:
    """400 hours that nothing was learned from."""
    path = tmp_path / "latest.csv"
    path.write_text(csv(air_table.iloc[20000:20400]))
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


def test_the_command_forecasts_from_the_last_row(
    ask: Callable[..., tuple[int, str, str]], saved: Path, recent: Path, air_table: pd.DataFrame
) -> None:
    status, out, err = ask("--data", recent)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == ("origin,lead_time,valid_time,forecast,lower_80,upper_80,lower_95,upper_95")
    found = lstm_model.load(saved).forecast(air_table.iloc[20000:20400])
    assert [line.split(",")[:3] for line in lines[1:]] == [
        ["2022-04-29 23:00", str(lead), f"2022-04-30 0{lead - 1}:00"] for lead in (1, 2, 3)
    ]
    numbers = np.array([[float(v) for v in line.split(",")[3:]] for line in lines[1:]])
    wide, narrow = found.bounds[0.95], found.bounds[0.8]
    expected = [found.point[-1], narrow[0][-1], narrow[1][-1], wide[0][-1], wide[1][-1]]
    np.testing.assert_allclose(numbers.T, expected, rtol=1e-5)
    forecasts, lower, upper, lowest, highest = numbers.T
    assert (lowest < lower).all()
    assert (lower < forecasts).all()
    assert (forecasts < upper).all()
    assert (upper < highest).all()


def test_the_picture_is_python_s_too(saved: Path, recent: Path) -> None:
    model, ax = lstm_model.load(saved), Figure().subplots()
    table = pd.read_csv(recent)
    assert lstm_model.plot_latest_forecast(model, table, ax) is ax
    [line] = [each for each in ax.lines if each.get_label() == "forecast"]
    np.testing.assert_array_equal(line.get_ydata(), model.forecast(table).point[-1])


def test_many_origins_from_standard_input_to_a_file(
    ask: Callable[..., tuple[int, str, str]],
    recent: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, plot = tmp_path / "out.csv", tmp_path / "ahead.png"
    drawn: dict[str, Any] = {}

    def watched(*arguments: Any, **named: Any) -> Figure:
        drawn.update(
            zip(("times", "observed", "valid", "forecast", "bounds"), arguments, strict=True)
        )
        return plot_forecast(*arguments, **named)

    monkeypatch.setattr("lstm_model.figures.latest.plot_forecast", watched)
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
        (lambda text: "\n".join(text.splitlines()[::2]), "rows must be 1 h apart"),
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


def test_only_the_output_file_is_overwritten(
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
    air_model: tuple[EncodedTable, TrainedForecaster],
    recent: Path,
    tmp_path: Path,
) -> None:
    """Simulated data, no intervals, another unit; the forecasts come all the same."""
    replace(air_model[1], simulated=True, intervals=None).save(tmp_path / "model")
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


@pytest.mark.filterwarnings("ignore::lstm_model.inference.table_checks.OutOfRangeWarning")
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
    assert (np.diff(model.intervals.knots) > 0).all()
    low, high = printed["lower_95"], printed["upper_95"]
    came = frame.set_index("time")["load"].reindex(pd.to_datetime(printed["valid_time"])).to_numpy()
    assert ((low <= came) & (came <= high))[~np.isnan(came)].mean() > 0.85


@pytest.mark.parametrize("left", [2, 3])
def test_what_is_forecast_has_a_time(
    air_model: tuple[EncodedTable, TrainedForecaster],
    ask: Callable[..., tuple[int, str, str]],
    air_table: pd.DataFrame,
    recent: Path,
    tmp_path: Path,
    left: int,
) -> None:
    """Three hours, of which the year 9999 has to have as many after the last row."""
    last = pd.Timestamp("9999-12-31 23:00") - left * HOUR.duration
    part = air_table.iloc[20000:20400]
    part.index = pd.date_range(end=last, periods=400, freq="h")
    recent.write_text(csv(part))
    status, out, err = ask("--data", recent, "--plot", tmp_path / "ahead.png")
    if left == 3:
        assert (status, err) == (0, "")
        assert out.splitlines()[-1].split(",")[2] == "9999-12-31 23:00"
        assert (
            air_model[1].forecast(part).table()["valid_time"].iloc[-1] == last + 3 * HOUR.duration
        )
        return
    rule = "must end 3 rows or more before the year 10000, as what is forecast has no time then"
    assert (status, out) == (2, "")
    assert err.startswith(f"{recent}:401: the clock {rule}, but ends at {last} with rows ")
    with pytest.raises(TableError, match=f"the table {rule}, but ends at {last}; end it earlier"):
        air_model[1].forecast(part)
