"""A trained forecaster as model.json has it, and back."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from lstm_model.configuration import KeptReading
from lstm_model.data.encoding import FeatureEncoder, SeriesEncoders
from lstm_model.data.series_index import ONE_SERIES
from lstm_model.evaluation.metrics import Score
from lstm_model.files import PathLike
from lstm_model.inference.intervals import Intervals
from lstm_model.inference.model_file import ModelFile, unusable
from lstm_model.inference.series_numbers import encoder_from_json, series_to_json
from lstm_model.model.forecaster import LSTMForecaster
from lstm_model.training.state import by_prefix

if TYPE_CHECKING:
    from lstm_model.inference.predictor import TrainedForecaster

POOLED = "pooled"  # what a series has in place of intervals of its own


def describe(forecaster: "TrainedForecaster") -> ModelFile:
    """All but the weights. A model of one series without a name has no block of series."""
    score, intervals = forecaster.validation_score, forecaster.intervals
    is_one = forecaster.is_one_series
    return ModelFile(
        members=len(forecaster.models),
        configuration=forecaster.config,
        target=forecaster.target,
        reading=KeptReading.model_validate(forecaster.reading.model_dump()),
        never_negative=all(forecaster.never_negative),
        simulated=forecaster.simulated,
        horizon=forecaster.horizon,
        step_seconds=forecaster.step.count if forecaster.step.is_fixed else None,
        calendar_step=(
            None if forecaster.step.is_fixed else (int(forecaster.step.count), forecaster.step.unit)
        ),
        rows_needed=forecaster.rows_needed,
        input_channels=forecaster.encoder.channels,
        encoding=forecaster.encoder.to_json(),
        change_scale=tuple(forecaster.change_scales[0].tolist()) if is_one else None,
        validation=_without_nan(score.to_state()) if score else None,
        intervals=intervals.to_json() if intervals else None,
        series=None if is_one else describe_series(forecaster),
    )


def describe_series(forecaster: "TrainedForecaster") -> dict[str, dict[str, Any]]:
    """What each series has of its own."""
    blocks = {}
    for name, encoder, scale, never_negative in zip(
        forecaster.names,
        forecaster.encoders.each,
        forecaster.change_scales,
        forecaster.never_negative,
        strict=True,
    ):
        blocks[name] = series_to_json(encoder, scale, never_negative)
        if forecaster.intervals or forecaster.intervals_by_series:
            own = forecaster.intervals_by_series.get(name)
            blocks[name]["intervals"] = own.to_json() if own else POOLED
    return blocks


def read_forecaster(folder: PathLike) -> dict[str, Any]:
    """The fields of the TrainedForecaster that a folder holds.

    Raises:
        InputError: the folder or a file of it is missing, damaged or of another format.
    """
    saved, tensors = ModelFile.read(folder)
    try:
        return {
            "models": _read_models(saved, tensors),
            "config": saved.configuration,
            "target": saved.target,
            "horizon": saved.horizon,
            "step": saved.step,
            "validation_score": (
                Score.from_json(_with_nan(saved.validation)) if saved.validation else None
            ),
            "intervals": _read_intervals(saved, saved.intervals),
            "rows_needed": saved.rows_needed,
            "reading": saved.reading,
            "simulated": saved.simulated,
            **_read_series(saved),
        }
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise unusable(folder, error) from error


def _read_models(saved: ModelFile, tensors: dict[str, Tensor]) -> tuple[LSTMForecaster, ...]:
    parts = by_prefix(tensors)
    channels = len(FeatureEncoder.from_json(saved.encoding).channels)
    models = []
    for number in range(saved.members):
        model = LSTMForecaster.seeded(channels, saved.configuration, saved.horizon, seed=0)
        model.load_state_dict(parts[str(number)])
        models.append(model.eval())
    if not models:
        raise ValueError("it has no members")
    return tuple(models)


def _read_series(saved: ModelFile) -> dict[str, Any]:
    """The fields that tell of the series."""
    encoder = FeatureEncoder.from_json(saved.encoding)
    if saved.series is None:
        if saved.change_scale is None:
            raise ValueError("it has no change_scale")
        return {
            "names": (ONE_SERIES,),
            "encoders": SeriesEncoders((encoder,), encoder),  # there are no others
            "change_scales": np.array([saved.change_scale]),
            "never_negative": (saved.never_negative,),
        }
    if not saved.series:
        raise ValueError("it has no series")
    blocks = saved.series.values()
    scales = np.array([block["change_scale"] for block in blocks], np.float64)
    if scales.shape != (len(blocks), saved.horizon):
        raise ValueError("its change scales are not of its lead times")
    own = {name: block.get("intervals", POOLED) for name, block in saved.series.items()}
    return {
        "names": tuple(saved.series),
        "encoders": SeriesEncoders(
            tuple(encoder_from_json(block, encoder) for block in blocks), encoder
        ),
        "change_scales": scales,
        "never_negative": tuple(bool(block["never_negative"]) for block in blocks),
        "intervals_by_series": {
            name: _read_intervals(saved, block) for name, block in own.items() if block != POOLED
        },
    }


def _read_intervals(saved: ModelFile, block: dict[str, Any] | None) -> Intervals | None:
    if block is None:
        return None
    intervals = Intervals.from_json(block)
    if len(intervals.knots) != saved.horizon:
        raise ValueError("its intervals are not of its lead times")
    return intervals


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: where a series was not scored, there is nothing."""
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _with_nan(value: Any) -> Any:
    """What _without_nan() was given."""
    if isinstance(value, dict):
        return {key: _with_nan(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_nan(each) for each in value]
    return math.nan if value is None else value
