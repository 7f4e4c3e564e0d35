"""The command that proposes a space: what it writes, what it refuses, and where that leads."""

import io
import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lstm_model.configuration import DataSettings
from lstm_model.data.simulation import simulate
from lstm_model.data.sources import load_dataset
from tests.tuning.conftest import Ask, command
from tests.tuning.space.tables import table, text_of
from tuning.space.located_yaml import read_yaml
from tuning.space.search_space import read_space

GUIDE = Path(__file__).parents[2] / "docs" / "your-own-data.md"


def test_beijings_table_gets_the_shipped_space(home: Path, ask: Ask) -> None:
    simulate(seed=0).to_csv("air.csv", index=False)
    ask("air.csv", "--target", "pm2.5")
    found, shipped = read_space("air.yaml"), read_space("multivariate.yaml")
    same = ("target", "features", "horizon", "validation_from", "test_from", "folds")
    for key in same:
        assert getattr(found.data, key) == getattr(shipped.data, key), key
    assert found.data.time == ("year", "month", "day", "hour")
    assert found.data.calendar == ("hour_of_day", "day_of_week", "day_of_year")
    assert (found.search, found.study) == (shipped.search, shipped.study)
    assert found.initial_trials == shipped.initial_trials
    assert found.fixed == {**shipped.fixed, "chunk_length": 96}


def test_standard_output_is_the_file(home: Path, ask: Ask) -> None:
    (home / "load.csv").write_text(table(300))
    said = ask("load.csv", "--target", "load", "--output", "-")
    assert [each.name for each in home.iterdir()] == ["load.csv"]
    ask("load.csv", "--target", "load")
    assert (home / "load.yaml").read_text() == said


