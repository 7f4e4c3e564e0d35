import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lstm_model import files
from lstm_model.configuration import Configuration
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.step import Step
from lstm_model.errors import InputError
from lstm_model.inference.predictor import TrainedForecaster
from lstm_model.training.trainer import Trainer

SMALL = Configuration(hidden_size=6, num_layers=2, chunk_length=20, context_length=6)


@pytest.fixture
def forecaster(series: EncodedTable) -> TrainedForecaster:
    fit = Trainer(SMALL, series, max_epochs=2, seed=1)
    for _ in fit:
        pass
    assert fit.best is not None
    return TrainedForecaster.from_weights(series, "pm", SMALL, fit.best.weights, fit.best.score)


def test_it_comes_back_as_it_was(
    forecaster: TrainedForecaster, table: pd.DataFrame, tmp_path: Path
) -> None:
    forecaster.save(tmp_path / "best")
    loaded = TrainedForecaster.load(tmp_path / "best")
    np.testing.assert_array_equal(loaded.forecast(table).point, forecaster.forecast(table).point)
    assert loaded.config == forecaster.config
    assert loaded.step == Step(3600)
    assert sorted(f.name for f in (tmp_path / "best").iterdir()) == [
        "model.json",
        "model.safetensors",
    ]


def test_forecasts_of_the_table_score_as_in_training(
    forecaster: TrainedForecaster, table: pd.DataFrame, series: EncodedTable
) -> None:
    """The saved forecaster reads the raw table; its errors on validation are the reported ones."""
    forecasts = forecaster.forecast(table)
    first = table.index.get_loc(forecasts.origins[0])
    assert isinstance(first, int)
    for lead in range(1, 4):
        rows = np.flatnonzero(series.series[0].valid_mask[:, lead - 1])
        observed = table["pm"].to_numpy()[rows + lead]
        error = np.sqrt(np.mean((forecasts.point[rows - first, lead - 1] - observed) ** 2))
        assert forecaster.validation_score is not None
        assert error == pytest.approx(
            forecaster.validation_score.rmse_by_lead_time[lead - 1], rel=1e-4
        )
    # Nothing to change from before the first observation, in the third row.
    early = replace(forecaster, rows_needed=1).forecast(table)
    assert early.origins[0] == table.index[2]
    assert np.isfinite(early.point).all()


def test_saving_again_replaces_the_folder(forecaster: TrainedForecaster, tmp_path: Path) -> None:
    folder = tmp_path / "best"
    forecaster.save(folder)
    (folder / "stray").touch()
    forecaster.save(folder)
    assert not (folder / "stray").exists()
    assert [f.name for f in tmp_path.iterdir()] == ["best"], "no temporary folder stays behind"


def test_failed_save_leaves_the_old_folder(
    forecaster: TrainedForecaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "best"
    forecaster.save(folder)
    before = {f.name: f.read_bytes() for f in folder.iterdir()}

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lstm_model.files.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        forecaster.save(folder)
    assert {f.name: f.read_bytes() for f in folder.iterdir()} == before
    assert [f.name for f in tmp_path.iterdir()] == ["best"]


def test_interrupted_rename_leaves_the_old_folder(
    forecaster: TrainedForecaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "best"
    forecaster.save(folder)
    before = {f.name: f.read_bytes() for f in folder.iterdir()}
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if target == folder and not self.name.endswith(".old"):
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        forecaster.save(folder)
    assert {f.name: f.read_bytes() for f in folder.iterdir()} == before
    assert [f.name for f in tmp_path.iterdir()] == ["best"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "model.json").unlink(), r"model\.json does not exist"),
        (lambda f: (f / "model.json").write_text("{"), r"model\.json is damaged"),
        (lambda f: (f / "model.json").write_text("[1]"), "holds no JSON object"),
        (lambda f: (f / "model.safetensors").unlink(), r"model\.safetensors can't be read"),
        (
            lambda f: (f / "model.safetensors").write_bytes(
                (f / "model.safetensors").read_bytes()[:-1]
            ),
            "is damaged: its hash is not the one saved",
        ),
        (lambda f: rewrite(f, whole=False, rows_needed=0), r"model\.json is damaged: its hash"),
        (lambda f: rewrite(f, validation={"rmse": None}), "holds no forecaster that can be used"),
        (lambda f: rewrite(f, format=99), "the format must be 5 or 4, but got 99"),
        (lambda f: rewrite(f, encoding={}), "holds no forecaster that can be used"),
        (lambda f: rewrite(f, members=2), "holds no forecaster that can be used"),
        (lambda f: rewrite(f, members=0), "it has no members"),
        (
            lambda f: rewrite(
                f, intervals={"levels": [[1.0]], "spreads": [[[1.0]], [[1.0]]], "quantiles": {}}
            ),
            "its intervals are not of its lead times",
        ),
        (
            lambda f: rewrite(
                f, intervals={"levels": [[1.0]], "spreads": [[1.0]], "quantiles": {}}
            ),
            "no table of levels and spreads",
        ),
    ],
)
def test_a_spoilt_folder_is_refused(
    forecaster: TrainedForecaster, tmp_path: Path, spoil: object, message: str
) -> None:
    folder = tmp_path / "best"
    forecaster.save(folder)
    spoil(folder)  # type: ignore[operator]
    with pytest.raises(InputError, match=message):
        TrainedForecaster.load(folder)


def rewrite(folder: Path, whole: bool = True, **changes: object) -> None:
    """whole: as somebody else would write it, with no hash to say that something is missing."""
    settings = json.loads((folder / "model.json").read_text())
    if whole:
        del settings["settings_sha256"]
    (folder / "model.json").write_text(json.dumps(settings | changes))


def test_files_are_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    files.write_file(file, b"one")
    files.write_file(file, b"two")
    assert file.read_bytes() == b"two"
    assert [f.name for f in tmp_path.iterdir()] == ["a.json"]
