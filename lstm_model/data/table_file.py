"""Files as tables of cells: CSV in its kinds, packed or not, and Parquet.

pyarrow reads them. A CSV's cells are stripped texts; a Parquet file's keep their types. What can't
be read is said with its line.
"""

import codecs
import csv
import difflib
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from lstm_model.data.places import Places
from lstm_model.errors import TableError

TEXT = pd.StringDtype(na_value=np.nan)
SEPARATORS = ",;\t|"
BLOCK = 1 << 20
HEAD = 100_000  # bytes in which a table's kind is looked for
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
UNPACKING_ERRORS = (zipfile.BadZipFile, zlib.error, lzma.LZMAError)
INDEX = "__index_level_0__"  # what pandas calls an index without a name in a Parquet file


@dataclass(frozen=True)
class Table:
    """A table's cells as they stand.

    Attributes:
        cells: the wanted columns: stripped texts, or of a Parquet file its numbers and times. The
            index counts the rows.
        places: where the rows stand.
        header: every column's name.
        first_rows: the row at which each file begins.
    """

    cells: pd.DataFrame
    places: Places
    header: tuple[str, ...]
    first_rows: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class _Choice:
    """The columns to read of a file: those that must be there, and those that may."""

    wanted: tuple[str, ...]
    optional: tuple[str, ...]

    def names(self, header: Sequence[str]) -> list[str]:
        """Each once, in the order asked for."""
        present = (name for name in self.optional if name in header)
        return list(dict.fromkeys((*self.wanted, *present)))


def read_files(
    files: Mapping[str, bytes],
    wanted: Iterable[str] | None,
    encoding: str | None = None,
    optional: Iterable[str] = (),
) -> Table:
    """One table from the bytes of one file, or of several that have the same columns.

    Args:
        files: by the name that messages have.
        wanted: the columns to read; None for all.
        encoding: of bytes that are no UTF-8.
        optional: columns to read where they are there.

    Raises:
        TableError: a file is no table, or lacks a wanted column.
    """
    choice = None if wanted is None else _Choice(tuple(wanted), tuple(optional))
    tables = [_read_file(raw, name, choice, encoding) for name, raw in files.items()]
    if len(tables) == 1:
        return tables[0]
    first = tables[0]
    for name, table in zip(files, tables, strict=True):
        if set(table.cells.columns) != set(first.cells.columns):
            raise TableError(
                f"{name}: files of one table must have the same columns, but this one has "
                f"{', '.join(table.header)}, and {next(iter(files))} {', '.join(first.header)}"
            )
        _check_types(table.cells, name, first.cells, next(iter(files)))
    starts = np.cumsum([0, *(len(table.cells) for table in tables)])

    def locate(row: int) -> str:
        number = int(np.searchsorted(starts, row, side="right")) - 1
        return tables[number].places.locate(row - int(starts[number]))

    return Table(
        pd.concat([table.cells for table in tables], ignore_index=True),
        Places(f"{next(iter(files))} and {len(files) - 1} more", locate),
        first.header,
        tuple(map(int, starts[:-1])),
    )


def _check_types(cells: pd.DataFrame, file: str, others: pd.DataFrame, other: str) -> None:
    """Raises TableError where Parquet files have a column in two types: texts and numbers."""
    for name in cells:
        one, two = (frame[name] for frame in (cells, others))
        kinds = [(column.dtype.kind, getattr(column.dtype, "tz", None)) for column in (one, two)]
        if kinds[0] != kinds[1] and one.notna().any() and two.notna().any():
            raise TableError(
                f"{file}: {name} must have one type in all files of a table, but is "
                f"{one.dtype} here, and {two.dtype} in {other}; write both alike"
            )


def _read_file(raw: bytes, file: str, choice: _Choice | None, encoding: str | None) -> Table:
    raw = unpack(raw, file)
    if raw.startswith(b"PAR1"):
        return _read_parquet(raw, file, choice)
    return _read_csv(_to_utf8(raw, file, encoding), file, choice)


def unpack(raw: bytes, file: str) -> bytes:
    """The bytes of a file that may be packed with gzip or zip."""
    try:
        if raw.startswith(b"\x1f\x8b"):
            return gzip.decompress(raw)
        if raw.startswith(b"PK") and zipfile.is_zipfile(io.BytesIO(raw)):
            with zipfile.ZipFile(io.BytesIO(raw)) as archive:
                names = [item.filename for item in archive.infolist() if not item.is_dir()]
                if "[Content_Types].xml" in names:
                    raise TableError(
                        f"{file}: must be a CSV or Parquet file, but is a workbook; save its sheet "
                        "as CSV, in UTF-8, from the program"
                    )
                if len(names) != 1:
                    raise TableError(
                        f"{file}: an archive must hold one file, but holds {len(names)} "
                        f"({', '.join(names[:5])}{', ...' if len(names) > 5 else ''}); unpack it, "
                        "and name one, or a pattern such as 'FOLDER/*.csv'"
                    )
                return archive.read(names[0])
    except (*UNPACKING_ERRORS, OSError, EOFError, RuntimeError, ValueError) as error:
        raise TableError(f"{file}: can't be unpacked: {error}; get it anew") from error
    return raw


