"""A column's texts as numbers or categories: what its cells mean, or why that can't be said."""

import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from lstm_model.configuration import REPEAT, Cell, Kind, Mark, Reading
from lstm_model.data.places import Places
from lstm_model.data.table_file import TEXT
from lstm_model.errors import TableError
from lstm_model.wording import exact, yaml_text

MAX_MAGNITUDE = 1e30  # float32 holds it, and its square is still a float64
MAX_CATEGORIES = 50
# What pandas.read_csv takes for a missing value, but for None: see NONE.
MISSING = {"", "NA", "N/A", "n/a", "<NA>", "#NA", "#N/A", "#N/A N/A", "NULL", "null"}
MISSING |= {"NaN", "nan", "-NaN", "-nan", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"}
# Missing among numbers, a category among texts: of holidays it says that there is none.
NONE = "None"
# What may stand between thousands, beside the mark that is not the decimal one.
SPACES = " '\N{RIGHT SINGLE QUOTATION MARK}\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
# A text that begins as a number does, in a column of categories: 12 kg, 7.5W.
BEGINS_AS_NUMBER = r"[-+]?\d+(?:[.,]\d+)?\s?[^\d:]"
# A text that is a number of some country, perhaps.
NUMBER_LIKE = rf"[-+{MINUS}]?[\d.,]*\d[\d.,{SPACES}]*(?:[eE][-+]?\d+)?\s?%?"
# Of numbers with points before three digits, and whole ones of at most three digits beside them.
POINTED, WHOLE = r"[-+]?[1-9]\d{0,2}(?:\.\d{3})+", r"[-+]?\d{1,3}"
MIN_POINTED = 3


@dataclass(frozen=True)
class Repair:
    """Cells of a column that were read as something else than stands in them, and how many."""

    column: str
    kind: Literal["missing", "filled", "number"]
    value: Cell  # what stood for missing, what was filled in, or the first text that is a number
    rows: int
    number: float | None = None  # what that text is

    def __str__(self) -> str:
        cells = f"{self.column}: {self.rows:,} {'cell' if self.rows == 1 else 'cells'}"
        value = repr(self.value) if isinstance(self.value, str) else exact(self.value)
        match self.kind:
            case "missing":
                return f"{cells} with {value} read as missing"
            case "filled":
                return f"{cells} without a value read as {value}"
            case "number":
                number = exact(self.number or 0.0)
                return f"{cells} with texts such as {value} read as numbers, {number}"

    def to_json(self) -> dict[str, Any]:
        facts = {"column": self.column, self.kind: self.value, "rows": self.rows}
        return facts if self.number is None else {**facts, "read_as": self.number}


@dataclass(frozen=True)
class Column:
    """A column that was read.

    Attributes:
        values: float64, or `str` of a category; NaN where missing.
        repairs: what was read as something else than stands there.
        decimal: the decimal mark, where texts were read as numbers.
        note: what a reader should look at, or None.
    """

    values: "pd.Series[Any]"
    repairs: tuple[Repair, ...] = ()
    decimal: Mark | None = None
    note: str | None = None


def read_column(
    cells: "pd.Series[Any]",
    reading: Reading,
    places: Places,
    *,
    target: bool = False,
    kind: Kind | None = None,
) -> Column:
    """The column whose texts are `cells`.

    A column in which any text is a number, or every text is one with a decimal comma, thousands
    or a percent sign, is numeric, and must be so throughout.

    Args:
        cells: stripped texts, numbers, times or booleans, NaN where there is none, by the label of
            their row.
        places: what messages call the table and its rows.
        kind: what it was in training, where that is known: then it may be empty, and a category
            hold any text.

    Raises:
        TableError: it breaks a rule, or can be read in two ways.
    """
    name, trained = str(cells.name), kind is not None
    stated = reading.missing_in(name)
    texts = [cell for cell in stated if isinstance(cell, str)]
    sizes = [cell for cell in stated if not isinstance(cell, str)]
    cells = spell_cells(cells, kind or reading.types.get(name))
    missing = cells.isna()
    if isinstance(cells.dtype, pd.StringDtype):
        missing |= cells.isin([*MISSING, *texts])
    plain = plain_numbers(cells, ~missing)
    if sizes:  # of a million rows even a look for none takes half a second
        missing |= plain.isin(sizes)
    kind = kind or reading.types.get(name)
    if kind is None:
        known, mark = cells[~missing], reading.decimal_of(name)
        kind = _infer_kind(known, plain[~missing], target, has_mark=mark is not None)
    if kind is None:
        raise TableError(f"{places.prefix}{name} must have values, but has none in any row")
    repairs: list[Repair] = []
    decimal, note, numbers = None, None, plain
    if kind == "number":
        known = ~missing & (cells != NONE)
        numbers, decimal = _read_numbers(cells, plain, known, reading, places, trained)
        _check_numbers(cells, numbers, known, places, target=target, trained=trained)
        repairs += _number_repairs(cells, numbers, known & (numbers != plain))
        if sizes:
            missing |= numbers.isin(sizes)
        values: pd.Series[Any] = numbers.mask(missing)
    else:
        values = cells.mask(missing)
        if reading.types.get(name) == "category":
            values = values.str.replace(r"\.0+$", "", regex=True)  # a code that a float went by
        if not trained:
            note = _category_note(values, name, places)
    for cell in stated:
        rows = int((cells == cell if isinstance(cell, str) else numbers == cell).sum())
        repairs += [Repair(name, "missing", cell, rows)] if rows else []
    values, filled = _fill(values, kind, reading, places)
    return Column(values, (*repairs, *filled), decimal, note)


def spell_cells(cells: "pd.Series[Any]", kind: Kind | None) -> "pd.Series[Any]":
    """Numbers as they are, but codes of a category as texts; all else as texts."""
    dtype = cells.dtype
    if isinstance(dtype, pd.StringDtype):
        return cells
    if pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype):
        if kind != "category":
            return cells.astype(np.float64)
        cells = cells.map(format_code, na_action="ignore")
    elif pd.api.types.is_datetime64_any_dtype(dtype):
        known = cells.dropna()
        if (known == known.dt.normalize()).all():  # a CSV has them as dates
            cells = cells.dt.strftime("%Y-%m-%d")
    return cells.map(lambda cell: str(cell).strip(), na_action="ignore").astype(TEXT)


