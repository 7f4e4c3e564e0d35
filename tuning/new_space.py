"""The command that proposes a search space for a table of one's own.

python -m tuning.new_space load.csv --target load
"""

import csv
import io
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
import yaml

from lstm_model.command import exit_status, leave, report_errors
from lstm_model.configuration import HYPERPARAMETERS, DataSettings
from lstm_model.errors import InputError, TableError, reason
from lstm_model.files import read_bytes, refuse_unwritable, write_file
from lstm_model.parsing import CLOCK, CLOCK_PARTS, parsed
from lstm_model.series import Series
from lstm_model.sources import load_table
from tuning import options
from tuning.located_yaml import near
from tuning.search_space import parse_space
from tuning.summary import step_name

# With fewer rows a search would choose by luck; and validation and test shall hold three horizons.
LEAST_ROWS, LEAST_HORIZONS = 100, 25
# Training, validation and test as shares of the rows: what is aimed at, and the least to be taken
# where they then begin with a year, a month, a day or an hour.
SHARES, LEAST_SHARES = (0.6, 0.2, 0.2), (0.45, 0.12, 0.12)
SMALL = 10_000  # training rows below which models are to be smaller than the shipped spaces' are
# What training needs are steps of the optimiser. 30 epochs of 34 steps are enough, as the shipped
# spaces have them; of 16, the fewest that an epoch is cut into, the best of 200 were 33 to 78.
STEPS, EPOCHS = (16, 32), (100, 30)
FEW_VALUES = 12  # a number with no more of them may be a code

Read = Callable[[Sequence[str], Sequence[str]], tuple[pd.DataFrame, pd.Timedelta]]

STUDY = """
study:
  trials: 50                   # configurations to try
  max_epochs: {epochs:<16} # the longest training of a trial
  sampler: tpe                 # tpe | gp | random
  scheduler: asha              # asha | median | none
  seed: 0

resources: {{cpu: 1, gpu: 0}}    # each trial's share; with gpu: 0.25, four trials share a GPU

search:                        # bounds are inclusive; sizes are for {training:,} training rows
  hidden_size:    {{type: int, low: {low}, high: 64, log: true}}  # higher, if the best are near it
{layers}  output_dropout: {{type: float, low: 0.0, high: 0.4}}
  learning_rate:  {{type: float, low: 3e-3, high: 3e-2, log: true}}
  weight_decay:   {{type: float, low: 1e-2, high: 1e-1, log: true}}

fixed:
  loss: huber                  # squares below huber_delta, absolute errors above
  huber_delta: 0.3             # in units of the target's typical change
  context_length: {context:<12} # rows read before the first scored forecast in training
  chunk_length: {chunk:<14} # rows with a loss: training is cut into such chunks

initial_trials:                # tried first; each must lie in the space
  - {{hidden_size: 64, {one}, learning_rate: 1e-2, weight_decay: 0.05}}
  - {{hidden_size: {other}, learning_rate: 1e-2, weight_decay: 0.05}}
"""
# What differs with the number of training rows.
SHIPPED = {
    "low": "16",
    "layers": """\
  num_layers:     {type: int, low: 1, high: 2}
  dropout:        {type: float, low: 0.0, high: 0.4, when: {num_layers: 2}}  # between the layers
""",
    "one": "num_layers: 1, output_dropout: 0.0",
    "other": "64, num_layers: 2, dropout: 0.2, output_dropout: 0.0",
}
SMALLER = {
    "low": "8",
    "layers": "",
    "one": "output_dropout: 0.0",
    "other": "16, output_dropout: 0.0",
}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@dataclass(frozen=True)
class Proposal:
    """What a table holds, and how it would be forecast.

    Attributes:
        clock: its column, or its parts.
        frame: the features by time, the target first, as load_table() has them.
        step: time between rows.
        left_out: the other columns, and in a sentence why they are none of the features.
        validation_from, test_from: where the splits meet.
    """

    clock: tuple[str, ...]
    frame: pd.DataFrame
    step: pd.Timedelta
    left_out: Mapping[str, str]
    validation_from: pd.Timestamp
    test_from: pd.Timestamp


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
def new_space(
    data: Annotated[str, typer.Argument(help="the table: a CSV with a header")],
    target: Annotated[str, typer.Option(help="the column to forecast")],
    time: Annotated[
        str | None,
        typer.Option(help="the clock's column, or its parts: year,month,day,hour; else found"),
    ] = None,
    features: Annotated[
        str | None, typer.Option(help="columns to read, A,B,C; else all that can be of use")
    ] = None,
    horizon: Annotated[
        int, typer.Option(min=1, max=720, help="lead times 1 to this many rows")
    ] = 1,
    output: Annotated[
        str | None, typer.Option(help="file to write, - for standard output; else TABLE.yaml")
    ] = None,
) -> None:
    """Write a commented search-space file for a table, or say why that can't be done."""
    with report_errors():
        path = Path(data)
        try:
            path = path.expanduser()
            raw = read_bytes(path)
        except (OSError, ValueError, RuntimeError) as error:  # as in lstm_model.sources
            raise InputError(
                f"{data}: can't be read: {reason(error)}; give the path of a CSV"
            ) from error
        clock, columns = options.names(time), options.names(features)
        found = propose(raw, data, target, clock, columns, horizon=horizon)
        out = Path(output if output and output != "-" else f"{path.stem}.yaml")
        if output != "-" and os.path.lexists(out):
            raise InputError(f"{out} exists; choose another --output, or remove it first")
        if output != "-":
            refuse_unwritable("--output", out)
        # Named as from the new file, so that both can be moved together. Resolved, because `..`
        # behind a link leads elsewhere than before it.
        source = str(path)
        if not path.is_absolute():
            source = os.path.relpath(path.resolve(), out.parent.resolve())
        if source in ("beijing", "simulated"):  # which are no files to a study
            source = f"./{source}"
        text = written(found, source, out.name, horizon)
        verify(text, out)
        if output == "-":
            print(text, end="")
            return
        write_file(out, text.encode())
        file = shlex.quote(str(out))
        print(f"{out}: {target} by {plain(', '.join(map(str, found.frame)))}")
        for why in found.left_out.values():
            print(f"left out: {plain(why)}")
        print("Read it, and change what you know better. What it would do, and how to do it:")
        print(f"  {options.program()} -m tuning.run --space {file} --check")
        print(f"  {options.program()} -m tuning.run --space {file}")


