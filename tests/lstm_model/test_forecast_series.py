"""The command on tables of many series, and its pictures."""

import io
import signal
from collections.abc import Callable, Iterator
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
from lstm_model.configuration import Configuration, DataSettings
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.sources import load_dataset
from lstm_model.errors import InputError, TableError
from lstm_model.figures.latest import MOST_PANELS, draw_latest, pick_series
from lstm_model.inference.predictor import TrainedForecaster
from lstm_model.training.trainer import Trainer
from tests.lstm_model.shops import FIT, shop, shops, train_shops

Ask = Callable[..., tuple[int, str, str]]
NEW = "ignore::lstm_model.inference.table_checks.NewSeriesWarning"
pytestmark = pytest.mark.filterwarnings(NEW)


@pytest.fixture(scope="module")
def model() -> TrainedForecaster:
    table = pd.concat([shops(), shop("late", 40.0).iloc[:500]])
    return train_shops(table)


@pytest.fixture(scope="module")
def folder(model: TrainedForecaster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "best"
    model.save(folder)
    return folder


@pytest.fixture
def ask(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """The command's status and what it said of a table, in this process."""

    def run(table: pd.DataFrame, *arguments: object) -> tuple[int, str, str]:
        file = tmp_path / "latest.csv"
        file.write_text(table.to_csv(index_label="time"))
        status = run_app(
            forecast.app, ["--model", str(folder), "--data", str(file), *map(str, arguments)]
        )
        said = capsys.readouterr()
        return status, said.out, said.err.replace(str(file), "latest.csv")

    handler = signal.getsignal(signal.SIGTERM)
    yield run
    signal.signal(signal.SIGTERM, handler)


def test_every_series_is_written(ask: Ask, model: TrainedForecaster) -> None:
    """A known one, a new one, and one that ended sooner: each from its last row."""
    table = shops(big=400, new=37, small=4).iloc[:-10]
    status, out, err = ask(table)
    assert status == 0
    assert err == (
        "note: latest.csv: 1 of 3 series is new: each is scaled by its own rows so far (new)\n"
    )
    late = pd.concat([table, shop("late", 40.0)])
    assert ask(late)[2] == err.replace("of 3", "of 4") + (
        "note: latest.csv: the bounds of 1 of 4 series are calibrated on all series together, in "
        "units of each one's changes: too little was known of them alone\n"
    )
    found = pd.read_csv(io.StringIO(out), parse_dates=["origin", "valid_time"])
    assert found.columns[:4].tolist() == ["series", "origin", "lead_time", "valid_time"]
    assert found["series"].tolist() == ["big", "big", "new", "new", "small", "small"]
    assert found["origin"].tolist() == [table.index[at] for at in (799, 799, 799, 799, -1, -1)]
    expected = model.forecast(table)
    for name, own in expected.by_series.items():
        written = found[found["series"] == name]
        np.testing.assert_allclose(written["forecast"], own.point[-1], rtol=1e-5)
        np.testing.assert_allclose(written["upper_95"], own.bounds[0.95][1][-1], rtol=1e-5)


def test_every_is_of_each_series(ask: Ask) -> None:
    status, out, _ = ask(shops(big=400, small=4).iloc[:-10], "--every", 24)
    assert status == 0
    found = pd.read_csv(io.StringIO(out), parse_dates=["origin"])
    for name, last in (("big", "2020-02-03 07:00"), ("small", "2020-02-02 21:00")):
        origins = found[found["series"] == name]["origin"].unique()
        assert len(origins) > 5
        assert origins[-1] == pd.Timestamp(last)
        assert (np.diff(origins) == np.timedelta64(24, "h")).all()


def test_what_is_left_out_is_named(ask: Ask) -> None:
    table = pd.concat([shops(), shop("dark", 9.0).assign(sold=np.nan)])
    status, out, err = ask(table)
    assert (status, out.count("\n")) == (0, 5)
    assert err == (
        "warning: latest.csv: 1 of 3 series can't be forecast, and are left out: dark (sold was "
        "never observed)\n"
    )
    status, out, err = ask(table.assign(sold=np.nan))
    assert (status, out) == (2, "")
    assert "sold must have been observed in at least one row, but never was" in err


def test_a_series_is_named_where_its_rows_are_wrong(ask: Ask) -> None:
    table = shops()
    status, _, err = ask(table[np.arange(len(table)) != 1200])
    assert status == 2
    assert "small" in err
    assert "but rows must be 1 h apart" in err
    status, _, err = ask(table.drop(columns="shop"))
    assert status == 2
    assert "no column 'shop'" in err


def test_files_are_series(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a model that was trained on a file for each; from Python a column says which."""
    table = shops(big=400, small=4, new=37)
    for name, rows in table.groupby("shop"):
        rows[["sold", "price"]].to_csv(tmp_path / f"{name}.csv", index_label="time")
    settings = DataSettings.model_validate(
        {
            "source": str(tmp_path / "[bs]*.csv"),
            "time": "time",
            "series": "file",
            "target": "sold",
            "features": ["sold", "price"],
            **{key: FIT[key] for key in ("horizon", "validation_from", "test_from")},
        }
    )
    dataset = load_dataset(settings)
    trained = EncodedTable.from_table(dataset.frame, dataset.step, settings, dataset.index)
    config = Configuration(hidden_size=4, chunk_length=24, context_length=6)
    *_, last = Trainer(config, trained, max_epochs=1, seed=0)
    TrainedForecaster.from_weights(
        trained, "sold", config, last.best.weights, last.best.score, dataset.reading
    ).save(tmp_path / "model")
    asked = ["--model", str(tmp_path / "model"), "--data", str(tmp_path / "*.csv")]
    assert run_app(forecast.app, asked) == 0
    said = capsys.readouterr()
    assert "was saved without intervals: no bounds" in said.err
    assert "1 of 3 series is new: each is scaled by its own rows so far (new)" in said.err
    found = pd.read_csv(io.StringIO(said.out))
    assert found["series"].unique().tolist() == ["big", "new", "small"]
    model = lstm_model.load(tmp_path / "model")
    assert model.names == ("big", "small")
    own = model.forecast(table.rename(columns={"shop": "file"})).every_nth_origin(10**6)
    np.testing.assert_allclose(found["forecast"], own.table()["forecast"], rtol=1e-9)
    with pytest.raises(TableError, match="but file is missing"):
        model.forecast(table)


def test_a_picture_has_few_panels(ask: Ask, model: TrainedForecaster, tmp_path: Path) -> None:
    plot = tmp_path / "ahead.png"
    levels = {f"n{level}": float(level) for level in range(10, 90, 10)}
    table = shops(**levels)
    assert ask(table, "--plot", plot)[0] == 0
    with Image.open(plot) as image:
        assert image.format == "PNG"
    read = model.read_table(table)
    found = model.forecast_table(read)
    shown = pick_series(found)
    assert len(shown) == MOST_PANELS
    last = {name: own.point[-1, 0] for name, own in found.by_series.items()}
    lowest, *between, highest = (last[name] for name in shown)
    assert (lowest, highest) == (min(last.values()), max(last.values()))
    assert between == sorted(between)
    figure = draw_latest(model, read, found)
    assert [axes.get_title(loc="left").split("\n")[-1] for axes in figure.axes] == shown
    assert figure.axes[0].get_title(loc="left").startswith("6 of 8 series")
    for axes, name in zip(figure.axes, shown, strict=True):
        [line] = [each for each in axes.lines if each.get_label() == "forecast"]
        np.testing.assert_array_equal(line.get_ydata(), found.by_series[name].point[-1])
        [seen] = [each for each in axes.lines if each.get_label() == "observed"]
        rows = table[table["shop"] == name]["sold"].tail(24)
        np.testing.assert_array_equal(seen.get_ydata(), rows)


def test_one_of_several_can_be_drawn(model: TrainedForecaster) -> None:
    table, ax = shops(), Figure().subplots()
    assert lstm_model.plot_latest_forecast(model, table, ax, series="small") is ax
    [line] = [each for each in ax.lines if each.get_label() == "forecast"]
    own: Any = model.forecast(table).by_series["small"]
    np.testing.assert_array_equal(line.get_ydata(), own.point[-1])
    with pytest.raises(InputError, match="got 'tiny'; there is big, small"):
        lstm_model.plot_latest_forecast(model, table, ax, series="tiny")
    with pytest.raises(InputError, match="drawn on 2 axes, but got 1"):
        lstm_model.plot_latest_forecast(model, table, ax)
    two = Figure().subplots(2)
    assert lstm_model.plot_latest_forecast(model, table, two) is two[0]
