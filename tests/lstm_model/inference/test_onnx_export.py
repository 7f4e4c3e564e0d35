"""The exported step, run row by row, against forecast()."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch

from lstm_model.arrays import Float64Array
from lstm_model.configuration import Configuration
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.errors import InputError
from lstm_model.inference.predictor import TrainedForecaster
from lstm_model.model.forecaster import LSTMForecaster
from tests.lstm_model.shops import shops, train_shops

WEEK = 168


def forecaster_of(series: EncodedTable, layers: int, members: int) -> TrainedForecaster:
    """Of random weights, the head's too: untrained, all forecasts would be 0."""
    config = Configuration(hidden_size=6, num_layers=layers, chunk_length=20, context_length=6)
    parts = []
    for seed in range(members):
        model = LSTMForecaster.seeded(series.inputs.shape[1], config, series.horizon, seed)
        draw = torch.Generator().manual_seed(seed)
        torch.nn.init.normal_(model.head.weight, std=3.0, generator=draw)
        torch.nn.init.normal_(model.head.bias, mean=-4.0, std=3.0, generator=draw)
        weights = model.state_dict()
        parts.append(TrainedForecaster.from_weights(series, "pm", config, weights))
    return TrainedForecaster.ensemble(parts)


def run_steps(forecaster: TrainedForecaster, table: pd.DataFrame, file: Path) -> Float64Array:
    """Points from every row, as a service makes them of the two files."""
    facts = json.loads(file.with_suffix(".json").read_text())
    session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    shape = (facts["members"], facts["num_layers"], 1, facts["hidden_size"])
    long_term = short_term = np.zeros(shape, np.float32)
    encoded = forecaster.encoder.transform(table)
    zeros = np.zeros((facts["zero_rows_before"], encoded.shape[1]), np.float32)
    last = table["pm"].ffill().to_numpy(np.float64)
    start, points = len(zeros), []
    for number, row in enumerate(np.concatenate([zeros, encoded])):
        observed = last[max(0, number - start)]
        cut = facts["never_negative"] and np.isfinite(observed)
        change, long_term, short_term = session.run(
            ["change", "new_long_term", "new_short_term"],
            {
                "inputs": row[None],
                "long_term": long_term,
                "short_term": short_term,
                "lowest_change": np.array([[-observed if cut else -np.inf]]),
            },
        )
        if number >= start:
            points.append(observed + change[0])
    return np.array(points)


@pytest.mark.parametrize("rows_needed", [30, WEEK + 1])
@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("layers", [1, 2])
def test_a_week_of_steps_gives_the_forecasts(
    series: EncodedTable,
    table: pd.DataFrame,
    tmp_path: Path,
    layers: int,
    members: int,
    rows_needed: int,
) -> None:
    forecaster = replace(forecaster_of(series, layers, members), rows_needed=rows_needed)
    assert forecaster.never_negative == (True,)
    assert forecaster.horizon == 3
    week = table.head(rows_needed - 1 + WEEK)
    forecaster.export(tmp_path / "model.onnx")
    points = run_steps(forecaster, week, tmp_path / "model.onnx")[rows_needed - 1 :]
    expected = forecaster.forecast(week).point
    assert len(expected) == WEEK
    change = series.change_scales[0].max()
    np.testing.assert_allclose(points, expected, rtol=1e-5, atol=1e-5 * change)
    cut = (
        forecaster.forecast(week).point
        - replace(forecaster, never_negative=(False,)).forecast(week).point
    )
    assert (cut > 1).any(), "else no member's forecast is cut, and nothing is said of the floor"


