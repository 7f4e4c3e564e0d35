"""What a table must be to be forecast from, and values that the model has seen nothing like."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lstm_model.data.columns import NONE
from lstm_model.data.encoding import CategoryChannels, FeatureEncoder
from lstm_model.data.rows import count_steps_left
from lstm_model.data.step import Step
from lstm_model.errors import TableError
from lstm_model.wording import distinct

# A value is out of range where it lies beyond the training range by more than this share of it: so
# another unit is noticed, and a record is not.
FAR_OUTSIDE = 0.5


class OutOfRangeWarning(UserWarning):
    """Values far outside the training range: the model has never seen their like."""


def check_columns(frame: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raises TableError where a column of training is missing, or is there twice."""
    if missing := [name for name in columns if name not in frame.columns]:
        raise TableError(
            f"the table must have the columns that the model was trained on "
            f"({', '.join(columns)}), but {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing"
        )
    if twice := [name for name in columns if list(frame.columns).count(name) > 1]:
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
    table: pd.DataFrame,
    encoder: FeatureEncoder,
    *,
    target: str,
    step: Step,
    horizon: int,
    rows_needed: int,
) -> None:
    """Raises TableError where the features by time can't be forecast from; every problem at once.

    Args:
        step: time between rows in training.
        horizon: rows after the last that must have a time.
        rows_needed: the fewest rows of a table.
    """
    problems = _category_problems(table, encoder)
    last = table.index[-1:]
    if len(last) and count_steps_left(last[0], step) < horizon:
        problems.append(
            f"the table must end {horizon} rows or more before the year 10000, as what is "
            f"forecast has no time then, but ends at {last[0]}; end it earlier"
        )
    if len(table) < rows_needed:
        problems.append(
            f"the table must have {rows_needed} rows or more, after which this model's "
            f"forecasts have settled, but has {len(table)}; give it a longer past"
        )
    if problems:
        raise TableError("\n".join(problems))
    if table[target].isna().all():
        raise TableError(
            f"{target} must have been observed in at least one row, but never was: a "
            "forecast is a change from its last value"
        )


def _category_problems(table: pd.DataFrame, encoder: FeatureEncoder) -> list[str]:
    """Categories that training never saw."""
    problems = []
    for group in encoder.categorical:
        column = table[group.column].dropna()
        if len(unknown := column[~column.isin(group.categories)]):
            known = ", ".join(group.categories)
            problems.append(
                f"{group.column} must be one of {known}, as in training, but {len(unknown)} "
                f"rows differ, the first with {str(unknown.iloc[0])[:60]!r} at "
                f"{unknown.index[0]}; leave empty what has no place among these"
            )
    return problems


def out_of_range(table: pd.DataFrame, encoder: FeatureEncoder) -> list[str]:
    """A sentence for each feature with values that training had nothing like."""
    sentences = []
    for channel in encoder.numeric:
        values = table[channel.column]
        margin = FAR_OUTSIDE * (channel.max - channel.min)
        beyond = (values < channel.min - margin) | (values > channel.max + margin)
        if channel.scale > 0 and beyond.any():
            far = values[beyond]
            low, high, first = distinct([channel.min, channel.max, far.iloc[0]])
            sentences.append(
                f"{channel.column} was from {low} to {high} in training, but is far outside "
                f"in {len(far)} rows, the first with {first} at {far.index[0]}: is it in the "
                "same unit? Forecasts may mean nothing"
            )
    for group in encoder.categorical:
        # pandas.read_csv reads it as missing, and the last category would be repeated.
        column = table[group.column]
        if NONE in group.categories and column.isna().any() and not (column == NONE).any():
            sentences.append(
                f"{group.column} was {NONE} in some rows of training, and is in none here, but "
                f"empty in {int(column.isna().sum())}, where the last category is repeated: "
                "pandas.read_csv keeps the text with keep_default_na=False, na_values=['']"
            )
    return sentences