def propose(
    raw: bytes,
    file: str,
    target: str,
    clock: tuple[str, ...] | None = None,
    features: tuple[str, ...] | None = None,
    *,
    horizon: int = 1,
) -> Proposal:
    """What a table's bytes hold, by the rules of the reader that studies have.

    Args:
        file: what messages call it.
        clock, features: the clock's columns and the columns to read; None to look for them.

    Raises:
        InputError: it can't be forecast as it is.
    """

    def table(clock: Sequence[str], names: Sequence[str]) -> tuple[pd.DataFrame, pd.Timedelta]:
        # Nothing is split here.
        unsplit = {"validation_from": datetime.min, "test_from": datetime.max}
        columns = {"time": clock, "target": target, "features": (target, *names)}
        asked = {**columns, **unsplit, "horizon": horizon}
        return parsed(raw, file, DataSettings.model_validate(asked))

    header, first = head(raw)
    named = dict.fromkeys((target, *(clock or ()), *(features or ())))
    if unknown := [name for name in named if not name or name not in header]:
        if len(header) < 2 and target:  # no table, or not with commas: the reader says why
            table(("time",), ())
        told = []
        for name in unknown:
            guess = near(name, header)
            also = f"did you mean {guess!r}?" if guess else f"there are {', '.join(header)}"
            told.append(f"{file}: no column {name!r}; {also}")
        raise InputError("\n".join(told))
    clock, step, observed = dated([clock] if clock else clocks(header, first, file), target, table)
    least = max(LEAST_ROWS, LEAST_HORIZONS * horizon)
    if len(observed) < least:
        raise InputError(
            f"{file}: must have {least} rows or more with {target}, of which validation and test "
            f"take a fifth each, but has {len(observed)}; gather more"
            + (", or ask for a smaller --horizon" if least > LEAST_ROWS else "")
        )
    validation_from, test_from = splits(observed)
    left_out: dict[str, str] = {}
    if features is not None:
        frame, _ = table(clock, [name for name in named if name in features and name != target])
    else:
        others = [name for name in header if name not in (target, *clock)]
        frame = sound(others, lambda some: table(clock, some)[0], file, left_out)
        for name in frame.columns[1:]:
            if why := useless(frame[name], validation_from):
                left_out[name] = f"{name} {why}"
        frame = frame.drop(columns=[name for name in left_out if name in frame])
    return Proposal(clock, frame, step, left_out, validation_from, test_from)


