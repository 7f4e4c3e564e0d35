"""A trained forecaster, or several that forecast together."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from torch import Tensor

from lstm_model.arrays import Float64Array
from lstm_model.configuration import AS_IT_STANDS, Configuration, KeptReading, Kind, Reading
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.encoding import FeatureEncoder, SeriesEncoders
from lstm_model.data.series_index import ONE_SERIES
from lstm_model.data.step import Step
from lstm_model.data.table import SeriesTable, parse_frame
from lstm_model.evaluation.metrics import Score
from lstm_model.files import PathLike, write_folder
from lstm_model.inference.forecasts import Forecasts
from lstm_model.inference.intervals import COVERAGES, Intervals, calibrate, calibrate_series
from lstm_model.inference.origins import Origins
from lstm_model.inference.saved_forecaster import describe, read_forecaster
from lstm_model.inference.table_checks import (
    LeftOutWarning,
    NewSeriesWarning,
    OutOfRangeWarning,
    check_columns,
    check_table,
    describe_left_out,
    describe_new,
    out_of_range,
    spell_booleans,
    without,
)
from lstm_model.inference.warm_start import WarmUpProbe
from lstm_model.model.forecaster import LSTMForecaster
from lstm_model.series_rules import NEIGHBOURS
from lstm_model.training.evaluator import SETTLING_ROWS


@dataclass(frozen=True)
class TrainedForecaster:
    """One model, or several whose mean counts, and all that turns a table into their forecasts.

    Attributes:
        models: of one configuration, trained with different seeds.
        names: of the N series that it has learned from; empty text where a table is one series.
        encoders: how each one's inputs are made, and those of series that training never saw.
        target: the column that is forecast.
        horizon: L; lead times are 1 to L steps.
        step: time between rows.
        change_scales: (N, L) of each series, in the target's unit. One that training never saw is
            scaled by its own rows so far.
        never_negative: by series, whether no target that the model or its calibration has seen was
            below zero: then no forecast and no bound is. One that training never saw is never
            negative where all are.
        validation_score: of a single model, where it was validated.
        intervals: how large the errors are: of the only series, in the target's unit; of several
            pooled over all of them, in units of each one's change scale. None in a trial's
            checkpoint, which has no bounds.
        intervals_by_series: in the target's unit, of those that have forecasts enough.
        rows_needed: how many rows a series must have before the first origin, that one included.
        reading: how a table's cells are read, as in training.
        simulated: whether the training data were.
    """

    models: tuple[LSTMForecaster, ...]
    config: Configuration
    names: tuple[str, ...]
    encoders: SeriesEncoders
    target: str
    horizon: int
    step: Step
    change_scales: Float64Array
    never_negative: tuple[bool, ...]
    validation_score: Score | None
    intervals: Intervals | None = None
    intervals_by_series: Mapping[str, Intervals] = field(default_factory=dict)
    rows_needed: int = SETTLING_ROWS
    reading: Reading = AS_IT_STANDS
    simulated: bool = False

    @classmethod
    def from_weights(
        cls,
        table: EncodedTable,
        target: str,
        config: Configuration,
        weights: dict[str, Tensor],
        validation_score: Score | None = None,
        reading: Reading = AS_IT_STANDS,
    ) -> Self:
        """A forecaster with the weights of a training on `table`, without intervals.

        Args:
            reading: of that table.
        """
        # Seeded, so that first weights, which are replaced, are not drawn from the process's own
        # generator.
        model = LSTMForecaster.seeded(table.inputs.shape[1], config, table.horizon, seed=0)
        model.load_state_dict(weights)
        learned = np.flatnonzero(table.learned)
        return cls(
            models=(model.eval(),),
            config=config,
            names=tuple(table.index.names[each] for each in learned),
            encoders=SeriesEncoders(
                tuple(table.encoders.each[each] for each in learned), table.encoders.of_others
            ),
            target=target,
            horizon=table.horizon,
            step=table.step,
            change_scales=np.stack([table.change_scales[each] for each in learned]),
            never_negative=tuple(table.never_negative[each] for each in learned),
            validation_score=validation_score,
            reading=reading,
        )

    @classmethod
    def ensemble(cls, members: Sequence[Self]) -> Self:
        """One that forecasts the mean of the members, which have everything but weights in common.

        It has no validation score: a member's says nothing about the mean.
        """
        return replace(
            members[0],
            models=tuple(model for member in members for model in member.models),
            validation_score=None,
            intervals=None,
            intervals_by_series={},
        )

    def with_intervals(
        self,
        validated: Sequence[tuple[EncodedTable, Float64Array]],
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
        own: dict[str, Intervals] = {}
        if self.is_one_series:
            intervals: Intervals | None = calibrate(validated)
        else:
            intervals, own = calibrate_series(validated)
        negative = {
            name
            for table, _ in validated
            for name, never in zip(table.index.names, table.never_negative, strict=True)
            if not never
        }
        return replace(
            self,
            intervals=intervals,
            intervals_by_series={name: own[name] for name in self.names if name in own},
            rows_needed=starts.rows_needed(self.models),
            reading=reading,
            never_negative=tuple(
                never and name not in negative
                for name, never in zip(self.names, self.never_negative, strict=True)
            ),
            simulated=simulated,
        )

    @property
    def model(self) -> LSTMForecaster:
        """The only one, or the first of several."""
        return self.models[0]

    @property
    def is_one_series(self) -> bool:
        """Whether the model is of a table that is one series, without a name."""
        return self.names == (ONE_SERIES,)

    @property
    def encoder(self) -> FeatureEncoder:
        """Of the only series, or of several that of one which training never saw: the channels and
        the categories are the same.
        """
        return self.encoders.each[0] if self.is_one_series else self.encoders.of_others

    @property
    def kinds(self) -> dict[str, Kind]:
        """The columns that are read: numbers first, then categories."""
        numbers: dict[str, Kind] = {channel.column: "number" for channel in self.encoder.numeric}
        kinds = numbers | {group.column: "category" for group in self.encoder.categorical}
        if self.reads_neighbours:
            del kinds[NEIGHBOURS]  # which is made of the target's column
        return kinds

    @property
    def static(self) -> tuple[str, ...]:
        """Those of the columns that do not change within a series."""
        return self.reading.static if isinstance(self.reading, KeptReading) else ()

    @property
    def reads_neighbours(self) -> bool:
        """Whether the mean of the other series' target is one of the inputs."""
        return isinstance(self.reading, KeptReading) and self.reading.neighbours

    @cached_property
    def _numbers(self) -> dict[str, int]:
        """Of the series by their names."""
        return {name: number for number, name in enumerate(self.names)}

    def encoder_of(self, series: str) -> FeatureEncoder:
        """How the inputs of a series are made."""
        number = self._numbers.get(series)
        return self.encoders.of_others if number is None else self.encoders.each[number]

    def change_scale_of(self, series: str) -> Float64Array | None:
        """(L,) in the target's unit; None of a series that training never saw."""
        number = self._numbers.get(series)
        return None if number is None else self.change_scales[number]

    def is_never_negative(self, series: str) -> bool:
        """Whether no forecast of a series may be below zero."""
        number = self._numbers.get(series)
        return all(self.never_negative) if number is None else self.never_negative[number]

    def forecast(self, frame: pd.DataFrame) -> Forecasts:
        """Forecasts from every row of a table that has rows enough before it.

        Of a table of several series, each one is forecast, also one that training never saw: from
        its own rows, and scaled by those up to each.

        Examples:
            >>> import lstm_model
            >>> hours = pd.date_range("2024-01-01", periods=800, freq="h", name="time")
            >>> wave = np.sin(np.arange(800) / 4)
            >>> table = pd.concat(
            ...     pd.DataFrame({"shop": name, "sold": level + wave}, hours)
            ...     for name, level in (("north", 3.0), ("south", 9.0))
            ... )
            >>> model = lstm_model.fit(
            ...     table, target="sold", series="shop", validation_from="2024-01-20", max_epochs=1
            ... )
            >>> renamed = table.assign(shop=table["shop"].replace("south", "west"))
            >>> forecasts = model.forecast(renamed)
            >>> sorted(forecasts.by_series), forecasts.new
            (['north', 'west'], ('west',))
            >>> forecasts.every_nth_origin(1000).table().columns[:3].tolist()
            ['series', 'origin', 'lead_time']

        Args:
            frame: the training's features as columns, in its units: numbers, texts or booleans,
                NaN where a value is missing. Its clock is its index, where that is a
                DatetimeIndex, else the columns that the training's table had. Other columns are
                not read.

        Returns:
            From the `rows_needed`-th row of a series on, or from its first observed target where
            that is later.

        Raises:
            TableError: the table is none that this model can forecast from; every problem at once.

        Warns:
            OutOfRangeWarning: values lie far outside the training range.
            LeftOutWarning: some series are too short, or were never observed; or neighbours of the
                training are not there.
            NewSeriesWarning: the model has not learned from some series.
        """
        return self.forecast_table(self.read_table(frame))

    def forecast_table(self, table: SeriesTable) -> Forecasts:
        """As forecast(), of a table as read_table() gives it."""
        left_out = check_table(
            table,
            self.encoder,
            target=self.target,
            step=self.step,
            horizon=self.horizon,
            rows_needed=self.rows_needed,
            static=self.static,
        )
        known = self.names if self.reads_neighbours else ()
        for sentence in describe_left_out(table.index, left_out, known):
            warnings.warn(sentence, LeftOutWarning, stacklevel=3)
        table = without(table, left_out)
        if new := tuple(name for name in table.index.names if name not in self._numbers):
            warnings.warn(describe_new(table.index, new), NewSeriesWarning, stacklevel=3)
        for sentence in out_of_range(table, self.encoder_of):
            warnings.warn(sentence, OutOfRangeWarning, stacklevel=3)
        origins = Origins(self, table)
        point = origins.forecast(self.models)
        bounds = self._bounds(point, origins)
        pooled: tuple[str, ...] = ()
        if bounds and not self.is_one_series:
            own = {*new, *self.intervals_by_series}
            pooled = tuple(name for name in table.index.names if name not in own)
        return Forecasts(
            origins.times, self.step, point, bounds, origins.index, left_out, pooled, new
        )

    def _bounds(
        self, point: Float64Array, origins: Origins
    ) -> dict[float, tuple[Float64Array, Float64Array]]:
        """As Forecasts has them."""
        parts = [
            self.prediction_intervals(
                point[rows], origins.floors[rows], series=name, scales=origins.scales[rows]
            )
            for name, rows in origins.index
        ]
        low, high = (
            {claim: np.concatenate([part[claim][side] for part in parts]) for claim in parts[0]}
            for side in (0, 1)
        )
        return {claim: (low[claim], high[claim]) for claim in low}

    def prediction_intervals(
        self,
        forecasts: Float64Array,
        lower_limit: Float64Array | float = -np.inf,
        *,
        series: str = ONE_SERIES,
        scales: Float64Array | None = None,
    ) -> dict[float, tuple[Float64Array, Float64Array]]:
        """(T, L) lower and upper bounds of (T, L) forecasts of one series, as Forecasts has them.

        Args:
            lower_limit: (T, 1), or one for all: what the target can't fall below, see floors().
            series: its name.
            scales: (T, L) its changes' size by each row, of one that training never saw.
        """
        if self.intervals is None and not self.intervals_by_series:
            return {}
        own = self.intervals if self.is_one_series else self.intervals_by_series.get(series)
        if own is not None:
            return own.bounds(forecasts, lower_limit)
        units = self.change_scale_of(series)
        units = scales if units is None else np.broadcast_to(units, forecasts.shape)
        if self.intervals is None or units is None:
            unknown = np.full_like(forecasts, np.nan)
            return dict.fromkeys(COVERAGES, (unknown, unknown))
        return self.intervals.bounds_in_units(forecasts, units, lower_limit)

    def read_table(self, frame: pd.DataFrame) -> SeriesTable:
        """The features by time, read as in training; raises TableError where they can't be."""
        melted = (self.target,) if self.reading.targets else ()
        read = dict.fromkeys((*self.kinds, *self.reading.series_columns))
        named = [name for name in read if name not in melted]
        check_columns(frame, named, self.reading)
        frame = spell_booleans(frame, self.encoder.categorical)
        return parse_frame(
            frame,
            self.reading,
            target=self.target,
            kinds=self.kinds,
            step=self.step,
            static=self.static,
            neighbours=self.reads_neighbours,
        )

    def files(self) -> dict[str, bytes]:
        """The folder's files by name."""
        return describe(self).files([model.state_dict() for model in self.models])

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
        return cls(**read_forecaster(folder))
