from pathlib import Path
from typing import Any

import pytest

from lstm_model.configuration import DataSettings
from lstm_model.data.sources import load_dataset
from lstm_model.errors import SourceUnavailable

HEADER = '"No","year","month","day","hour","PM2.5","wd","station"'


def settings(**changes: Any) -> DataSettings:
    keys: dict[str, Any] = {
        "source": "beijing_stations",
        "series": "station",
        "target": "PM2.5",
        "features": ["PM2.5", "wd"],
        "validation_from": "2013-03-01 08:00",
        "test_from": "2013-03-01 16:00",
    }
    return DataSettings(**(keys | changes))


def write(folder: Path, *stations: str) -> None:
    folder.mkdir()
    for at, name in enumerate(stations):
        rows = [f'{hour},2013,3,1,{hour},{at + hour},"N","{name}"' for hour in range(24)]
        text = "\n".join([HEADER, *rows])
        (folder / f"PRSA_Data_{name}_20130301-20170228.csv").write_text(text)


def test_stations_are_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSTM_TUNING_DATA", str(tmp_path))
    write(tmp_path / "stations", "Wanliu", "Tiantan")
    (tmp_path / "stations" / "README.csv").write_text("none of them")
    dataset = load_dataset(settings())
    assert dataset.index.names == ("Tiantan", "Wanliu")
    assert dataset.frame["PM2.5"].iloc[[0, 24]].to_list() == [1, 0]
    assert (dataset.source, dataset.simulated) == ("beijing_stations", False)
    assert dataset.unit == "ug/m3"
    assert dataset.level_edges == (35, 75, 115, 150, 250)


def test_where_they_are_to_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uci = "UCI's Beijing Multi-Site Air Quality, https://doi.org/10.24432/C5RK5G"
    monkeypatch.setenv("LSTM_TUNING_DATA", str(tmp_path))
    with pytest.raises(SourceUnavailable) as refused:
        load_dataset(settings())
    assert uci in str(refused.value)
    assert f"{tmp_path / 'stations'} has none of their files" in str(refused.value)
    monkeypatch.delenv("LSTM_TUNING_DATA")
    with pytest.raises(SourceUnavailable) as refused:
        load_dataset(settings())
    assert uci in str(refused.value)
    assert "put them into a folder 'stations', and set LSTM_TUNING_DATA" in str(refused.value)


def test_simulated_stations_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSTM_TUNING_DATA", str(tmp_path))
    splits = {"validation_from": "2015-03-01", "test_from": "2016-03-01"}
    dataset = load_dataset(settings(fallback="simulated", **splits))
    assert dataset.simulated
    assert "using simulated data" in str(dataset.warning)
    chosen = load_dataset(settings(source="simulated", **splits))
    assert chosen.warning is None
    assert chosen.sha256 == dataset.sha256
    assert len(chosen.index) > 1
    assert chosen.unit == "ug/m3"