def head(raw: bytes) -> tuple[list[str], list[str]]:
    """The header and the first row; empty where the bytes are none that can be read."""
    try:
        text = io.StringIO(raw.decode("utf-8-sig"), newline="")
        rows = filter(None, csv.reader(text, skipinitialspace=True))
        header, first = next(rows, []), next(rows, [])
    except (UnicodeDecodeError, csv.Error):
        return [], []
    return [name.strip() for name in header], [value.strip() for value in first]


def clocks(header: Sequence[str], first: Sequence[str], file: str) -> list[tuple[str, ...]]:
    """What may be the clock: each column of times, and one in parts; raises where nothing may."""
    if not first:
        raise InputError(f"{file}: must have 2 rows or more, but has 0 below its header")
    row = dict(zip(header, first, strict=False))
    found: list[tuple[str, ...]] = [(name,) for name in row if CLOCK.fullmatch(row[name])]
    spelled = {name.casefold(): name for name in header}
    parts = tuple(spelled[part] for part in takewhile(spelled.__contains__, CLOCK_PARTS))
    if len(parts) >= 3:
        found.append(parts)
    if not found:
        shown = ", ".join(f"{name} = {value[:60]!r}" for name, value in row.items())
        raise InputError(
            f"{file}: the clock must be a column of times such as 2013-01-31 13:00, year first, or "
            f"the columns year, month, day and then any of hour, minute, second, but the first row "
            f"has {shown}"
        )
    return found


def dated(
    clocks: Sequence[tuple[str, ...]], target: str, table: Read
) -> tuple[tuple[str, ...], pd.Timedelta, pd.DatetimeIndex]:
    """The first clock that is one, its step, and the times with a target.

    Raises:
        TableError: none is, or the target is none: what is wrong with the first.
    """
    broken: list[TableError] = []
    for clock in clocks:
        try:
            frame, step = table(clock, ())
        except TableError as error:
            broken.append(error)
        else:
            return clock, step, pd.DatetimeIndex(frame[target].dropna().index)
    raise broken[0]


def sound(
    names: Sequence[str],
    table: Callable[[Sequence[str]], pd.DataFrame],
    file: str,
    left_out: dict[str, str],
) -> pd.DataFrame:
    """The target and the columns that can be read; why the others can't goes to `left_out`."""
    try:
        return table(names)
    except TableError as error:
        if len(names) == 1:
            left_out[names[0]] = str(error).removeprefix(f"{file}: ")
            return table(())
    # Every attempt reads the whole file, and halves find a few bad columns among many soonest.
    half = len(names) // 2
    some, others = (sound(part, table, file, left_out) for part in (names[:half], names[half:]))
    return some.join(others.iloc[:, 1:])


def useless(column: "pd.Series[Any]", validation_from: pd.Timestamp) -> str | None:
    """Why a column can't help a forecast, or None."""
    times, values = pd.DatetimeIndex(column.index), column.dropna()
    part, rows = str(column.name).casefold(), len(values)
    if values[values.index < validation_from].nunique() < 2:
        return "never changes before validation begins: nothing to learn from"
    if values.dtype != np.float64:
        if CLOCK.fullmatch(values.iloc[0]):
            return "holds times, but is not the clock"
        return "names its rows: most texts come once" if 2 * values.nunique() > rows else None
    if column.diff().iloc[1:].nunique(dropna=False) == 1:
        return "counts the rows"
    if part in CLOCK_PARTS and (column == getattr(times, part)).all():
        return "is a part of the clock: calendar has what can be learned from it"
    return None