def is_utf8(raw: bytes) -> bool:
    """Whether bytes are UTF-8 text."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:  # by parts: a whole text would stand in memory beside its bytes
        for start in range(0, len(raw), BLOCK):
            decoder.decode(raw[start : start + BLOCK])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return 0 not in raw


def guess_encoding(raw: bytes) -> str | None:
    """What bytes seem to be that are no UTF-8 and have no mark; None where they are or have one."""
    raw = unpack(raw, "")
    if raw.startswith((*UTF_16_MARKS, b"PAR1")) or is_utf8(raw):
        return None
    odd = raw[1:HEAD:2]
    if 0 in raw:
        return "utf-16-le" if odd.count(0) > len(odd) // 2 else None
    return "cp1252"


def _to_utf8(raw: bytes, file: str, encoding: str | None) -> bytes:
    """Text as UTF-8.

    Raises TableError at the line where it can't be told what the bytes are.
    """
    if raw.startswith(UTF_16_MARKS):
        encoding = "utf-16"
    elif is_utf8(raw):
        return raw.removeprefix(b"\xef\xbb\xbf")
    elif encoding is None:
        at, likely = _first_strange_byte(raw), guess_encoding(raw)
        if likely is None:  # NUL, as where a disk has lost a block
            way = "it is no text: save the table as CSV, in UTF-8"
        elif likely == "cp1252":
            way = f"{_line_of(raw, at)!r} may be of Windows: in the data block, encoding: {likely}"
            way += ", or latin-1, or what else it is"
        else:
            way = f"it seems to be UTF-16: in the data block, encoding: {likely}"
        line = raw.count(b"\n", 0, at) + 1
        raise TableError(f"{file}:{line}: must be UTF-8 text, but isn't; {way}")
    try:
        text = raw.decode(encoding)
        utf8 = text.removeprefix("\ufeff").encode()
    except (UnicodeError, LookupError) as error:
        at = error.start if isinstance(error, UnicodeDecodeError) else 0
        line = raw.count(b"\n", 0, at) + 1
        raise TableError(
            f"{file}:{line}: must be {encoding} text, but isn't ({error}); set encoding in the "
            "data block to what it is"
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise TableError(f"{file}:{line}: must be text, but holds NUL; save the table as CSV anew")
    return utf8


def _first_strange_byte(raw: bytes) -> int:
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return error.start
    return raw.find(0)


def _line_of(raw: bytes, at: int) -> str:
    """The text around a byte, as Windows has it."""
    start = raw.rfind(b"\n", 0, at) + 1
    return raw[max(start, at - 20) : at + 20].decode("cp1252", "replace").splitlines()[0]


def _read_csv(raw: bytes, file: str, choice: _Choice | None) -> Table:
    """The chosen columns of UTF-8 text."""
    mark, header = _find_header(raw, file, () if choice is None else choice.wanted)
    names = list(header) if choice is None else choice.names(header)
    check_header(header, file, names)
    places = Places(file, partial(_locate, raw, file, mark))
    keys = [str(number) for number in range(len(header))]
    chosen = [keys[header.index(name)] for name in names]
    body = raw.lstrip(b"\r\n")  # Arrow would take a blank line for the header
    if b'"' in raw:  # Arrow takes what stands behind a closing quote, and a quote left open
        _explain(raw, file, mark, len(header))
        if re.search(rf'(?:^|[\r\n{re.escape(mark)}]) +"'.encode(), raw):
            body = _without_spaces(raw, file, mark)
    try:
        read = arrow_csv.read_csv(
            pa.py_buffer(body),
            read_options=arrow_csv.ReadOptions(column_names=keys, skip_rows_after_names=1),
            parse_options=arrow_csv.ParseOptions(delimiter=mark, newlines_in_values=b'"' in raw),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(keys, pa.string()),
                include_columns=chosen,
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        _explain(raw, file, mark, len(header))
        raise TableError(
            f"{file}: must be a table of values, but can't be read: {error}"
        ) from error
    if read.num_rows < 2:
        raise TableError(
            f"{file}: must have 2 rows or more, but has {read.num_rows} below its header"
        )
    cells = {}
    for key, name in zip(chosen, names, strict=True):
        cells[name] = _to_pandas(pc.utf8_trim_whitespace(read.column(key)))
        read = read.drop_columns([key])  # a large table is not to be there twice
    pa.default_memory_pool().release_unused()
    return Table(pd.DataFrame(cells, copy=False), places, tuple(header))


def _to_pandas(column: pa.ChunkedArray) -> "pd.Series[Any]":
    texts = {pa.string(): TEXT, pa.large_string(): TEXT}
    return pd.Series(column.to_pandas(types_mapper=texts.get))


def _read_parquet(raw: bytes, file: str, choice: _Choice | None) -> Table:
    """The chosen columns of a Parquet file, with their types."""
    try:
        source = parquet.ParquetFile(pa.py_buffer(raw))
        stored = source.schema_arrow.names
        # pandas' index is a column; one without a name is the clock, more often than not.
        unnamed = "index" if "time" in stored else "time"
        header = [unnamed if name == INDEX else name for name in stored]
        names = header if choice is None else choice.names(header)
        check_header(header, file, names)
        read = source.read([stored[header.index(name)] for name in names])
        columns = {name: read.column(stored[header.index(name)]) for name in names}
        cells = {
            name: _typed_cells(column, name, file, asked=choice is not None)
            for name, column in columns.items()
        }
    except TableError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        why = " ".join(str(error).split())
        raise TableError(f"{file}: can't be read as Parquet: {why}; write it anew") from error
    if read.num_rows < 2:
        raise TableError(f"{file}: must have 2 rows or more, but has {read.num_rows}")
    places = Places(file, lambda row: f"{file}, row {row + 1}")
    return Table(pd.DataFrame(cells), places, tuple(header))


def _typed_cells(column: pa.ChunkedArray, name: str, file: str, *, asked: bool) -> "pd.Series[Any]":
    """A Parquet column as numbers, times, or stripped texts; one that nobody asked for may be of
    another kind, and is its texts.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        if asked:
            raise TableError(f"{file}: {name} must have one value in each row, but has {kind}")
        return pd.Series(list(map(str, column.to_pylist())), dtype=TEXT)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return pd.Series(column.to_pandas(date_as_object=False))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return pd.Series(column.cast(pa.float64(), safe=False).to_pandas())
    if pa.types.is_boolean(kind):  # as pandas writes them
        return pd.Series(column.to_pandas()).map(str, na_action="ignore").astype(TEXT)
    return _to_pandas(pc.utf8_trim_whitespace(column.cast(pa.string())))


