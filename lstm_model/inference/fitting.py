"""One LSTM forecaster, trained on a DataFrame: no search, no Ray."""

import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from numbers import Integral
from typing import TypeVar

import pandas as pd
import torch
from pydantic import BaseModel, ValidationError

from lstm_model.configuration import AS_IT_STANDS, Configuration, DataSettings, Reading
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.frames import FRAME, infer_reading, list_features
from lstm_model.data.sources import load_dataset
from lstm_model.errors import InputError
from lstm_model.inference.predictor import TrainedForecaster
from lstm_model.inference.table_checks import LeftOutWarning
from lstm_model.inference.warm_start import WarmUpProbe
from lstm_model.training.evaluator import HoldoutEvaluator
from lstm_model.training.trainer import Epoch, Trainer

Checked = TypeVar("Checked", bound=BaseModel)


# What pydantic's rules begin with; ours are clauses whose subject is the value.
PYDANTIC_SUBJECT = re.compile(r"^(Input|[A-Z][a-z]+) should")


class DoubtWarning(UserWarning):
    """Values of a table may not mean what they were read as."""


def fit(
    frame: pd.DataFrame,
    *,
    target: str | None = None,
    validation_from: str | datetime,
    test_from: str | datetime | None = None,
    horizon: int = 1,
    features: Sequence[str] | None = None,
    series: str | Sequence[str] | None = None,
    targets: Sequence[str] = (),
    static: Sequence[str] = (),
    neighbours: bool = False,
    calendar: Sequence[str] = (),
    max_epochs: int = 40,
    seed: int = 0,
    device: str = "cpu",
    on_epoch: Callable[[Epoch], None] | None = None,
    reading: Reading | None = None,
    **hyperparameters: str | int | float,
) -> TrainedForecaster:
    """Train one LSTM, keep its best epoch on validation, and calibrate its prediction intervals.

    The same arguments give the same model to the last bit, on one thread of one kind of CPU.

    Examples:
        >>> import lstm_model
        >>> from lstm_model.data.simulation import simulate
        >>> air = simulate(years=1)
        >>> model = lstm_model.fit(
        ...     air, target="pm2.5", horizon=3, validation_from="2010-10-01", max_epochs=2
        ... )
        >>> model.forecast(air.tail(400)).point.shape[1]
        3

        One model of several series, each of which is a column here:

        >>> wide = air[["pm2.5", "TEMP"]].add_prefix("north ").join(
        ...     air[["pm2.5", "year", "month", "day", "hour"]].rename(columns={"pm2.5": "south"})
        ... )
        >>> both = lstm_model.fit(
        ...     wide, targets=["north pm2.5", "south"], validation_from="2010-10-01", max_epochs=1
        ... )
        >>> both.names
        ('north pm2.5', 'south')

    Args:
        frame: numbers, texts or booleans, NaN where a value is missing, in rows that are regular in
            time. Its clock is its index, where that is a DatetimeIndex, else the columns that
            `reading.time` names, or year, month, day and hour.
        target: the column that is forecast; of `targets` the name of their values, which they may
            go without.
        validation_from: the first hour of validation. What lies before it is learned from.
        test_from: the first hour that is not looked at; without it validation goes to the end.
        horizon: L. Lead times are 1 to L rows.
        features: the columns that are read, the target among them; without it all of them, or
            with `targets` the target alone.
        series: the column that says which series a row is of, or several; without it and `targets`
            the table is one series.
        targets: the columns of a wide table that are a series each.
        static: columns that do not change within a series.
        neighbours: whether the mean of the other series' target is read, as a column.
        calendar: inputs known ahead, from the clock alone: hour_of_day, day_of_week, day_of_year.
        max_epochs: the length of the training.
        device: torch's name of it.
        on_epoch: called after every epoch.
        reading: what cells mean that could mean two things.
        hyperparameters: fields of Configuration by their names, such as hidden_size=32.

    Raises:
        InputError: an argument or the table breaks a rule.
        TrainingFailed: the loss is not finite.

    Warns:
        DoubtWarning: values may not mean what they were read as.
        LeftOutWarning: training can't learn from some series, or validation not score them.
    """
    settings = _check_settings(
        frame,
        _name_series(AS_IT_STANDS if reading is None else reading, series, targets),
        target=target,
        features=features,
        static=_as_names("static", static),
        neighbours=neighbours,
        calendar=tuple(calendar),
        horizon=horizon,
        validation_from=validation_from,
        test_from=test_from,
    )
    config = _check(Configuration, hyperparameters)
    for name, number, least in (("max_epochs", max_epochs, 1), ("seed", seed, 0)):
        if not isinstance(number, Integral) or number < least:
            rule = f"must be a whole number of at least {least}"
            raise InputError(f"{name} {rule}, but got {number!r}")
    _check_device(device)
    dataset = load_dataset(settings, frame)
    for doubt in dataset.doubts:
        warnings.warn(doubt, DoubtWarning, stacklevel=2)
    table = EncodedTable.from_table(dataset.frame, dataset.step, settings, dataset.index)
    for split, does in (("training", "does not learn from"), ("validation", "does not score")):
        if out := [each for each in table.left_out if each.split == split]:
            names = ", ".join(f"{each.series} ({each.reason})" for each in out)
            warnings.warn(f"{split} {does} {len(out)} series: {names}", LeftOutWarning, 2)
    trainer = Trainer(config, table, max_epochs=max_epochs, seed=seed, device=device)
    for epoch in trainer:
        if on_epoch is not None:
            on_epoch(epoch)
    best = trainer.best
    assert best is not None
    model = TrainedForecaster.from_weights(
        table, settings.target, config, best.weights, best.score, dataset.reading
    )
    return model.with_intervals(
        [(table, HoldoutEvaluator(table).forecast(model.model))],
        WarmUpProbe.of_table(dataset.frame, dataset.index, table, settings.target),
        dataset.reading,
        simulated=False,
    )


