"""A proposal as a commented search-space file."""

import os
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lstm_model.configuration import HYPERPARAMETERS
from lstm_model.data.columns import NONE, Repair
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.sources import load_dataset
from lstm_model.data.step import on_wall
from lstm_model.errors import InputError, TableError
from lstm_model.wording import distinct, shorten, yaml_text
from tuning.space.proposal import Proposal, propose_calendar
from tuning.space.search_space import NO_FILES, parse_space
from tuning.space.series_proposal import name_all
from tuning.space.writer import flow, format_time

# Training rows below which models are to be smaller than those of the shipped spaces.
SMALL_TABLE_ROWS = 10_000
# What training needs are steps of the optimiser. 30 epochs of 34 steps are enough, as the shipped
# spaces have them; of 16, the fewest that an epoch is cut into, the best of 200 were 33 to 78.
EPOCHS_BY_STEPS = {16: 100, 32: 30}
# A number with no more of them may be a code; with no more whole ones too.
FEW_VALUES, FEW_WHOLE_VALUES = 12, 50

STUDY_BLOCKS = """
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
STATIC = "what never changes within a series"
NEIGHBOURS = "true reads, as one more column, the mean of the others' target at the same time"
WIDTH = 100  # of a line
# What differs with the number of training rows.
DEFAULT_SPACE = {
    "low": "16",
    "layers": """\
  num_layers:     {type: int, low: 1, high: 2}
  dropout:        {type: float, low: 0.0, high: 0.4, when: {num_layers: 2}}  # between the layers
