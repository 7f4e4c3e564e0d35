"""Tables as people have them: each gives its right value, or a message that says what it is.

The right values are those of somebody who knows the table, worked out apart from this project.
"""

import re
import textwrap
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lstm_model.command import run_app
from lstm_model.configuration import Configuration
from lstm_model.data.series import EncodedSeries
from lstm_model.data.sources import Dataset, load_dataset
from lstm_model.errors import TableError
from lstm_model.evaluation.baselines import Baselines, evaluate_baselines
from lstm_model.training.trainer import Trainer
from tests.field import field_table
from tuning import new_space, run
from tuning.space.search_space import SearchSpace, read_space

Propose = Callable[..., SearchSpace]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def propose(home: Path, capsys: pytest.CaptureFixture[str]) -> Propose:
    """The space that is proposed for a table, with one more line in its data block where wanted."""

    def ask(table: str | Path, target: str, *, data: str = "", without: str = "") -> SearchSpace:
        path = table if isinstance(table, Path) else field_table(table)
        Path("new.yaml").unlink(missing_ok=True)
        status = run_app(new_space.app, [str(path), "--target", target, "--output", "new.yaml"])
        said = capsys.readouterr()
        assert (status, said.err) == (0, ""), said.err
        text = Path("new.yaml").read_text()
        if without:  # a key of the data block, with its lines
            text = re.sub(rf"^  {without}:.*\n(    [^-].*\n)*", "", text, flags=re.MULTILINE)
        Path("new.yaml").write_text(text.replace("  horizon:", f"{data}  horizon:", 1))
        return read_space("new.yaml")

    return ask


def loaded(space: SearchSpace) -> tuple[Dataset, EncodedSeries]:
    table = load_dataset(space.data)
    return table, EncodedSeries.from_table(table.frame, table.step, space.data)


def baselines(space: SearchSpace) -> Baselines:
    return evaluate_baselines(loaded(space)[1])


def skill(space: SearchSpace) -> float:
    """Of the default configuration after 25 epochs."""
    *_, last = Trainer(Configuration(), loaded(space)[1], max_epochs=25, seed=0)
    return last.best.score.skill


# What an empty cell means


def test_no_holiday_is_a_category(propose: Propose) -> None:
    space = propose("metro_none.csv", "traffic")
    table, series = loaded(space)
    before = table.frame.loc[table.frame.index < space.data.test_from]
    assert len(before) == len(series.times) == 13_872
    assert (before["holiday"] != "None").sum() == 288
    channel = series.encoder.channels.index("holiday=None")
    assert (series.inputs[:, channel] == 0).sum() == 288
    assert table.doubts == ()


def test_no_holiday_is_an_empty_cell(propose: Propose, tmp_path: Path) -> None:
    text = field_table("metro_none.csv").read_text().replace(",None,", ",,")
    (tmp_path / "metro.csv").write_text(text)
    space = propose(tmp_path / "metro.csv", "traffic")
    assert space.data.fill == {"holiday": "none"}
    table, _ = loaded(space)
    before = table.frame.loc[table.frame.index < space.data.test_from]
    assert (before["holiday"] != "none").sum() == 288
    (repair,) = table.repairs
    assert repair.to_json() == {"column": "holiday", "filled": "none", "rows": 17_136}
    repeated, _ = loaded(propose_without_fill(space))
    assert repeated.frame["holiday"].notna().sum() == 384
    (doubt,) = repeated.doubts
    assert doubt.startswith("holiday is empty in most rows, where the last value is repeated, for ")
    assert doubt.endswith("say so in the data block: fill: {holiday: none}")


def propose_without_fill(space: SearchSpace) -> SearchSpace:
    return space.overridden({"data.fill": {}})


def test_dry_hours_are_empty_cells(propose: Propose) -> None:
    space = propose("rain_empty.csv", "traffic")
    assert space.data.fill == {"rain": 0}
    table, _ = loaded(space)
    assert [str(each) for each in table.repairs] == ["rain: 16,992 cells without a value read as 0"]
    without = propose_without_fill(space)
    # With repeats the last shower lasts until the next one.
    repeated, dry = skill(without), skill(space)
    assert repeated == pytest.approx(0.26, abs=0.03)
    assert dry == pytest.approx(0.38, abs=0.03)


