"""A trained forecaster, or several that forecast together: at work, and on disk.

A folder holds `model.safetensors` (weights) and `model.json` (all else that a forecast needs). It
is written whole or not at all, and nothing in it is pickled.
"""

import hashlib
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as dump_tensors
from torch import Tensor

from lstm_model.arrays import Float64Array
from lstm_model.configuration import AS_IT_STANDS, Configuration, Kind, Reading
from lstm_model.data.columns import NONE
from lstm_model.data.csv_table import parse_frame, room
from lstm_model.data.series import EncodedSeries, FeatureEncoder, floors
from lstm_model.errors import InputError, TableError, os_error_text
from lstm_model.evaluation.metrics import Score
from lstm_model.files import PathLike, read_bytes, read_json, write_folder
from lstm_model.inference.intervals import Forecasts, Intervals, calibrate
from lstm_model.inference.warm_start import WarmUpProbe
from lstm_model.model.forecaster import LSTMForecaster
from lstm_model.training.evaluator import SETTLING_ROWS, Segments
from lstm_model.training.state import by_prefix
from lstm_model.wording import distinct

# Of model.json. Format 2 had the clock's columns where the reading is now, and no floor.
MODEL_FORMAT, LAST_MODEL_FORMAT = 3, 2
WEIGHTS, SETTINGS = "model.safetensors", "model.json"

# A value is far outside the training range where it lies beyond it by more than this share of it:
# so another unit is noticed, and a record is not.
FAR_OUTSIDE = 0.5


class OutOfRangeWarning(UserWarning):
    """Values far outside the training range: what a model makes of them nobody has seen."""