@pytest.mark.parametrize(
    ("content", "arguments", "told"),
    [
        pytest.param(
            table(99),
            (),
            "load.csv: must have 100 rows or more with load, of which validation and test take a "
            "fifth each, but has 99; gather more\n",
            id="too short",
        ),
        pytest.param(
            table(599),
            ("--horizon", 24),
            "load.csv: must have 600 rows or more with load, of which validation and test take a "
            "fifth each, but has 599; gather more, or ask for a smaller --horizon\n",
            id="too short for the horizon",
        ),
        pytest.param(
            table(200),
            ("--target", "laod"),
            "load.csv: no column 'laod'; did you mean 'load'?\n",
            id="unknown target",
        ),
        pytest.param(
            table(200),
            ("--target", "", "--features", "x,load", "--time", "At"),
            "load.csv: no column ''; there are at, load\n"
            "load.csv: no column 'At'; did you mean 'at'?\n"
            "load.csv: no column 'x'; there are at, load\n",
            id="several unknown columns",
        ),
        pytest.param(
            text_of(200, line_9="2021-03-01 03:30:00,4x"),
            (),
            "load.csv:9: load must be numeric, as the target, but got '4x'; write it as a "
            "plain number, without a unit or another sign, or leave it empty\n",
            id="a target with a text in it",
        ),
        pytest.param(
            table(200, load=["low", "high"] * 100),
            (),
            "load.csv:2: load must be numeric, as the target, but got 'low'; if it stands for "
            "missing, say so in the data block: missing: {load: [low]}\n",
            id="a target of texts",
        ),
        pytest.param(
            table(200, load=""),
            (),
            "load.csv: load must have values, but has none in any row\n",
            id="a target without values",
        ),
        pytest.param(
            table(200, load=5),
            (),
            "load.csv: load must change, but before test_from (2021-03-04 00:00:00) it is always "
            "5\n",
            id="a target that never changes",
        ),
        pytest.param(
            table(200, load=[5, 6] * 47 + [0] * 106),
            (),
            "load must change in validation, but never does, and no skill can be told; move "
            "validation_from or test_from (which were to be 2021-03-03 and 2021-03-04): write a "
            "space by hand, from one in search_spaces/\n",
            id="a target that changes in training alone",
        ),
        pytest.param(
            text_of(200, line_9="2021-03-01 03:31:00,5"),
            (),
            "load.csv:9: the clock jumps from 2021-03-01 03:00:00 (line 8) to 2021-03-01 03:31:00, "
            "but rows must be 30 min apart, as most are (rows that break this: 2); correct the "
            "times, or gather the rows in steps of one length first\n",
            id="uneven clock",
        ),
        pytest.param(
            table(200, "h", "9999-12-23 14:00"),
            ("--horizon", "3"),
            "load.csv:201: the clock must end 3 rows or more before the year 10000, as what is "
            "forecast has no time then, but ends at 9999-12-31 21:00:00 with rows 1 h apart; "
            "correct its years, or end the table earlier\n",
            id="no room for what is forecast",
        ),
        pytest.param(
            "when,load\nearly,5\nlate,6\n",
            (),
            "load.csv: the clock must be a column of times such as 2013-01-31 13:00, or one of "
            "dates and one of times of day, or the columns year, month, day and then any of hour, "
            "minute, second, but the first row has when = 'early', load = '5'",
            id="no clock",
        ),
        pytest.param(
            table(200),
            ("--time", "load"),
            "load.csv:2: load = '403.8': must be a time such as 2013-01-31 13:00, year first; "
            "for other forms the data block has dates: a format as strptime has it\n",
            id="no such clock",
        ),
        pytest.param(
            table(200),
            ("--time", "load,at,x"),
            "load.csv: no column 'x'; there are at, load\n",
            id="no parts of a clock",
        ),
        pytest.param(
            table(200, names=[f"x{row}" for row in range(200)]),
            ("--features", "names"),
            "load.csv: names must have numbers, or at most 50 different texts, but has 200, the "
            "first of them 'x0'\n",
            id="a feature that can't be read",
        ),
        pytest.param(
            "at,load\n",
            (),
            "load.csv: must have 2 rows or more, but has 0 below its header\n",
            id="a header alone",
        ),
        pytest.param("", (), "load.csv: must have a header and rows, but is empty\n", id="empty"),
        pytest.param(
            table(200).replace(",", "&"),
            (),
            "load.csv: no column 'load'; did you mean 'at&load'?\n",
            id="ampersands",
        ),
        pytest.param(
            b"\x89PNG\r\n\x1a\n\0",
            (),
            "load.csv:1: must be UTF-8 text, but isn't; it is no text: save the table as CSV, in "
            "UTF-8\n",
            id="no CSV",
        ),
        pytest.param(
            text_of(200, line_9="2021-03-01 03:30:00,5,6"),
            (),
            "load.csv:9: must have 2 values, one a column, but has 3\n",
            id="ragged",
        ),
        pytest.param(
            "at,load,load\n2021-03-01,5,5\n2021-03-02,6,6\n",
            (),
            "load.csv: two columns have the name 'load'\n"
            "load.csv: the columns are 'at', 'load', 'load'\n",
            id="a name twice",
        ),
        pytest.param(
            None,
            (),
            "load.csv: can't be read: No such file or directory; give a table's path, or "
            "a pattern such as 'stations/*.csv'\n",
            id="no file",
        ),
        pytest.param(
            table(200),
            ("--output", "gone/x.yaml"),
            "--output must lie in a folder that is there, but gone is none\n",
            id="no folder",
        ),
        pytest.param(
            table(200),
            ("--output", "x" * 300),
            f"--output must be a file that can be written, but got '{'x' * 300}': File name too "
            "long; choose another name\n",
            id="a name that no file can have",
        ),
        pytest.param(
            table(200),
            ("--output", "load.csv"),
            "load.csv exists; choose another --output, or remove it first\n",
            id="a file that exists",
        ),
        pytest.param(table(200), ("--horizon", 0), "'--horizon'", id="no horizon"),
    ],
)
def test_unusable_input_is_refused(
    home: Path, ask: Ask, content: str | bytes | None, arguments: tuple[object, ...], told: str
) -> None:
    if content is not None:
        (home / "load.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    before = {file: file.read_bytes() for file in home.iterdir()}
    said = ask("load.csv", "--target", "load", *arguments, status=2)
    assert said == told if told.endswith("\n") else told in said, said
    assert {file: file.read_bytes() for file in home.iterdir()} == before


def test_existing_file_is_left_alone(home: Path, ask: Ask) -> None:
    (home / "load.csv").write_text(table(200))
    (home / "load.yaml").write_text("mine")
    said = ask("load.csv", "--target", "load", status=2)
    assert said == "load.yaml exists; choose another --output, or remove it first\n"
    said = ask("load.csv", "--target", "laod", status=2)
    assert said == "load.csv: no column 'laod'; did you mean 'load'?\n", "that comes first"
    assert (home / "load.yaml").read_text() == "mine"


def test_guides_keys_are_read() -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```$", GUIDE.read_text(), re.M | re.S)
    data: dict[str, Any] = {}
    for block in blocks:
        located = read_yaml(block)
        assert isinstance(located.data, dict)
        data |= located.data["data"]
    columns = {name for value in data.values() if isinstance(value, dict) for name in value}
    settings = {"target": "load", "features": ["load", *sorted(columns - {"load"})]}
    dates = {"validation_from": "2021-01-01", "test_from": "2022-01-01"}
    read = DataSettings.model_validate({**data, **settings, **dates})
    assert (read.time, read.dates, read.zone) == (("Date", "Time"), "day_first", "Europe/Berlin")
    assert (read.gaps, read.duplicates, read.encoding) == ("fill", "last", "cp1252")
    assert read.missing == {"load": (-200,), "temp": ("?",)}
    assert (read.fill, read.decimal) == ({"rain": 0, "holiday": "none"}, ",")
    assert read.types == {"direction": "category"}


def test_an_excel_file_of_another_country(home: Path, ask: Ask) -> None:
    """All at once, and the guide's lines for what is known ahead."""
    days = pd.date_range("2021-01-01", periods=200).delete(17)
    sold = np.random.default_rng(0).normal(1400, 90, len(days)).round(1)
    sales = pd.DataFrame(
        {"Datum": days.strftime("%d.%m.%Y"), "Erlös": sold, "promotion": np.arange(199) % 9 // 8}
    )
    sales.to_csv("sales.csv", sep=";", decimal=",", encoding="latin-1", index=False)
    (ahead_lines,) = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(), re.M | re.S)
    exec(ahead_lines, {})
    for file in ("sales", "ahead"):
        said = ask(f"{file}.csv", "--target", "Erlös")
        for key in ("encoding: cp1252", "dates: day_first", "gaps: fill: 1 step without a row"):
            assert f"proposed: {key}" in said
    daily, ahead = (
        load_dataset(read_space(f"{each}.yaml").data).frame for each in ("sales", "ahead")
    )
    assert list(daily.columns) == ["Erlös", "promotion"]
    assert list(ahead.columns) == ["Erlös", "promotion", "promotion+1", "promotion+2"]
    assert (len(daily), daily["Erlös"].isna().sum()) == (200, 1)
    np.testing.assert_allclose(daily["Erlös"].dropna(), sold)
    row = ahead.iloc[100]
    assert [row["promotion+1"], row["promotion+2"]] == list(ahead["promotion"].iloc[101:103])


def half_hours(file: Path) -> pd.DataFrame:
    """50 days of a load that a gust moves by 8 a unit, and clouds by 5, in the next half hour.

    What no model can know has a standard deviation of 4. Of the sky a tenth is missing.
    """
    rng = np.random.default_rng(7)
    at = pd.date_range("2021-03-01", periods=2400, freq="30min")
    rows = len(at)
    gust = rng.normal(0, 1, rows).round(3)
    cloudy = np.cumsum(rng.random(rows) < 0.1) % 2
    load = np.full(rows, 400.0)
    for row in range(1, rows):
        pull = 0.9 * (load[row - 1] - 400) + 8 * gust[row - 1] + 10 * cloudy[row - 1] - 5
        load[row] = 400 + pull + rng.normal(0, 4)
    load[[50, 51, 900, 2000]] = np.nan
    frame = pd.DataFrame(
        {
            "No": range(1, rows + 1),
            **{part: getattr(at, part.lower()) for part in ("Year", "Month", "Day", "Hour")},
            "Minute": at.minute,
            "load": load.round(1),
            "gust: m/s": gust,
            "sky": np.where(rng.random(rows) < 0.1, None, np.array(["clear", "cloudy"])[cloudy]),
            "site": "north",
        }
    )
    frame.to_csv(file, index=False)
    return frame


@pytest.mark.slow
def test_from_a_csv_to_forecasts(tmp_path: Path, environment: dict[str, str]) -> None:
    """Every command of the guide, with fewer epochs, on the table that it tells of."""
    frame = half_hours(tmp_path / "load.csv")
    frame.tail(400).to_csv(tmp_path / "recent.csv", index=False)

    def python(module: str, *arguments: object) -> str:
        done = command(module, tmp_path, environment, *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    said = []
    for line in re.findall(r"^\$ python -m (.*)", GUIDE.read_text(), re.MULTILINE):
        module, *arguments = shlex.split(line)
        if "--trials" in arguments:
            arguments += ["--trials", "2", "--max-epochs", "20"]
        if "--seeds" in arguments:
            arguments += ["--seeds", "2"]
        said.append((module, python(module, *arguments)))
    assert [module.rpartition(".")[2] for module, _ in said] == [
        *("new_space", "run", "run", "new_space", "compare", "forecast")
    ]
    texts = [text for _, text in said]
    assert "load.yaml: load by load, gust: m/s, sky\nleft out: No counts the rows\n" in texts[0]
    assert "2,400 rows, one every 30 min" in texts[1]
    assert "load, gust: m/s, sky=clear, sky=cloudy, hour_of_day:sin," in texts[1]
    assert "Study power-load: 2 trials are there" in texts[4]

    found = json.loads((tmp_path / "runs" / "power" / "comparison.json").read_text())
    assert found["verdict"].startswith(
        "load (3 features) forecasts load better than alone (1 feature) at 1 to 2 of 2 lead times: "
    )
    rmse = {name: model["rmse"]["1"] for name, model in found["models"].items()}
    assert 3.8 < rmse["load"] < 6.0
    # To who can't see them, gusts and clouds are noise: sqrt(4**2 + 8**2 + 5**2) = 10.2.
    assert 9.0 < rmse["alone"] < 12.0

    calm = pd.read_csv(io.StringIO(texts[5]))
    assert list(calm["valid_time"]) == ["2021-04-20 00:00", "2021-04-20 00:30"]
    recent = frame.tail(400)
    recent.loc[recent.index[-1:], "gust: m/s"] += 2  # which is 16 in the next half hour
    recent.to_csv(tmp_path / "recent.csv", index=False)
    model = tmp_path / "runs" / "power" / "models" / "load"
    text = python("lstm_model.forecast", "--model", model, "--data", "recent.csv")
    gusty = pd.read_csv(io.StringIO(text))
    assert 8 < gusty["forecast"][0] - calm["forecast"][0] < 20