# Numbers that stand for missing, and texts that are numbers


def test_a_number_stands_for_missing(propose: Propose) -> None:
    space = propose("sentinel.csv", "load")
    assert space.data.missing == {"load": (-200,)}
    assert baselines(space).persistence.rmse == pytest.approx(29.0, abs=0.05)
    as_it_stands = space.overridden({"data.missing": []})
    assert baselines(as_it_stands).persistence.rmse == pytest.approx(307.9, abs=0.05)
    (doubt,) = loaded(as_it_stands)[0].doubts
    assert re.fullmatch(
        r"load is -200 in \d+ rows, far from all its other values: .* missing: \{load: \[-200\]\}",
        doubt,
    )


def test_texts_are_numbers(propose: Propose) -> None:
    space = propose("textnumbers.csv", "load")
    table, series = loaded(space)
    text = pd.read_csv(field_table("textnumbers.csv"), decimal=",", dtype={"temp": str})
    wind, humidity = text["wind"].astype(float), text["hum"].str.removesuffix("%").astype(float)
    np.testing.assert_array_equal(table.frame["wind"], wind)
    np.testing.assert_array_equal(table.frame["hum"], humidity)
    assert space.data.missing == {"temp": ("?",)}
    assert table.frame["temp"].isna().sum() == (text["temp"] == "?").sum() == 43
    assert len(series.encoder.numeric) == 6
    assert "36 different whole numbers: if they are codes, say types: {dir: category}" in (
        Path("new.yaml").read_text()
    )
    codes = propose("textnumbers.csv", "load", data="  types: {dir: category}\n")
    assert len(loaded(codes)[1].encoder.categorical[0].categories) == 36


# Baselines that are hard to beat


def test_nothing_to_learn(propose: Propose) -> None:
    """The mean beats the last value, which skill is told against."""
    space = propose("intermittent.csv", "sales")
    assert baselines(space).best == "training_mean"
    # As in a comparison, whose test comes after all that the mean is of.
    test = {"data.validation_from": space.data.test_from, "data.test_from": datetime(2030, 1, 1)}
    rmse = baselines(space.overridden(test)).scores["training_mean"].rmse
    assert rmse == pytest.approx(1.684, abs=0.0005)


def test_sales_are_never_negative(propose: Propose) -> None:
    _, series = loaded(propose("intermittent.csv", "sales"))
    fit = Trainer(Configuration(hidden_size=8), series, max_epochs=5, seed=0)
    [*_] = fit
    (changes,) = fit.forecasts()
    assert (series.last_observed[-len(changes) :, None] + changes >= 0).all()


def test_weeks_repeat(propose: Propose) -> None:
    scores = baselines(propose("plain.csv", "load")).scores
    assert scores["persistence"].rmse == pytest.approx(24.4, abs=0.06)
    assert scores["same_hour_yesterday"].rmse == pytest.approx(34.2, abs=0.06)
    assert scores["same_hour_last_week"].rmse == pytest.approx(14.15, abs=0.01)


# What the tables are that can't be read yet, and the way on


def read_as_told(message: str) -> list[str]:
    """Run the lines of Python in a message; what they are, one after the other."""
    code = textwrap.dedent("\n".join(re.findall(r"^    .*$", message, re.MULTILINE)))
    exec(compile(code, "message", "exec"), {})
    return code.splitlines()


def refusal(propose: Propose, path: Path, target: str, capsys: Any) -> str:
    status = run_app(new_space.app, [str(path), "--target", target, "--output", "no.yaml"])
    said = capsys.readouterr()
    assert status == 2
    assert not Path("no.yaml").exists()
    return str(said.err)