def format_code(number: float) -> str:
    """A category that is a number, as a CSV would have it, whether or not a float went by."""
    return str(int(number)) if float(number).is_integer() else repr(float(number))


def plain_numbers(cells: "pd.Series[Any]", known: "pd.Series[bool]") -> "pd.Series[float]":
    """The numbers of cells that are plain ones, NaN elsewhere."""
    if isinstance(cells.dtype, pd.StringDtype):
        texts = pc.if_else(pa.array(known), pa.array(cells), None)
        try:  # 15 times as fast as pandas, where all of them are numbers; the same to the last bit
            numbers = np.asarray(texts.cast(pa.float64()))
        except pa.ArrowInvalid:  # each different text once: there are few, where there are words
            kinds = texts.dictionary_encode()
            if isinstance(kinds, pa.ChunkedArray):
                kinds = kinds.combine_chunks()
            of_kind = pd.to_numeric(kinds.dictionary.to_pandas(), errors="coerce")
            number = np.append(of_kind.to_numpy(np.float64), np.nan)  # and of none, the last
            numbers = number[np.asarray(kinds.indices.fill_null(len(of_kind)))]
        return pd.Series(numbers, index=cells.index, name=cells.name)
    return pd.to_numeric(cells.where(known), errors="coerce").astype(np.float64)


def _number_repairs(
    cells: "pd.Series[Any]", numbers: "pd.Series[float]", rows: "pd.Series[bool]"
) -> list[Repair]:
    """That texts were read as numbers in some rows, with the first of them."""
    if not rows.any():
        return []
    first = int(rows.argmax())
    text, number = str(cells.iloc[first]), float(numbers.iloc[first])
    return [Repair(str(cells.name), "number", text, int(rows.sum()), number)]


def _fill(
    values: "pd.Series[Any]", kind: Kind, reading: Reading, places: Places
) -> tuple["pd.Series[Any]", list[Repair]]:
    """The column with what an empty cell means, where that is said."""
    name = str(values.name)
    fill = reading.fill_of(name)
    if fill == REPEAT:
        return values, []
    if kind == "number" and isinstance(fill, str):
        raise TableError(
            f"{places.prefix}fill must have a number for {name}, which is numeric, but got {fill!r}"
        )
    empty = int(values.isna().sum())
    repairs = [Repair(name, "filled", fill, empty)] if empty else []
    return values.fillna(float(fill) if kind == "number" else str(fill)), repairs


