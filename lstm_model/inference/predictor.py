"""A trained forecaster, or several that forecast together."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lstm_model.arrays import Float64Array
from lstm_model.configuration import AS_IT_STANDS, Configuration, KeptReading, Kind, Reading
from lstm_model.data.encoding import FeatureEncoder
from lstm_model.data.series import EncodedSeries, floors
from lstm_model.data.step import Step
from lstm_model.data.table import parse_frame
from lstm_model.evaluation.metrics import Score
from lstm_model.files import PathLike, write_folder
from lstm_model.inference.intervals import Forecasts, Intervals, calibrate
from lstm_model.inference.model_file import ModelFile, unusable
from lstm_model.inference.table_checks import (
    OutOfRangeWarning,
    check_columns,
    check_table,
    out_of_range,
    spell_booleans,
)
from lstm_model.inference.warm_start import WarmUpProbe
from lstm_model.model.forecaster import LSTMForecaster
from lstm_model.training.evaluator import SETTLING_ROWS, Segments
from lstm_model.training.state import by_prefix


@dataclass(frozen=True)
class TrainedForecaster:
    """One model, or several whose mean counts, and all that turns a table into their forecasts.

    Attributes:
        models: of one configuration, trained with different seeds.
        target: the column that is forecast.
        horizon: L; lead times are 1 to L steps.
        step: time between rows.
        change_scale: (L,) in the target's unit.
        validation_score: of a single model, where it was validated.
        intervals: how large the errors are; None in a trial's checkpoint, which has no bounds.
        rows_needed: how many rows a table must have before the first origin, that one included.
        reading: how a table's cells are read, as in training.
        never_negative: whether no target that the model or its calibration has seen was below
            zero: then no forecast and no bound is.
        simulated: whether the training data were.
    """

    models: tuple[LSTMForecaster, ...]
    config: Configuration
    encoder: FeatureEncoder
    target: str
    horizon: int
    step: Step
    change_scale: Float64Array
    validation_score: Score | None
    intervals: Intervals | None = None
    rows_needed: int = SETTLING_ROWS
    reading: Reading = AS_IT_STANDS
    never_negative: bool = False
    simulated: bool = False

    @classmethod
    def from_weights(
        cls,
        series: EncodedSeries,
        target: str,
        config: Configuration,
        weights: dict[str, Tensor],
        validation_score: Score | None = None,
        reading: Reading = AS_IT_STANDS,
    ) -> Self:
        """A forecaster with the weights of a training on `series`, without intervals.

        Args:
            reading: of the table that the series is of.
        """
        # Seeded, so that first weights, which are replaced, are not drawn from the process's own
        # generator.
        model = LSTMForecaster.seeded(series.inputs.shape[1], config, series.horizon, seed=0)
        model.load_state_dict(weights)
        return cls(
            models=(model.eval(),),
            config=config,
            encoder=series.encoder,
            target=target,
            horizon=series.horizon,
            step=series.step,
            change_scale=series.change_scale,
            validation_score=validation_score,
            never_negative=series.never_negative,
            reading=reading,
        )

    @classmethod
    def ensemble(cls, members: Sequence[Self]) -> Self:
        """One that forecasts the mean of the members, which have everything but weights in common.

        It has no validation score: a member's says nothing about the mean.
        """
        models = tuple(model for member in members for model in member.models)
        return replace(members[0], models=models, validation_score=None, intervals=None)

    def with_intervals(
        self,
        validated: Sequence[tuple[EncodedSeries, Float64Array]],
        starts: WarmUpProbe,
        reading: Reading,
        *,
        simulated: bool,
    ) -> Self:
        """With what a forecast of tomorrow needs beside a model: intervals, and rows to settle.

        Args:
            validated: what the intervals are calibrated on, as calibrate() takes it: of this model
                before it learned from these hours, and of as many seeds as it has.
            starts: of rows before the test.
            reading: of the study's table.
            simulated: whether its data were.
        """
        return replace(
            self,
            intervals=calibrate(validated),
            rows_needed=starts.rows_needed(self.models),
            reading=reading,
            never_negative=self.never_negative
            and all(series.never_negative for series, _ in validated),
            simulated=simulated,
        )

    @property
    def model(self) -> LSTMForecaster:
        """The only one, or the first of several."""
        return self.models[0]

    @property
    def kinds(self) -> dict[str, Kind]:
        """The features: numbers first, then categories."""
        numbers: dict[str, Kind] = {channel.column: "number" for channel in self.encoder.numeric}
        return numbers | {group.column: "category" for group in self.encoder.categorical}

    def forecast(self, frame: pd.DataFrame) -> Forecasts:
        """Forecasts from every row of a table that has rows enough before it.

        Args:
            frame: the training's features as columns, in its units: numbers, texts or booleans,
                NaN where a value is missing. Its clock is its index, where that is a
                DatetimeIndex, else the columns that the training's table had. Other columns are
                not read.

        Returns:
            From the `rows_needed`-th row on, or from the first observed target where that is later.

        Raises:
            TableError: the table is none that this model can forecast from; every problem at once.

        Warns:
            OutOfRangeWarning: values lie far outside the training range.
        """
        return self.forecast_table(self.read_table(frame))

    def forecast_table(self, table: pd.DataFrame) -> Forecasts:
        """As forecast(), of a table as read_table() gives it."""
        check_table(
            table,
            self.encoder,
            target=self.target,
            step=self.step,
            horizon=self.horizon,
            rows_needed=self.rows_needed,
        )
        for sentence in out_of_range(table, self.encoder):
            warnings.warn(sentence, OutOfRangeWarning, stacklevel=3)
        target = table[self.target].to_numpy(np.float64)
        first = max(self.rows_needed - 1, int(np.isfinite(target).argmax()))
        # One after the other: together they are no faster, and take more memory.
        segments = Segments(torch.from_numpy(self.encoder.transform(table)), first)
        last_observed = table[self.target].ffill().to_numpy(np.float64)[first:, None]
        floor = floors(target, self.never_negative)[first:, None]
        lowest = floor - last_observed
        changes = [
            np.maximum(segments.forecast(model) * self.change_scale, lowest)
            for model in self.models
        ]
        point = last_observed + np.mean(changes, axis=0)
        times = table.index
        assert isinstance(times, pd.DatetimeIndex)
        bounds = self.prediction_intervals(point, floor)
        return Forecasts(times[first:], self.step, point, bounds)

    def prediction_intervals(
        self, forecasts: Float64Array, lower_limit: Float64Array | float = -np.inf
    ) -> dict[float, tuple[Float64Array, Float64Array]]:
        """(T, L) lower and upper bounds of (T, L) forecasts, as Forecasts.bounds has them.

        Args:
            lower_limit: (T, 1), or one for all: what the target can't fall below, see floors().
        """
        return {} if self.intervals is None else self.intervals.bounds(forecasts, lower_limit)

    def read_table(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The features by time, read as in training; raises TableError where they can't be."""
        check_columns(frame, self.encoder.columns)
        frame = spell_booleans(frame, self.encoder.categorical)
        return parse_frame(
            frame, self.reading, target=self.target, kinds=self.kinds, step=self.step
        )

    def files(self) -> dict[str, bytes]:
        """The folder's files by name."""
        score, intervals = self.validation_score, self.intervals
        return ModelFile(
            members=len(self.models),
            configuration=self.config,
            target=self.target,
            reading=KeptReading.model_validate(self.reading.model_dump()),
            never_negative=self.never_negative,
            simulated=self.simulated,
            horizon=self.horizon,
            step_seconds=self.step.count if self.step.is_fixed else None,
            calendar_step=None if self.step.is_fixed else (int(self.step.count), self.step.unit),
            rows_needed=self.rows_needed,
            input_channels=self.encoder.channels,
            encoding=self.encoder.to_json(),
            change_scale=tuple(self.change_scale.tolist()),
            validation=score.by_lead_time() if score else None,
            intervals=intervals.to_json() if intervals else None,
        ).files([model.state_dict() for model in self.models])

    def save(self, folder: str | PathLike) -> None:
        """Write the folder, in place of one that may be there.

        The new folder is complete before the old one moves away.
        """
        write_folder(Path(folder) if isinstance(folder, str) else folder, self.files())

    def export(self, file: str | Path) -> None:
        """Write `file`, an ONNX graph of one step, and how to feed it in a .json of the same stem.

        Raises:
            InputError: the file can't lie there, or the library onnx is not installed.
        """
        from lstm_model.inference.onnx_export import export  # what few need is imported late

        export(self, file)

    @classmethod
    def load(cls, folder: PathLike) -> Self:
        """What save() wrote.

        Raises:
            InputError: the folder or a file of it is missing, damaged or of another format.
        """
        saved, tensors = ModelFile.read(folder)
        try:
            encoder = FeatureEncoder.from_json(saved.encoding)
            parts = by_prefix(tensors)
            models = []
            for number in range(saved.members):
                model = LSTMForecaster.seeded(
                    len(encoder.channels), saved.configuration, saved.horizon, seed=0
                )
                model.load_state_dict(parts[str(number)])
                models.append(model.eval())
            intervals = None
            if saved.intervals is not None:
                intervals = Intervals.from_json(saved.intervals)
                if len(intervals.knots) != saved.horizon:
                    raise ValueError("its intervals are not of its lead times")
            if not models:
                raise ValueError("it has no members")
            return cls(
                models=tuple(models),
                config=saved.configuration,
                encoder=encoder,
                target=saved.target,
                horizon=saved.horizon,
                step=saved.step,
                change_scale=np.array(saved.change_scale),
                validation_score=Score.from_json(saved.validation) if saved.validation else None,
                intervals=intervals,
                rows_needed=saved.rows_needed,
                reading=saved.reading,
                never_negative=saved.never_negative,
                simulated=saved.simulated,
            )
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise unusable(folder, error) from error
