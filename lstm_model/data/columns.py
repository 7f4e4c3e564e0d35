"""A column's texts as numbers or categories: what its cells mean, or why that can't be said."""

import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from lstm_model.configuration import REPEAT, Cell, Kind, Mark, Reading
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
    file: str,
    *,
    target: bool = False,
    kind: Kind | None = None,
) -> Column:
    """The column whose texts are `cells`.

    A column in which any text is a number, or every text is one with a decimal comma, thousands
    or a percent sign, is numeric, and must be so throughout.

    Args:
        cells: stripped texts, NaN where there is none, by the line or the row that they stand in.
        file: what messages call the table.
        kind: what it was in training, where that is known: then it may be empty, and a category
            hold any text.

    Raises:
        TableError: it breaks a rule, or can be read in two ways.
    """
    name, trained = str(cells.name), kind is not None
    stated = reading.missing_in(name)
    texts = [cell for cell in stated if isinstance(cell, str)]
    sizes = [cell for cell in stated if not isinstance(cell, str)]
    plain = pd.to_numeric(cells, errors="coerce").astype(np.float64)
    missing = cells.isna() | cells.isin([*MISSING, *texts]) | plain.isin(sizes)
    kind = kind or reading.types.get(name) or _infer_kind(cells[~missing], plain[~missing], target)
    if kind is None:
        raise TableError(f"{file}: {name} must have values, but has none in any row")
    repairs: list[Repair] = []
    decimal, note, numbers = None, None, plain
    if kind == "number":
        known = ~missing & (cells != NONE)
        numbers, decimal = _read_numbers(cells, plain, known, reading, file, trained)
        _check_numbers(cells, numbers, known, file, target=target, trained=trained)
        repairs += _number_repairs(cells, numbers, known & (numbers != plain))
        missing |= numbers.isin(sizes)
        values: pd.Series[Any] = numbers.mask(missing)
    else:
        values = cells.mask(missing)
        if reading.types.get(name) == "category":
            values = values.str.replace(r"\.0+$", "", regex=True)  # a code that a float went by
        if not trained:
            note = _category_note(values, name, file)
    for cell in stated:
        rows = int((cells == cell if isinstance(cell, str) else numbers == cell).sum())
        repairs += [Repair(name, "missing", cell, rows)] if rows else []
    values, filled = _fill(values, kind, reading, file)
    return Column(values, (*repairs, *filled), decimal, note)


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
    values: "pd.Series[Any]", kind: Kind, reading: Reading, file: str
) -> tuple["pd.Series[Any]", list[Repair]]:
    """The column with what an empty cell means, where that is said."""
    name = str(values.name)
    fill = reading.fill.get(name, REPEAT)
    if fill == REPEAT:
        return values, []
    if kind == "number" and isinstance(fill, str):
        raise TableError(
            f"{file}: fill must have a number for {name}, which is numeric, but got {fill!r}"
        )
    empty = int(values.isna().sum())
    repairs = [Repair(name, "filled", fill, empty)] if empty else []
    return values.fillna(float(fill) if kind == "number" else str(fill)), repairs


def _infer_kind(cells: "pd.Series[Any]", plain: "pd.Series[float]", target: bool) -> Kind | None:
    """What a column's texts are, of those that are not missing; None where there are none.

    plain: the numbers of the texts that are plain ones.
    """
    if plain.notna().any():
        return "number"
    others = pd.Series(cells[cells != NONE].unique(), dtype=cells.dtype)
    if others.empty:
        return None
    return "number" if target or _parse_numbers(others, get_args(Mark)) else "category"