""",
    "one": "num_layers: 1, output_dropout: 0.0",
    "other": "64, num_layers: 2, dropout: 0.2, output_dropout: 0.0",
}
SMALL_TABLE_SPACE = {
    "low": "8",
    "layers": "",
    "one": "output_dropout: 0.0",
    "other": "16, output_dropout: 0.0",
}


def render_space_file(proposal: Proposal, path: Path, out: Path, horizon: int) -> str:
    """The text of a search-space file for the table at `path`, to be written to `out`."""
    source = _source_from(out, path)
    frame, target = proposal.frame, proposal.target
    every, ahead = proposal.step.name, "row" if horizon == 1 else f"{horizon} rows"
    times = on_wall(proposal.clock.rows.times)
    first, last = map(format_time, (times.min(), times.max()))
    several = f" of {len(proposal.index):,} series" if len(proposal.index) > 1 else ""
    names = proposal.clock.names
    clock = flow(names if len(names) > 1 else names[0])
    keys = [
        line
        for key, (value, why) in proposal.clock.keys.items()
        for line in _key_lines(key, value, why)
    ]
    columns = [
        (f"    - {yaml_text(name)}", describe_column(frame[name], target, proposal.repairs))
        for name in map(str, frame)
    ]
    count = len(proposal.features)
    lines = [
        (f"# {printable(source)} -> {printable(target)}{several} in the next {ahead}", ""),
        (f"#   python -m tuning.run --space {printable(shlex.quote(out.name))}", ""),
        (
            f"# Proposed for {len(frame):,} rows{several}, one every {every}, from {first} to "
            f"{last}",
            "",
        ),
        ("version: 1", ""),
        ("", ""),
        ("data:", ""),
        (f"  source: {yaml_text(source)}", "looked for beside this file, then where you are"),
        (f"  time: {clock}", "the clock"),
        *keys,
        (f"  target: {yaml_text(target)}", _target_comment(proposal)),
        ("  features:", "what is read; each must be known at the time of its row"),
        *columns[:count],
        *([("  static:", STATIC), *columns[count:]] if proposal.static else []),
        *((f"  # left out: {printable(why)}", "") for why in proposal.left_out.values()),
        *_cell_lines(proposal),
        (f"  calendar: [{', '.join(propose_calendar(proposal))}]", "from the clock, known ahead"),
        *([("  neighbours: false", NEIGHBOURS)] if proposal.have_common_times else []),
        (f"  horizon: {horizon}", "lead times 1..horizon, in rows"),
        (f"  validation_from: {format_time(proposal.validation_from)}", "training is all before"),
        (f"  test_from: {format_time(proposal.test_from)}", "from here on, no study reads"),
        ("  folds: 1", "3 validates on two earlier periods too: slower, and less luck"),
    ]
    known = frame[target].notna().to_numpy() & proposal.training
    training = int(known.sum())
    # A chunk is of one series: longer than most of them, it would be empty in part.
    of_series = [int(known[rows].sum()) for _, rows in proposal.index]
    chunk = min(96, max(12, min(training // 20, int(np.median(of_series)))))
    size = SMALL_TABLE_SPACE if training < SMALL_TABLE_ROWS else DEFAULT_SPACE
    steps = training / (chunk * int(HYPERPARAMETERS["batch_size"].default))
    epochs = round(float(np.interp(steps, [*EPOCHS_BY_STEPS], [*EPOCHS_BY_STEPS.values()])))
    numbers = {"training": training, "epochs": epochs, "context": chunk // 4, "chunk": chunk}
    study = STUDY_BLOCKS.format(**numbers, **size)
    # Comments begin in the column where the shipped spaces have theirs.
    data = (f"{line:<30} # {comment}" if comment else line for line, comment in lines)
    return "\n".join(data) + "\n" + study


def _key_lines(key: str, value: str | Sequence[str], why: str) -> list[tuple[str, str]]:
    """A key of the data block; with many columns over several lines."""
    if isinstance(value, str) or len(line := f"  {key}: {flow(value)}") <= WIDTH:
        return [(f"  {key}: {flow(value)}", why)]
    lines = [(f"  {key}:", why)]
    line = "    ["
    for name in map(yaml_text, value):
        if len(line) + len(name) >= WIDTH:
            lines.append((line.rstrip(), ""))
            line = "     "
        line += f"{name}, "
    return [*lines, (f"{line.removesuffix(', ')}]", "")]


def _target_comment(proposal: Proposal) -> str:
    if proposal.likes:
        return describe_likes(proposal)
    return "what the values of these columns are called" if "targets" in proposal.clock.keys else ""


def describe_likes(proposal: Proposal) -> str:
    """That columns like the target could be series, and how to ask for that."""
    count, names = len(proposal.likes), printable(shorten(proposal.likes))
    pattern = printable(shlex.quote(name_all(proposal.target, proposal.likes)))
    return (
        f"{count:,} {'column is' if count == 1 else 'columns are'} like it ({names}): "
        f"--target {pattern} makes each of them a series of one model"
    )


def _cell_lines(proposal: Proposal) -> list[tuple[str, str]]:
    """The keys that say what cells mean, a line for each column, with how many there are."""
    rows: Counter[tuple[str, str]] = Counter()
    for repair in proposal.repairs:
        rows[repair.column, repair.kind] += repair.rows
    lines = []
    missing, fill = proposal.reading.missing, proposal.reading.fill
    if isinstance(missing, dict) and missing:
        lines.append(("  missing:", "texts and numbers that stand for missing, it seems"))
        for name, values in missing.items():
            count = rows[name, "missing"]
            line = f"    {yaml_text(name)}: {flow(values)}"
            lines.append((line, f"in {count:,} row{'' if count == 1 else 's'}"))
    if fill:
        lines.append(("  fill:", "what an empty cell means; without it the last is repeated"))
        for name, value in fill.items():
            why = "rows are empty, and what is known comes in short stretches"
            line = f"    {yaml_text(name)}: {flow(value)}"
            lines.append((line, f"{rows[name, 'filled']:,} {why}"))
    return lines


def _source_from(out: Path, path: Path) -> str:
    """The table as the file has it: seen from there, so that both can be moved together."""
    source = str(path)
    if not path.is_absolute():
        # Resolved, because `..` behind a link leads elsewhere than before it.
        source = os.path.relpath(path.resolve(), out.parent.resolve())
    return f"./{source}" if source in NO_FILES else source


def describe_column(column: "pd.Series[Any]", target: str, repairs: Sequence[Repair] = ()) -> str:
    """A feature in a few words."""
    values = column.dropna()
    kinds = values.unique()
    texts = [
        f"; texts such as {printable(str(repair.value))} read as numbers"
        for repair in repairs
        if (repair.column, repair.kind) == (column.name, "number")
    ]
    if values.dtype == np.float64:
        text = " to ".join(distinct([values.min(), values.max()]))
        whole = bool((values == values.round()).all())
        few = 2 < len(kinds) <= (FEW_WHOLE_VALUES if whole else FEW_VALUES)
        if few and column.name != target and not texts:
            text += f", {len(kinds)} different{' whole' if whole else ''} numbers: if they are "
            text += f"codes, say types: {{{yaml_text(str(column.name))}: category}}"
    else:
        more = f" and {len(kinds) - 4} more" if len(kinds) > 4 else ""
        text = f"categories {', '.join(printable(kind[:20]) for kind in sorted(kinds)[:4])}{more}"
        text += f"; {NONE} is one of them" if NONE in kinds else ""
    text += "".join(texts)
    gaps = len(column) - len(values)
    return text + (f"; missing in {gaps:,} rows" if gaps else "")


def printable(text: str) -> str:
    """Text that can stand in a comment, or a terminal."""
    return "".join(each if each.isprintable() else " " for each in text)


def check_space_file(text: str, out: Path) -> None:
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
        EncodedTable.from_table(table.frame, table.step, space.data, table.index)
    except TableError as error:
        borders = map(format_time, (space.data.validation_from, space.data.test_from))
        raise InputError(
            f"{error} (which were to be {' and '.join(borders)}): write a space by hand, from one "
            "in search_spaces/"
        ) from error