def encode(facts: dict[str, Any], name: str, frame: pd.DataFrame) -> tuple[Any, Any]:
    """(T, F) inputs and (T, L) change scales of one series, from the JSON's numbers alone."""
    own, encoding = facts["series"].get(name), facts["encoding"]

    def standardise(values: "pd.Series[float]", mean: float, scale: float | None) -> Any:
        if scale is None:
            mean_so_far, scale_so_far = values.expanding().mean(), values.expanding().std(ddof=0)
            return ((values - mean_so_far) / scale_so_far).where(scale_so_far > 0, 0).to_numpy()
        return ((values - mean) / scale if scale else 0 * values).fillna(0).to_numpy()

    channels: dict[str, Any] = {}
    for number, channel in enumerate(encoding["numeric"]):
        column = channel["column"]
        filled = frame[column].ffill()
        values = np.log1p(filled) if channel["logarithm"] else filled
        scales = own["numeric"][number][:2] if own else (channel["mean"], channel["scale"])
        channels[column] = standardise(values, *scales)
    for group in encoding["categorical"]:
        last = frame[group["column"]].ffill()
        for kind in group["categories"]:
            channels[f"{group['column']}={kind}"] = (last == kind).to_numpy()
    for number, channel in enumerate(encoding["past"]):
        filled = frame[channel["column"]].ffill()
        values = np.log1p(filled) if channel["logarithm"] else filled
        means = values.rolling(channel["rows"], min_periods=1).mean()
        scales = own["past"][number] if own else (channel["mean"], channel["scale"])
        channels[f"{channel['column']}:mean{channel['rows']}"] = standardise(means, *scales)
    inputs = np.stack([channels[name] for name in facts["input_channels"]], axis=1)
    if own:
        return inputs, np.tile(own["change_scale"], (len(frame), 1))
    target = frame[facts["target"]]
    changes = [target - target.ffill().shift(lead) for lead in range(1, facts["horizon"] + 1)]
    squares = pd.concat([change**2 for change in changes], axis=1).expanding().mean()
    return inputs, np.sqrt(squares).fillna(0).to_numpy()


@pytest.mark.filterwarnings("ignore::lstm_model.inference.table_checks.NewSeriesWarning")
def test_the_steps_of_two_series(tmp_path: Path) -> None:
    """One that training knows and a new one, each fed by the JSON's numbers alone."""
    model = replace(train_shops(), rows_needed=30)
    table = shops(big=400, new=37)
    model.export(tmp_path / "model.onnx")
    facts = json.loads((tmp_path / "model.json").read_text())
    session = onnxruntime.InferenceSession(
        (tmp_path / "model.onnx").read_bytes(), providers=["CPUExecutionProvider"]
    )
    assert sorted(facts["series"]) == ["big", "small"]
    assert "intervals" not in facts["series"]["big"]
    shape = (facts["members"], facts["num_layers"], 1, facts["hidden_size"])
    for name, own in model.forecast(table).by_series.items():
        # As many rows as lie in the first segment.
        frame = table[table["shop"] == name].head(300)
        inputs, scales = encode(facts, name, frame)
        long_term = short_term = np.zeros(shape, np.float32)
        before = np.zeros((facts["zero_rows_before"], inputs.shape[1]))
        points, last = [], frame["sold"].ffill().to_numpy()
        for number, row in enumerate(np.concatenate([before, inputs])):
            at = max(0, number - len(before))
            change, long_term, short_term = session.run(
                ["change", "new_long_term", "new_short_term"],
                {
                    "inputs": row[None].astype(np.float32),
                    "long_term": long_term,
                    "short_term": short_term,
                    "lowest_change": -last[[at], None],
                    "change_scale": scales[[at]],
                },
            )
            points.append(last[at] + change[0])
        found = np.array(points)[len(before) + 29 :]
        np.testing.assert_allclose(found, own.point[: len(found)], rtol=1e-4)


def test_what_is_no_lstm_forecaster_is_refused(series: EncodedTable, tmp_path: Path) -> None:
    class Other(LSTMForecaster):
        pass

    forecaster = forecaster_of(series, 1, 1)
    other = Other(series.inputs.shape[1], forecaster.config, series.horizon)
    with pytest.raises(InputError, match="LSTMForecaster can be exported, but got a Other"):
        replace(forecaster, models=(other,)).export(tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_without_the_library_it_says_what_to_install(
    series: EncodedTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match=r"pip install 'lstm-tuning\[onnx\]'"):
        forecaster_of(series, 1, 1).export(tmp_path / "model.onnx")


def test_a_place_where_it_cant_lie_is_refused(series: EncodedTable, tmp_path: Path) -> None:
    forecaster = forecaster_of(series, 1, 1)
    with pytest.raises(InputError, match="must lie in a folder that is there"):
        forecaster.export(tmp_path / "none" / "model.onnx")
    with pytest.raises(InputError, match=r"must end with \.onnx"):
        forecaster.export(tmp_path / "model.json")
    forecaster.save(tmp_path / "best")
    with pytest.raises(InputError, match="is a saved model's"):
        forecaster.export(tmp_path / "best" / "model.onnx")
    TrainedForecaster.load(tmp_path / "best")
