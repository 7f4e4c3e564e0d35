"""The command that proposes a search space for a table of one's own.

python -m tuning.new_space load.csv --target load
"""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

from lstm_model.command import exit_without_teardown, report_errors, run_app
from lstm_model.configuration import HYPERPARAMETERS, Cell
from lstm_model.data.columns import NONE, Repair
from lstm_model.data.series import EncodedSeries
from lstm_model.data.sources import load_dataset
from lstm_model.errors import InputError, TableError, os_error_text
from lstm_model.files import check_writable, read_bytes, write_file
from lstm_model.wording import distinct, exact, yaml_text
from tuning import cli as options
from tuning.space.proposal import Proposal, calendar, propose
from tuning.space.search_space import parse_space
from tuning.wording import step_name

SMALL = 10_000  # training rows below which models are to be smaller than the shipped spaces' are
# What training needs are steps of the optimiser. 30 epochs of 34 steps are enough, as the shipped
# spaces have them; of 16, the fewest that an epoch is cut into, the best of 200 were 33 to 78.
STEPS, EPOCHS = (16, 32), (100, 30)
# A number with no more of them may be a code; with no more whole ones too.
FEW_VALUES, FEW_WHOLE_VALUES = 12, 50

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
        except (OSError, ValueError, RuntimeError) as error:  # as in lstm_model.data.sources
            raise InputError(
                f"{data}: can't be read: {os_error_text(error)}; give the path of a CSV"
            ) from error
        clock, columns = options.parse_name_list(time), options.parse_name_list(features)
        found = propose(raw, data, target, clock, columns, horizon=horizon)
        out = Path(output if output and output != "-" else f"{path.stem}.yaml")
        if output != "-" and os.path.lexists(out):
            raise InputError(f"{out} exists; choose another --output, or remove it first")
        if output != "-":
            check_writable("--output", out)
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
        for repair in found.repairs:
            print(f"proposed: {plain(str(repair))}")
        for why in found.left_out.values():
            print(f"left out: {plain(why)}")
        print("Read it, and change what you know better. What it would do, and how to do it:")
        print(f"  {options.command_for_shell()} -m tuning.run --space {file} --check")
        print(f"  {options.command_for_shell()} -m tuning.run --space {file}")


def written(found: Proposal, source: str, name: str, horizon: int) -> str:
    """The search-space file."""
    frame, target = found.frame, str(found.frame.columns[0])
    parts = ", ".join(map(yaml_text, found.clock))
    every, ahead = step_name(found.step), "row" if horizon == 1 else f"{horizon} rows"
    first, last = moment(frame.index[0]), moment(frame.index[-1])
    data = [
        f"# {plain(source)} -> {plain(target)} in the next {ahead}",
        f"#   python -m tuning.run --space {plain(shlex.quote(name))}",
        f"# Proposed for {len(frame):,} rows, one every {every}, from {first} to {last}",
        "version: 1",
        "",
        "data:",
        note(f"  source: {yaml_text(source)}", "looked for beside this file, then where you are"),
        note(f"  time: [{parts}]" if len(found.clock) > 1 else f"  time: {parts}", "the clock"),
        f"  target: {yaml_text(target)}",
        note("  features:", "what is read; each must be known at the time of its row"),
        *(
            note(f"    - {yaml_text(str(each))}", meaning(frame[each], target, found.repairs))
            for each in frame
        ),
        *(f"  # left out: {plain(why)}" for why in found.left_out.values()),
        *cells(found),
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


def cells(found: Proposal) -> list[str]:
    """The keys that say what cells mean, a line for each column, with how many there are."""
    rows: dict[tuple[str, str], int] = {}
    for repair in found.repairs:
        key = repair.column, repair.kind
        rows[key] = rows.get(key, 0) + repair.rows
    lines = []
    missing, fill = found.reading.missing, found.reading.fill
    if isinstance(missing, dict) and missing:
        lines.append(note("  missing:", "texts and numbers that stand for missing, it seems"))
        for name, values in missing.items():
            listed = ", ".join(map(as_yaml, values))
            count = rows.get((name, "missing"), 0)
            lines.append(
                note(
                    f"    {yaml_text(name)}: [{listed}]",
                    f"in {count:,} row{'' if count == 1 else 's'}",
                )
            )
    if fill:
        lines.append(note("  fill:", "what an empty cell means; without it the last is repeated"))
        for name, value in fill.items():
            count = rows.get((name, "filled"), 0)
            why = f"{count:,} rows are empty, and what is known comes in short stretches"
            lines.append(note(f"    {yaml_text(name)}: {as_yaml(value)}", why))
    return lines


def as_yaml(cell: Cell) -> str:
    return yaml_text(cell) if isinstance(cell, str) else exact(cell)


def meaning(column: "pd.Series[Any]", target: str, repairs: Sequence[Repair] = ()) -> str:
    """A feature in a few words."""
    values = column.dropna()
    kinds = values.unique()
    texts = [
        f"; texts such as {plain(str(repair.value))} read as numbers"
        for repair in repairs
        if (repair.column, repair.kind) == (column.name, "number")
    ]
    if values.dtype == np.float64:
        said = " to ".join(distinct([values.min(), values.max()]))
        whole = bool((values == values.round()).all())
        few = 2 < len(kinds) <= (FEW_WHOLE_VALUES if whole else FEW_VALUES)
        if few and column.name != target and not texts:
            said += f", {len(kinds)} different{' whole' if whole else ''} numbers: if they are "
            said += f"codes, say types: {{{yaml_text(str(column.name))}: category}}"
    else:
        more = f" and {len(kinds) - 4} more" if len(kinds) > 4 else ""
        said = f"categories {', '.join(plain(kind[:20]) for kind in sorted(kinds)[:4])}{more}"
        said += f"; {NONE} is one of them" if NONE in kinds else ""
    said += "".join(texts)
    gaps = len(column) - len(values)
    return said + (f"; missing in {gaps:,} rows" if gaps else "")


def note(text: str, comment: str) -> str:
    """A line with a comment, in the column where the shipped spaces have theirs."""
    return f"{text:<30} # {comment}"


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
    table = load_dataset(space.data)
    try:
        EncodedSeries.from_table(table.frame, table.step, space.data)
    except TableError as error:
        raise InputError(
            f"{error} (which were to be {moment(space.data.validation_from)} and "
            f"{moment(space.data.test_from)}): write a space by hand, from one in search_spaces/"
        ) from error


if __name__ == "__main__":
    exit_without_teardown(run_app(app))
