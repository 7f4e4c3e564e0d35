"""What a table must be to be forecast from, and values that the model has seen nothing like."""

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from lstm_model.arrays import Float64Array
from lstm_model.configuration import Reading
from lstm_model.data.columns import NONE
from lstm_model.data.encoding import CategoryChannels, FeatureEncoder, NumericChannel
from lstm_model.data.rows import count_steps_left
from lstm_model.data.series_index import ONE_SERIES, SeriesIndex
from lstm_model.data.step import Step
from lstm_model.data.table import SeriesTable
from lstm_model.errors import TableError
from lstm_model.series_rules import NEIGHBOURS
from lstm_model.wording import distinct, shorten

# A value is out of range where it lies beyond the training range by more than this share of it: so
# another unit is noticed, and a record is not.
FAR_OUTSIDE = 0.5


class OutOfRangeWarning(UserWarning):
    """Values far outside the training range: the model has never seen their like."""


class LeftOutWarning(UserWarning):
    """Series of a table that can't be forecast, or that its forecasts do without."""


class NewSeriesWarning(UserWarning):
    """Series of a table that the model has not learned from, or that are called otherwise."""


def without(table: SeriesTable, left_out: Collection[str]) -> SeriesTable:
    """The other series of a table."""
    if not left_out:
        return table
    kept = [(name, rows) for name, rows in table.index if name not in left_out]
    parts = [table.frame.iloc[rows] for _, rows in kept]
    index = SeriesIndex.of_lengths((name for name, _ in kept), map(len, parts))
    return SeriesTable(pd.concat(parts), index)


def check_columns(frame: pd.DataFrame, columns: Sequence[str], reading: Reading) -> None:
    """Raises TableError where a column of training is missing, or is there twice.

    Args:
        columns: of the features, the static ones and those that say which series a row is of. The
            series that a wide table may have are not among them.
    """
    if missing := [name for name in columns if name not in frame.columns]:
        raise TableError(
            f"the table must have the columns that the model was trained on "
            f"({', '.join(columns)}), but {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing"
        )
    header = list(frame.columns)
    if twice := [name for name in (*columns, *reading.targets) if header.count(name) > 1]:
        raise TableError(
            f"each column must be there once, but {', '.join(twice)} is there twice; drop one"
        )


def spell_booleans(frame: pd.DataFrame, groups: Sequence[CategoryChannels]) -> pd.DataFrame:
    """The table with booleans as training's categories: its CSV may have had `true`."""
    spelled = {}
    for group in groups:
        values = frame[group.column].dropna()
        if len(values) and values.map(lambda value: isinstance(value, bool | np.bool_)).all():
            categories = {name.casefold(): name for name in group.categories}
            spelled[group.column] = frame[group.column].map(
                lambda value, known=categories: known.get(str(value).casefold(), str(value)),
                na_action="ignore",
            )
    return frame.assign(**spelled)


def check_table(
    table: SeriesTable,
    encoder: FeatureEncoder,
    *,
    target: str,
    step: Step,
    horizon: int,
    rows_needed: int,
    static: Collection[str] = (),
) -> dict[str, str]:
    """Which series the features by time are too little for, and why.

    Args:
        encoder: of any series: they have the categories in common.
        step: time between rows in training.
        horizon: rows after the last that must have a time.
        rows_needed: the fewest rows of a series.
        static: columns that may have categories which training never saw.

    Raises:
        TableError: none can be forecast; every problem at once.
    """
    frame, index = table.frame, table.index
    problems = _category_problems(table, encoder, static)
    last = frame.index.max() if len(frame) else None
    if last is not None and count_steps_left(last, step) < horizon:
        problems.append(
            f"the table must end {horizon} rows or more before the year 10000, as what is "
            f"forecast has no time then, but ends at {last}; end it earlier"
        )
    lengths = {name: rows.stop - rows.start for name, rows in index}
    longest = max(lengths.values(), default=0)
    if longest < rows_needed:
        each = "the table" if index.names == (ONE_SERIES,) else "a series"
        has = "has" if index.names == (ONE_SERIES,) else "the longest one has"
        problems.append(
            f"{each} must have {rows_needed} rows or more, after which this model's "
            f"forecasts have settled, but {has} {longest}; give it a longer past"
        )
    if problems:
        raise TableError("\n".join(problems))
    observed = frame[target].notna().to_numpy()
    left_out = {}
    for name, rows in index:
        if lengths[name] < rows_needed:
            left_out[name] = f"too short: {lengths[name]} rows, and {rows_needed} are needed"
        elif not observed[rows].any():
            left_out[name] = f"{target} was never observed"
    if len(left_out) == len(index):
        where = "" if index.names == (ONE_SERIES,) else "of a series that is long enough, "
        raise TableError(
            f"{where}{target} must have been observed in at least one row, but never was: a "
            "forecast is a change from its last value"
        )
    return left_out