@dataclass(frozen=True)
class TrainedForecaster:
    """One model, or several whose mean counts, and all that turns a table into their forecasts.

    Attributes:
        models: of one configuration, trained with different seeds.
        target: the column that is forecast.
        horizon: L; lead times are 1 to L steps.
        step: time between rows.
        change_scale: (L,) in the target's unit.
        validation: of a single model, where it was validated.
        intervals: how large the errors are; None in a trial's checkpoint, which has no bounds.
        rows_needed: how many rows a table must have before the first origin, that one included.
        reading: how a table's cells are read, as in training.
        never_negative: whether no target that the model or its calibration has seen was below
            zero: then no forecast and no bound is.
        cuts_forecasts: False of a model of format 2, which cuts its bounds at zero alone.
        simulated: whether the training data were.
    """

    models: tuple[LSTMForecaster, ...]
    config: Configuration
    encoding: FeatureEncoder
    target: str
    horizon: int
    step: pd.Timedelta
    change_scale: Float64Array
    validation: Score | None
    intervals: Intervals | None = None
    rows_needed: int = SETTLING_ROWS
    reading: Reading = AS_IT_STANDS
    never_negative: bool = False
    cuts_forecasts: bool = True
    simulated: bool = False

    @classmethod
    def of(
        cls,
        series: EncodedSeries,
        target: str,
        config: Configuration,
        weights: dict[str, Tensor],
        validation: Score | None = None,
        reading: Reading = AS_IT_STANDS,
    ) -> Self:
        """The weights of a training on `series`, with what it takes to use them.

        reading: of the table that the series is of.
        """
        model = LSTMForecaster(series.inputs.shape[1], config, series.horizon)
        model.load_state_dict(weights)
        return cls(
            models=(model.eval(),),
            config=config,
            encoding=series.encoding,
            target=target,
            horizon=series.horizon,
            step=series.step,
            change_scale=series.change_scale,
            validation=validation,
            never_negative=series.never_negative,
            reading=reading,
        )

    @classmethod
    def ensemble(cls, members: Sequence[Self]) -> Self:
        """One that forecasts the mean of the members, which have everything but weights in common.

        What validation says of one of them says nothing about their mean.
        """
        models = tuple(model for member in members for model in member.models)
        return replace(members[0], models=models, validation=None, intervals=None)

    def completed(
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
        numbers: dict[str, Kind] = {each.column: "number" for each in self.encoding.numeric}
        return numbers | {each.column: "category" for each in self.encoding.categorical}

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
            FarOutside: values lie far outside the training range.
        """
        table = self._read(frame)
        first = self._first_origin(table)
        inputs = torch.from_numpy(self.encoding.inputs(table))
        # One after the other: together they are no faster, and take more memory.
        stretches = Segments(inputs, first)
        target = table[self.target].to_numpy(np.float64)
        last = table[self.target].ffill().to_numpy(np.float64)[first:, None]
        floor = floors(target, self.never_negative)[first:, None]
        least = floor - last if self.cuts_forecasts else -np.inf
        changes = [
            np.maximum(stretches.forecast(model) * self.change_scale, least)
            for model in self.models
        ]
        values = last + np.mean(changes, axis=0)
        times = table.index
        assert isinstance(times, pd.DatetimeIndex)
        return Forecasts(times[first:], self.step, values, self.bounds(values, floor))

    def bounds(
        self, forecasts: Float64Array, floor: Float64Array | float = -np.inf
    ) -> dict[float, tuple[Float64Array, Float64Array]]:
        """(T, L) lower and upper bounds of (T, L) forecasts, as Forecasts.bounds has them.

        Args:
            floor: (T, 1), or one for all: what the target can't fall below, as floors() has it.
        """
        return {} if self.intervals is None else self.intervals.bounds(forecasts, floor)

    def _read(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The features by time, as the model's reader reads them."""
        if missing := [name for name in self.encoding.columns if name not in frame.columns]:
            raise TableError(
                f"the table must have the columns that the model was trained on "
                f"({', '.join(self.encoding.columns)}), but {', '.join(missing)} "
                f"{'is' if len(missing) == 1 else 'are'} missing"
            )
        if twice := [name for name in self.encoding.columns if list(frame.columns).count(name) > 1]:
            raise TableError(
                f"each column must be there once, but {', '.join(twice)} is there twice; drop one"
            )
        spelled = {}
        for group in self.encoding.categorical:
            values = frame[group.column].dropna()
            if len(values) and values.map(lambda value: isinstance(value, bool | np.bool_)).all():
                # A CSV may have `true` where pandas has a boolean.
                kinds = {kind.casefold(): kind for kind in group.categories}
                spelled[group.column] = frame[group.column].map(
                    lambda value, kinds=kinds: kinds.get(str(value).casefold(), str(value)),
                    na_action="ignore",
                )
        return parse_frame(
            frame.assign(**spelled), self.reading, target=self.target, kinds=self.kinds
        )

    def _first_origin(self, table: pd.DataFrame) -> int:
        """The row of the first forecast; raises TableError where the table can't be forecast from,
        and warns of values far outside the training range.
        """
        problems = [*self._wrong_clock(table), *self._wrong_categories(table)]
        if len(table) < self.rows_needed:
            problems.append(
                f"the table must have {self.rows_needed} rows or more, after which this model's "
                f"forecasts have settled, but has {len(table)}; give it a longer past"
            )
        if problems:
            raise TableError("\n".join(problems))
        observed = table[self.target].notna().to_numpy()
        if not observed.any():
            raise TableError(
                f"{self.target} must have been observed in at least one row, but never was: a "
                "forecast is a change from its last value"
            )
        for sentence in self._far_outside(table):
            warnings.warn(sentence, OutOfRangeWarning, stacklevel=3)
        return max(self.rows_needed - 1, int(observed.argmax()))

    def _wrong_clock(self, table: pd.DataFrame) -> list[str]:
        times = table.index
        assert isinstance(times, pd.DatetimeIndex)
        if times.tz is not None:
            return [
                "the table's times must have no zone, as those that the model was trained on, but "
                f"have {times.tz}; table.index.tz_convert(ZONE).tz_localize(None) has the "
                "training's, where ZONE was its own, such as 'UTC'"
            ]
        steps = times[1:] - times[:-1]
        if (other := steps != self.step).any():
            row = int(other.argmax())
            return [
                f"rows must be {self.step} apart, as those that the model was trained on, but from "
                f"{times[row]} to {times[row + 1]} it is {steps[row]}"
            ]
        if len(times) and room(times[-1], self.step) < self.horizon:
            return [
                f"the table must end {self.horizon} rows or more before the year 10000, as what is "
                f"forecast has no time then, but ends at {times[-1]}; end it earlier"
            ]
        return []

    def _wrong_categories(self, table: pd.DataFrame) -> list[str]:
        """Categories that training never saw."""
        problems = []
        for group in self.encoding.categorical:
            column = table[group.column].dropna()
            if len(unknown := column[~column.isin(group.categories)]):
                known = ", ".join(group.categories)
                problems.append(
                    f"{group.column} must be one of {known}, as in training, but {len(unknown)} "
                    f"rows differ, the first with {str(unknown.iloc[0])[:60]!r} at "
                    f"{unknown.index[0]}; leave empty what has no place among these"
                )
        return problems

    def _far_outside(self, table: pd.DataFrame) -> list[str]:
        """What the model has seen nothing like, a sentence each."""
        sentences = []
        for channel in self.encoding.numeric:
            values = table[channel.column]
            margin = FAR_OUTSIDE * (channel.most - channel.least)
            beyond = (values < channel.least - margin) | (values > channel.most + margin)
            if channel.scale > 0 and beyond.any():
                far = values[beyond]
                least, most, first = distinct([channel.least, channel.most, far.iloc[0]])
                sentences.append(
                    f"{channel.column} was from {least} to {most} in training, but is far outside "
                    f"in {len(far)} rows, the first with {first} at {far.index[0]}: is it in the "
                    "same unit? Forecasts may mean nothing"
                )
        for group in self.encoding.categorical:
            # pandas.read_csv reads it as missing, and the last category would be repeated.
            column = table[group.column]
            if NONE in group.categories and column.isna().any() and not (column == NONE).any():
                sentences.append(
                    f"{group.column} was {NONE} in some rows of training, and is in none here, but "
                    f"empty in {int(column.isna().sum())}, where the last category is repeated: "
                    "pandas.read_csv keeps the text with keep_default_na=False, na_values=['']"
                )
        return sentences

    def files(self) -> dict[str, bytes]:
        """The folder's files by name."""
        weights = dump_tensors(
            {
                f"{number}.{name}": tensor
                for number, model in enumerate(self.models)
                for name, tensor in model.state_dict().items()
            }
        )
        settings = {
            "format": MODEL_FORMAT,
            "members": len(self.models),
            "configuration": self.config.model_dump(),
            "target": self.target,
            "reading": self.reading.model_dump(mode="json"),
            "never_negative": self.never_negative,
            "simulated": self.simulated,
            "horizon": self.horizon,
            "step_seconds": self.step.total_seconds(),
            "rows_needed": self.rows_needed,
            "input_channels": list(self.encoding.channels),
            "encoding": self.encoding.as_json(),
            "change_scale": self.change_scale.tolist(),
            "validation": self.validation and self.validation.by_lead_time(),
            "weights_sha256": hashlib.sha256(weights).hexdigest(),
            "intervals": self.intervals and self.intervals.as_json(),
        }
        settings["settings_sha256"] = _digest(settings)
        return {WEIGHTS: weights, SETTINGS: json.dumps(settings, indent=1).encode()}

    def save(self, folder: PathLike) -> None:
        """Write the folder, in place of one that may be there.

        The new folder is complete before the old one moves away.
        """
        write_folder(folder, self.files())

    @classmethod
    def load(cls, folder: PathLike) -> Self:
        """What save() wrote.

        Raises:
            InputError: the folder or a file of it is missing, damaged or of another format.
        """
        settings = read_json(folder / SETTINGS)
        if settings.get("format") not in (MODEL_FORMAT, LAST_MODEL_FORMAT):
            raise InputError(
                f"{folder / SETTINGS}: the format must be {MODEL_FORMAT} or {LAST_MODEL_FORMAT}, "
                f"but got {settings.get('format')!r}; use the version that wrote it"
            )
        whole = settings.pop("settings_sha256", None)  # a model of an early version has none
        if whole not in (None, _digest(settings)):
            raise InputError(f"{folder / SETTINGS} is damaged: its hash is not the one saved")
        try:
            weights = read_bytes(folder / WEIGHTS)
            if hashlib.sha256(weights).hexdigest() != settings["weights_sha256"]:
                raise InputError(f"{folder / WEIGHTS} is damaged: its hash is not the one saved")
            if settings["format"] == LAST_MODEL_FORMAT:
                least = {each["column"]: each["least"] for each in settings["encoding"]["numeric"]}
                settings["never_negative"] = least[settings["target"]] >= 0
                settings["reading"] = {"time": settings["time"]}
            config = Configuration(**settings["configuration"])
            encoding = FeatureEncoder.from_json(settings["encoding"])
            parts = by_prefix(load_tensors(weights))
            models = []
            for number in range(settings["members"]):
                model = LSTMForecaster(len(encoding.channels), config, settings["horizon"])
                model.load_state_dict(parts[str(number)])
                models.append(model.eval())
            intervals = settings["intervals"]
            if intervals is not None:
                intervals = Intervals.from_json(intervals)
                if len(intervals.levels) != settings["horizon"]:
                    raise ValueError("its intervals are not of its lead times")
            if not models:
                raise ValueError("it has no members")
            return cls(
                tuple(models),
                config,
                encoding,
                settings["target"],
                settings["horizon"],
                pd.Timedelta(seconds=settings["step_seconds"]),
                np.array(settings["change_scale"]),
                settings["validation"] and Score.from_json(settings["validation"]),
                intervals,
                settings["rows_needed"],
                Reading(**settings["reading"]),
                settings["never_negative"],
                settings["format"] != LAST_MODEL_FORMAT,
                settings["simulated"],
            )
        except OSError as error:
            raise InputError(f"{folder / WEIGHTS} can't be read: {os_error_text(error)}") from error
        except InputError:
            raise
        except (
            *(AttributeError, KeyError, TypeError, ValueError, RuntimeError),
            SafetensorError,
        ) as error:
            raise InputError(f"{folder} holds no forecaster that can be used: {error}") from error


def _digest(settings: dict[str, Any]) -> str:
    """Of all settings, however they lie in the file."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