def _category_note(values: "pd.Series[Any]", name: str, file: str) -> str | None:
    """Refuses too many categories; tells of texts that begin as numbers do."""
    categories = values.dropna().unique()
    if len(categories) > MAX_CATEGORIES:
        raise TableError(
            f"{file}: {name} must have numbers, or at most {MAX_CATEGORIES} different texts, "
            f"but has {len(categories)}, the first of them {str(categories[0])[:60]!r}"
        )
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
    file: str,
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
    if plain[known].notna().all() and not stated:
        if texts and mark is None and not trained and _may_have_thousands(cells[known]):
            first = cells[known & cells.str.contains(".", regex=False)].iloc[0]
            raise _ambiguous(file, name, first, float(first), float(first.replace(".", "")))
        return plain, None
    if stated and trained and mark == ",":
        # 2.538 would be a thousand times larger than where a program wrote it with a point.
        pointed = cells[known & cells.str.contains(".", regex=False)]
        if len(pointed) and not cells[known].str.contains(",").any():
            raise TableError(
                f"{locate(file, pointed.index[0])}: {name} must have a decimal comma, as in "
                f"training, but got {pointed.iloc[0]!r}, and no comma in any row; write it with "
                "a comma, or as a number"
            )
    marks: tuple[Mark, ...] = (mark,) if mark else get_args(Mark)
    readings = _parse_numbers(cells[known], marks)
    if len(readings) > 1:
        first = cells[known & plain.isna()].iloc[0]
        point, comma = (values[cells[known] == first].iloc[0] for values in readings.values())
        raise _ambiguous(file, name, first, point, comma)
    for chosen, values in readings.items():
        numbers = plain.copy()
        numbers[known] = values
        return numbers, chosen
    if stated:
        wrong = next(text for text in cells[known] if not _parse_numbers(pd.Series([text]), marks))
        row = cells.index[int((cells == wrong).argmax())]
        raise TableError(
            f"{locate(file, row)}: {name} must be numbers with the decimal mark {mark!r}, but "
            f"got {str(wrong)[:60]!r}"
        )
    return plain, None


def _may_have_thousands(cells: "pd.Series[Any]") -> bool:
    """Whether each point may stand before thousands: whole numbers up to 999 have none."""
    pointed = cells.str.contains(".", regex=False)
    return bool(
        pointed.sum() >= MIN_POINTED
        and not pointed.all()
        and cells[pointed].str.fullmatch(POINTED).all()
        and cells[~pointed].str.fullmatch(WHOLE).all()
    )


def _ambiguous(file: str, name: str, text: str, point: float, comma: float) -> TableError:
    key = yaml_text(name)
    return TableError(
        f"{prefix(file)}{name} can be read in two ways, since each comma or point stands before "
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


def _check_numbers(
    cells: "pd.Series[Any]",
    numbers: "pd.Series[float]",
    known: "pd.Series[bool]",
    file: str,
    *,
    target: bool,
    trained: bool,
) -> None:
    """Raises TableError where a text is no number, or one that can't be computed with."""
    name = str(cells.name)
    if target:
        alike = "the target"
    elif trained:
        alike = "it was in training"
    else:
        first = int(numbers.notna().argmax())
        row = cells.index[first]
        alike = f"line {row} is ({cells.iloc[first]!r})" if numbers.notna().any() else "types says"
    for wrong, rule in (
        (numbers.isna() & known, f"be numeric, as {alike}"),
        ((numbers.abs() == np.inf) & known, "be finite"),
        ((numbers.abs() > MAX_MAGNITUDE) & known, f"be at most {MAX_MAGNITUDE:g} in size"),
    ):
        if wrong.any():
            row = int(wrong.argmax())
            got = str(cells.iloc[row])[:60]
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
                f"{locate(file, cells.index[row])}: {name} must {rule}, but got {got!r}; {instead}"
            )


def prefix(file: str) -> str:
    """Before a message on a whole column; a table that is no file has no name."""
    return f"{file}: " if file else ""


def locate(file: str, row: object) -> str:
    """Where a cell stands: `load.csv:12`, or the row's label in a table that is no file."""
    return f"{file}:{row}" if file else f"at {row}"