def describe_left_out(
    index: SeriesIndex, left_out: Mapping[str, str], neighbours: Sequence[str]
) -> list[str]:
    """A sentence for the series that are not forecast, and one for neighbours that are not there.

    Args:
        left_out: why, by name, as check_table() gives it.
        neighbours: the series of the training, where the mean of the others is read.
    """
    sentences = []
    if left_out:
        names = ", ".join(f"{name} ({reason})" for name, reason in left_out.items())
        count = f"{len(left_out)} of {len(index)} series"
        sentences.append(f"{count} can't be forecast, and are left out: {names}")
    names_in_table = set(index.names)
    if missing := [name for name in neighbours if name not in names_in_table]:
        sentences.append(
            f"the mean of the neighbours is without {len(missing)} series of the training, which "
            f"the table has not: {', '.join(missing)}; forecasts may be worse"
        )
    return sentences


def describe_new(index: SeriesIndex, new: Sequence[str]) -> str:
    """A sentence for series that the model has not learned from."""
    are = "is" if len(new) == 1 else "are"
    return (
        f"{len(new)} of {len(index)} series {are} new: each is scaled by its own rows so far "
        f"({shorten(new)})"
    )


def _category_problems(
    table: SeriesTable, encoder: FeatureEncoder, static: Collection[str]
) -> list[str]:
    """Categories that training never saw."""
    problems = []
    for group in encoder.categorical:
        if group.column in static:
            continue
        column = table.frame[group.column]
        unknown = np.flatnonzero((column.notna() & ~column.isin(group.categories)).to_numpy())
        if len(unknown):
            known = ", ".join(group.categories)
            problems.append(
                f"{group.column} must be one of {known}, as in training, but {len(unknown)} "
                f"rows differ, the first with {str(column.iloc[unknown[0]])[:60]!r} at "
                f"{column.index[unknown[0]]}{_of_series(table.index, unknown[0])}; leave empty "
                "what has no place among these"
            )
    return problems


def _of_series(index: SeriesIndex, row: int) -> str:
    """Which series a row of the table is of, where they have names."""
    name = index.names[int(np.searchsorted(index.bounds, row, side="right")) - 1]
    return "" if index.names == (ONE_SERIES,) else f" of {name}"


def out_of_range(table: SeriesTable, encoder_of: Callable[[str], FeatureEncoder]) -> list[str]:
    """A sentence for each feature with values that training had nothing like.

    Args:
        encoder_of: each series' own, by its name.
    """
    encoders = [encoder_of(name) for name in table.index.names]
    sentences = []
    for number, channel in enumerate(encoders[0].numeric):
        values = table.frame[channel.column].to_numpy(np.float64)
        sentences += _far_outside(table, values, [each.numeric[number] for each in encoders])
    for group in encoders[0].categorical:
        # pandas.read_csv reads it as missing, and the last category would be repeated.
        column = table.frame[group.column]
        if NONE in group.categories and column.isna().any() and not (column == NONE).any():
            sentences.append(
                f"{group.column} was {NONE} in some rows of training, and is in none here, but "
                f"empty in {int(column.isna().sum())}, where the last category is repeated: "
                "pandas.read_csv keeps the text with keep_default_na=False, na_values=['']"
            )
    return sentences


def _far_outside(
    table: SeriesTable, values: Float64Array, channels: Sequence[NumericChannel]
) -> list[str]:
    """One sentence, of the first series at fault, where a column has such values.

    Args:
        values: (R,) of the column.
        channels: of each series.
    """
    sentence, others = "", []
    for (name, rows), channel in zip(table.index, channels, strict=True):
        varied = channel.min < channel.max if channel.scale is None else channel.scale > 0
        if not varied:  # it taught nothing
            continue
        margin = FAR_OUTSIDE * (channel.max - channel.min)
        part = values[rows]
        beyond = (part < channel.min - margin) | (part > channel.max + margin)
        if not beyond.any():
            continue
        if sentence:
            others.append(name)
            continue
        far, first = part[beyond], rows.start + int(beyond.argmax())
        low, high, value = distinct([channel.min, channel.max, float(far[0])])
        doubt = "is it in the same unit"
        if channel.column == NEIGHBOURS:
            doubt = "are the series those of the training"
        sentence = (
            f"{channel.column} was from {low} to {high} in training, but is far outside "
            f"in {len(far)} rows{_of_series(table.index, first)}, the first with {value} at "
            f"{table.frame.index[first]}: {doubt}? Forecasts may mean nothing"
        )
    if others:
        sentence += f"; the same holds of {', '.join(others)}, each in its own range"
    return [sentence] if sentence else []