def _infer_kind(
    cells: "pd.Series[Any]", plain: "pd.Series[float]", target: bool, has_mark: bool
) -> Kind | None:
    """What a column's texts are, of those that are not missing; None where there are none.

    Args:
        plain: the numbers of the texts that are plain ones.
        has_mark: whether the decimal mark of its numbers is known: then one of them is enough.
    """
    if plain.notna().any():
        return "number"
    others = pd.Series(cells[cells != NONE].unique(), dtype=cells.dtype)
    if others.empty:
        return None
    if target or (has_mark and others.str.fullmatch(NUMBER_LIKE).any()):
        return "number"
    return "number" if _parse_numbers(others, get_args(Mark)) else "category"


def _category_note(values: "pd.Series[Any]", name: str, places: Places) -> str | None:
    """Refuses too many categories; tells of numbers among them, and of texts that begin as such."""
    categories = values.dropna().unique()
    words = [text for text in categories if not re.fullmatch(NUMBER_LIKE, text)]
    mixed = ""
    if 0 < len(words) < len(categories) / 2:
        number = next(text for text in categories if text not in words)
        mixed = (
            f"most of its texts are numbers, such as {number[:60]!r}, but not {words[0][:60]!r}: "
            f"if that stands for missing, say so in the data block: missing: {{{yaml_text(name)}: "
            f"[{yaml_text(words[0])}]}}"
        )
    if len(categories) > MAX_CATEGORIES:
        raise TableError(
            f"{places.prefix}{name} must have numbers, or at most {MAX_CATEGORIES} different "
            f"texts, but has {len(categories)}, the first of them {str(categories[0])[:60]!r}"
            + (f"; {mixed}" if mixed else "")
        )
    if mixed:
        return f"{name} is read as {len(categories)} categories, though {mixed}"
    if len(categories) > 2 and all(re.match(BEGINS_AS_NUMBER, text) for text in categories):
        return (
            f"{name} is read as {len(categories)} categories, though each of its texts begins as a "
            f"number does, such as {categories[0]!r}: if they are sizes, leave the rest of each out"
        )
    return None


def _read_numbers(
    cells: "pd.Series[Any]",
    plain: "pd.Series[float]",
    known: "pd.Series[bool]",
    reading: Reading,
    places: Places,
    trained: bool,
) -> tuple["pd.Series[float]", Mark | None]:
    """The numbers of a column's texts, and their decimal mark where some are not plain ones.

    Args:
        plain: the numbers of the texts that are plain ones, NaN elsewhere.
        known: where there is a value.
    """
    name = str(cells.name)
    mark = reading.decimal_of(name)
    texts = not pd.api.types.is_numeric_dtype(cells.dtype)
    stated = texts and mark is not None and reading.types.get(name) == "number"
    grouped = texts and mark == "," and not trained and has_grouped_points(cells[known])
    if plain[known].notna().all() and not stated and not grouped:
        if texts and mark is None and not trained and _may_have_thousands(cells[known]):
            first = cells[known & cells.str.contains(".", regex=False)].iloc[0]
            raise _ambiguous(places, name, first, float(first), float(first.replace(".", "")))
        return plain, None
    if stated and trained and mark == ",":
        # 2.538 would be a thousand times larger than where a program wrote it with a point.
        pointed = cells[known & cells.str.contains(".", regex=False)]
        if len(pointed) and not cells[known].str.contains(",").any():
            raise TableError(
                f"{places.locate(pointed.index[0])}: {name} must have a decimal comma, as in "
                f"training, but got {pointed.iloc[0]!r}, and no comma in any row; write it with "
                "a comma, or as a number"
            )
    marks: tuple[Mark, ...] = (mark,) if mark else get_args(Mark)
    readings = _parse_numbers(cells[known], marks)
    if len(readings) > 1:
        first = cells[known & plain.isna()].iloc[0]
        point, comma = (values[cells[known] == first].iloc[0] for values in readings.values())
        raise _ambiguous(places, name, first, point, comma)
    for chosen, values in readings.items():
        numbers = plain.copy()
        numbers[known] = values
        return numbers, chosen
    if stated:
        wrong = next(text for text in cells[known] if not _parse_numbers(pd.Series([text]), marks))
        row = cells.index[int((cells == wrong).argmax())]
        raise TableError(
            f"{places.locate(row)}: {name} must be numbers with the decimal mark {mark!r}, but "
            f"got {str(wrong)[:60]!r}"
        )
    return plain, None