@pytest.mark.parametrize(
    ("name", "target", "sentence", "rows", "first", "step"),
    [
        ("dst_local.csv", "load", "a wall clock, which", 9000, "2021-01-01 00:00", "1h"),
        ("iso_offset.csv", "load", "time has times of a zone", 9000, "2021-01-01 00:00", "1h"),
        ("ld2011.txt", "MT_001", "';' between them", 8000, "2011-01-01 00:15", "15min"),
        ("date_and_time.csv", "load", "in 2 columns, Date and Time", 3000, "2021-01-01", "1h"),
        ("gaps.csv", "load", "53 steps without a row", 6000, "2021-01-01", "1h"),
        ("dup.csv", "load", "1 row with the time of another", 6000, "2021-01-01", "1h"),
        ("long.csv", "y", "4 series, one for each unique_id (S0, S1", 2000, "2021-01-01", "1h"),
    ],
)
def test_the_way_that_a_message_names_is_one(
    propose: Propose,
    home: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    target: str,
    sentence: str,
    rows: int,
    first: str,
    step: str,
) -> None:
    message = refusal(propose, field_table(name), target, capsys)
    assert sentence in message
    read_as_told(message)
    table = load_dataset(propose(home / f"{Path(name).stem}-read.csv", target).data)
    assert len(table.frame) == rows
    assert table.frame.index[0] == pd.Timestamp(first)
    assert table.step == pd.Timedelta(step)


def test_one_message_leads_to_the_next(
    propose: Propose, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Semicolons, then the day first, then the time in another column, then ? for missing."""
    path, target = field_table("household.txt"), "Voltage"
    for sentence, read in (
        ("its values have ';' between them", "household-read.csv"),
        ("Date has the day first", "household-read-read.csv"),
        ("the clock is in 2 columns, Date and Time", "household-read-read-read.csv"),
    ):
        message = refusal(propose, path, target, capsys)
        assert sentence in message
        read_as_told(message)
        path = home / read
    space = propose(path, target)
    table, _ = loaded(space)
    assert (len(table.frame), table.frame.index[0]) == (5000, pd.Timestamp("2006-12-16 17:24"))
    assert table.frame[target].isna().sum() == 61


@pytest.mark.parametrize(
    ("name", "target", "sentence"),
    [
        ("bdays.csv", "Close", "its rows are business days, without Saturdays and Sundays"),
        ("monthly_ym.csv", "traffic", "Month has months, which are not of one length"),
    ],
)
def test_what_has_no_way_yet_is_called_what_it_is(
    propose: Propose, capsys: pytest.CaptureFixture[str], name: str, target: str, sentence: str
) -> None:
    assert sentence in refusal(propose, field_table(name), target, capsys)


def test_a_study_says_what_it_doubts(propose: Propose, capsys: pytest.CaptureFixture[str]) -> None:
    propose("sentinel.csv", "load", without="missing")
    assert run_app(run.app, ["--space", "new.yaml", "--check"]) == 0
    assert "warning: load is -200 in " in capsys.readouterr().err
    propose("textnumbers.csv", "load")
    assert run_app(run.app, ["--space", "new.yaml", "--check"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "wind: 4,000 cells with texts such as '1,0' read as numbers, 1\n" in said.out


def test_numbers_that_can_be_read_in_two_ways(home: Path) -> None:
    rows = "\n".join(f'2021-01-01 {hour:02}:00,{hour},"1,{hour:03}"' for hour in range(24))
    (home / "two.csv").write_text(f"time,load,power\n{rows}\n")
    text = """\
version: 1
data:
  source: two.csv
  time: time
  target: load
  features: [load, power]
{0}  validation_from: 2021-01-01T12:00
  test_from: 2021-01-01T18:00
study: {{trials: 1}}
"""
    for keys, expected in (
        ("", None),
        ("  types: {power: number}\n", None),
        ("  types: {power: number}\n  decimal: '.'\n", 1001.0),
        ("  types: {power: number}\n  decimal: ','\n", 1.001),
    ):
        (home / "two.yaml").write_text(text.format(keys))
        data = read_space("two.yaml").data
        if expected is None:
            with pytest.raises(TableError, match="'1,000' is 1000 with a decimal point, and 1 wit"):
                load_dataset(data)
        else:
            assert load_dataset(data).frame["power"].iloc[1] == expected