def find_separator(text: str) -> str:
    """What stands between the values of a table's first lines: as often in each of them."""
    lines = [line for line in text[:HEAD].splitlines()[:6] if line.strip()]
    for mark in ";\t|,":
        counts = {line.count(mark) for line in lines}
        if len(counts) == 1 and 0 not in counts:
            return mark
    head = lines[0] if lines else ""
    return max(SEPARATORS, key=head.count)


def _find_header(raw: bytes, file: str, wanted: Iterable[str]) -> tuple[str, Sequence[str]]:
    """The separator, and the names in the first line."""
    likely = find_separator(raw[:HEAD].decode(errors="ignore"))
    names = set(wanted)
    headers = {}
    for mark in dict.fromkeys((likely, *SEPARATORS)):
        headers[mark] = [name.strip() for name in next(_rows(raw, file, mark), (0, []))[1]]
        if names <= set(headers[mark]):
            return mark, headers[mark]
    return likely, headers[likely]


def check_header(header: Sequence[str], file: str, wanted: Iterable[str]) -> None:
    """Raises TableError where a name stands twice, or a wanted one not at all."""
    if not header:
        raise TableError(f"{file}: must have a header and rows, but is empty")
    twice = sorted({name for name in header if header.count(name) > 1})
    problems = [f"two columns have the name {name!r}" for name in twice]
    spelled = {name.casefold(): name for name in header}
    for name in wanted:
        if name not in header:
            near = difflib.get_close_matches(name.casefold(), spelled, n=1)
            guess = f"; did you mean {spelled[near[0]]!r}?" if near else ""
            problems.append(f"no column {name!r}{guess}")
    if problems:
        problems.append(f"the columns are {', '.join(map(repr, header))}")
        raise TableError("\n".join(f"{file}: {problem}" for problem in problems))


def _rows(raw: bytes, file: str, mark: str) -> Iterator[tuple[int, list[str]]]:
    """Each row that isn't blank, with the line at which it begins."""
    line = 1
    text = io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8", newline="")
    reader = csv.reader(text, delimiter=mark, strict=True, skipinitialspace=True)
    try:
        for row in reader:
            if row:
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise TableError(
            f"{file}:{line}: must be values with {mark!r} between them: {error}"
        ) from error


def _without_spaces(raw: bytes, file: str, mark: str) -> bytes:
    """The table without the spaces before quotes, with which Arrow takes a quote for a letter."""
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=mark).writerows(row for _, row in _rows(raw, file, mark))
    return text.getvalue().encode()


def _locate(raw: bytes, file: str, mark: str, row: int) -> str:
    """Where a row stands; its lines are counted only where somebody asks."""
    rows = _rows(raw, file, mark)
    line = next((line for number, (line, _) in enumerate(rows, start=-1) if number == row), 0)
    return f"{file}:{line}"


def _explain(raw: bytes, file: str, mark: str, columns: int) -> None:
    """Raises TableError at the line that is none of a table of so many columns."""
    for line, row in _rows(raw, file, mark):
        if len(row) != columns:
            raise TableError(
                f"{file}:{line}: must have {columns} values, one a column, but has {len(row)}"
            )