def splits(observed: pd.DatetimeIndex) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Where validation and test begin, from the times with a target.

    With a year, else a month, a day or an hour, where that leaves each part long enough.
    """
    times = observed.to_numpy().astype("datetime64[s]")
    borders = ideal = times[[round(share * len(times)) for share in np.cumsum(SHARES)[:2]]]
    for unit in ("Y", "M", "D", "h"):
        before = ideal.astype(f"datetime64[{unit}]")
        start, end = before.astype(ideal.dtype), (before + 1).astype(ideal.dtype)
        nearest = np.where(ideal - start <= end - ideal, start, end)
        rows = np.diff([0, *np.searchsorted(times, nearest), len(times)])
        if (rows >= np.array(LEAST_SHARES) * len(times)).all():
            borders = nearest
            break
    validation_from, test_from = map(pd.Timestamp, borders)
    return validation_from, test_from


def calendar(found: Proposal) -> list[str]:
    """The periods of two rows or more that training sees twice."""
    day, span = pd.Timedelta(days=1), found.validation_from - found.frame.index[0]
    periods = {"hour_of_day": day, "day_of_week": 7 * day, "day_of_year": 365 * day}
    return [name for name, long in periods.items() if 2 * found.step <= long and 2 * long <= span]


def written(found: Proposal, source: str, name: str, horizon: int) -> str:
    """The search-space file."""
    frame, target = found.frame, str(found.frame.columns[0])
    parts = ", ".join(map(quoted, found.clock))
    every, ahead = step_name(found.step), "row" if horizon == 1 else f"{horizon} rows"
    first, last = moment(frame.index[0]), moment(frame.index[-1])
    data = [
        f"# {plain(source)} -> {plain(target)} in the next {ahead}",
        f"#   python -m tuning.run --space {plain(shlex.quote(name))}",
        f"# Proposed for {len(frame):,} rows, one every {every}, from {first} to {last}",
        "version: 1",
        "",
        "data:",
        note(f"  source: {quoted(source)}", "looked for beside this file, then where you are"),
        note(f"  time: [{parts}]" if len(found.clock) > 1 else f"  time: {parts}", "the clock"),
        f"  target: {quoted(target)}",
        note("  features:", "what is read; each must be known at the time of its row"),
        *(note(f"    - {quoted(str(each))}", meaning(frame[each], target)) for each in frame),
        *(f"  # left out: {plain(why)}" for why in found.left_out.values()),
        note(f"  calendar: [{', '.join(calendar(found))}]", "from the clock, known ahead"),
        note(f"  horizon: {horizon}", "lead times 1..horizon, in rows"),
        note(f"  validation_from: {moment(found.validation_from)}", "training is all before"),
        note(f"  test_from: {moment(found.test_from)}", "from here on, no study reads"),
        note("  folds: 1", "3 validates on two earlier periods too: slower, and less luck"),
    ]
    training = int(frame.loc[frame.index < found.validation_from, target].count())
    chunk = min(96, max(12, training // 20))
    size = SMALLER if training < SMALL else SHIPPED
    steps = training / (chunk * int(HYPERPARAMETERS["batch_size"].default))
    epochs = round(float(np.interp(steps, STEPS, EPOCHS)))
    study = STUDY.format(training=training, epochs=epochs, context=chunk // 4, chunk=chunk, **size)
    return "\n".join(data) + "\n" + study


def meaning(column: "pd.Series[Any]", target: str) -> str:
    """A feature in a few words."""
    values = column.dropna()
    kinds = values.unique()
    if values.dtype == np.float64:
        said = f"{values.min():g} to {values.max():g}"
        if 2 < len(kinds) <= FEW_VALUES and column.name != target:
            said += f", {len(kinds)} different: if they are codes, make texts of them in the table"
    else:
        more = f" and {len(kinds) - 4} more" if len(kinds) > 4 else ""
        said = f"categories {', '.join(plain(kind[:20]) for kind in sorted(kinds)[:4])}{more}"
    gaps = len(column) - len(values)
    return said + (f"; missing in {gaps:,} rows" if gaps else "")


def note(text: str, comment: str) -> str:
    """A line with a comment, in the column where the shipped spaces have theirs."""
    return f"{text:<30} # {comment}"


def quoted(text: str) -> str:
    """Text as YAML, plain where no reader could take it for something else."""
    if re.fullmatch(r"(\.\./|/)*[A-Za-z][A-Za-z0-9_./-]*", text) and yaml.safe_load(text) == text:
        return text
    return str(yaml.safe_dump(text, default_style='"', allow_unicode=True, width=10**9)).rstrip()


def plain(text: str) -> str:
    """Text that can stand in a comment, or a terminal."""
    return "".join(each if each.isprintable() else " " for each in text)


def moment(time: Any) -> str:
    """A time as YAML and people read it, no longer than it has to be."""
    return str(time).removesuffix(":00").removesuffix(" 00:00")


def verify(text: str, out: Path) -> None:
    """Read the file as a study will, before it is written.

    Raises:
        InputError: a study can't be run with it.
    """
    try:
        space = parse_space(text.encode(), out.name, os.path.dirname(out))
    except UnicodeEncodeError:
        raise InputError("the table's path must be UTF-8 text, but isn't; rename it") from None
    table = load_table(space.data)
    try:
        Series.from_table(table.frame, table.step, space.data)
    except TableError as error:
        raise InputError(
            f"{error} (which were to be {moment(space.data.validation_from)} and "
            f"{moment(space.data.test_from)}): write a space by hand, from one in search_spaces/"
        ) from error


if __name__ == "__main__":
    leave(exit_status(app))