def has_grouped_points(cells: "pd.Series[Any]") -> bool:
    """Whether there are points, and each may stand before thousands."""
    pointed = cells[cells.str.contains(".", regex=False)]
    return len(pointed) > 0 and bool(pointed.str.fullmatch(POINTED).all())


def _may_have_thousands(cells: "pd.Series[Any]") -> bool:
    """Whether each point may stand before thousands: whole numbers up to 999 have none."""
    pointed = cells.str.contains(".", regex=False)
    return bool(
        pointed.sum() >= MIN_POINTED
        and not pointed.all()
        and cells[pointed].str.fullmatch(POINTED).all()
        and cells[~pointed].str.fullmatch(WHOLE).all()
    )


def _ambiguous(places: Places, name: str, text: str, point: float, comma: float) -> TableError:
    key = yaml_text(name)
    return TableError(
        f"{places.prefix}{name} can be read in two ways, since each comma or point stands before "
        f"three digits: {text!r} is {exact(point)} with a decimal point, and {exact(comma)} with a "
        f"decimal comma; say which in the data block: types: {{{key}: number}}, and decimal: "
        f"{{{key}: '.'}} or decimal: {{{key}: ','}}"
    )


def _parse_numbers(
    texts: "pd.Series[Any]", marks: "tuple[Mark, ...]"
) -> dict[Mark, "pd.Series[float]"]:
    """The numbers of all texts by decimal mark, where all are such; two only where they differ."""
    percent = texts.str.endswith("%")
    if percent.any() and not percent.all():
        return {}
    bare = texts.str.rstrip("% ").str.replace(MINUS, "-")
    readings: dict[Mark, pd.Series[float]] = {}
    for mark in marks:
        separators = f"{',' if mark == '.' else '.'}{SPACES}"
        group = f"[{separators}]"
        decimals = rf"(?:\{mark}[0-9]*)?"
        # The same separator throughout; by no \1, which Arrow lacks and pandas 3.0 hands to it.
        groups = "|".join(rf"(?:[{sign}][0-9]{{3}})+" for sign in separators)
        grouped = rf"[1-9][0-9]{{0,2}}(?:{groups}){decimals}"
        whole = rf"(?:{grouped}|[0-9]+{decimals}|\{mark}[0-9]+)"
        form = rf"[-+]?{whole}(?:[eE][-+]?[0-9]+)?"
        if bare.str.fullmatch(form).all():
            digits = bare.str.replace(group, "", regex=True).str.replace(mark, ".")
            readings[mark] = digits.astype(np.float64)
    if len(readings) > 1 and (readings["."] == readings[","]).all():
        del readings[","]
    return readings


def _why_numeric(
    cells: "pd.Series[Any]",
    numbers: "pd.Series[float]",
    places: Places,
    target: bool,
    trained: bool,
) -> str:
    """What says that a column is numeric."""
    if target or trained:
        return "the target" if target else "it was in training"
    if numbers.isna().all():
        return "types says"
    first = int(numbers.notna().argmax())
    return f"{places.row(cells.index[first])} is ({cells.iloc[first]!r})"


def _check_numbers(
    cells: "pd.Series[Any]",
    numbers: "pd.Series[float]",
    known: "pd.Series[bool]",
    places: Places,
    *,
    target: bool,
    trained: bool,
) -> None:
    """Raises TableError where a text is no number, or one that can't be computed with."""
    name = str(cells.name)
    for wrong, rule in (
        (numbers.isna() & known, "be numeric"),
        ((numbers.abs() == np.inf) & known, "be finite"),
        ((numbers.abs() > MAX_MAGNITUDE) & known, f"be at most {MAX_MAGNITUDE:g} in size"),
    ):
        if wrong.any():
            row = int(wrong.argmax())
            got = str(cells.iloc[row])[:60]
            if np.isnan(numbers.iloc[row]):
                rule += f", as {_why_numeric(cells, numbers, places, target, trained)}"
            key, instead = yaml_text(name), "leave it empty where nothing is known"
            if not trained and re.search(r"\d", got):
                instead = (
                    "write it as a plain number, without a unit or another sign, or leave it empty"
                )
            elif not trained:
                instead = "if it stands for missing, say so in the data block: "
                instead += f"missing: {{{key}: [{yaml_text(got)}]}}"
                if not target:
                    instead += f"; if these are codes, types: {{{key}: category}}"
            raise TableError(
                f"{places.locate(cells.index[row])}: {name} must {rule}, but got {got!r}; {instead}"
            )