def _check_device(device: str) -> None:
    try:
        torch.empty(1, device=device).item()  # "meta" has no values
    except (RuntimeError, TypeError, AssertionError) as error:  # the last: torch is without it
        raise InputError(
            f"device must be one that torch can use, but got {device!r}: "
            f"{str(error).splitlines()[0][:80]}; say 'cpu'"
        ) from None


def _as_names(key: str, names: Sequence[str]) -> tuple[str, ...]:
    """Raises InputError where these are no list of texts."""
    is_list = isinstance(names, Iterable) and not isinstance(names, str | bytes)
    if not is_list or not all(isinstance(name, str) and name for name in names):
        raise InputError(f"{key} must be a list of columns, but got {names!r}")
    return tuple(names)


def _name_series(
    reading: Reading, series: str | Sequence[str] | None, targets: Sequence[str]
) -> Reading:
    """How the table is read, with the series that were named beside it."""
    named: dict[str, object] = {}
    if series is not None:
        named["series"] = series if isinstance(series, str) else _as_names("series", series)
    if targets != ():
        named["targets"] = _as_names("targets", targets)
    return reading.model_copy(update=named)


def _check_settings(
    frame: pd.DataFrame,
    reading: Reading,
    *,
    target: str | None,
    features: Sequence[str] | None,
    test_from: str | datetime | None,
    static: tuple[str, ...],
    **settings: object,
) -> DataSettings:
    read = () if features is None and reading.targets else features
    inferred = infer_reading(frame, read, reading, static)
    keys = {key: getattr(reading, key) for key in Reading.model_fields} | inferred
    if features is not None:
        settings["features"] = _as_names("features", features)
    if target is not None:
        settings["target"] = target
    elif not reading.targets:
        raise InputError("target must name the column that is forecast, but got None")
    if features is None and not reading.targets:
        others = (*reading.series_columns, *static)
        columns = list_features(frame, inferred.get("time", reading.time), others)
        settings["features"] = tuple(columns)
        if target not in columns:
            raise InputError(
                f"target must be a column, but got {target!r}; the frame has {', '.join(columns)}"
            )
    # The last hour that there is: none lies from there on.
    last = datetime.max if test_from is None else test_from
    splits = {"source": FRAME, "static": static, "test_from": last}
    return _check(DataSettings, keys | settings | splits)


def _check(model: type[Checked], values: Mapping[str, object]) -> Checked:
    """The values, each of which is an argument of fit(), as a model of pydantic's.

    Raises:
        InputError: some break rules: a line each.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = []
        for item in error.errors(include_url=False):
            name, rule = ".".join(map(str, item["loc"])), item["msg"].removeprefix("Value error, ")
            rule = PYDANTIC_SUBJECT.sub("must", rule).replace(" after validation, not 0", "")
            if item["type"] == "extra_forbidden":
                legal = ", ".join(model.model_fields)
                lines.append(f"fit() has no argument {name!r}; the hyperparameters are {legal}")
            elif item["type"] == "rule":  # across arguments: what came stands in it
                lines.append(f"{name} {rule}")
            elif name:
                lines.append(f"{name}: {rule}, but got {item['input']!r}")
            else:
                lines.append(rule)
        raise InputError("\n".join(lines)) from None
