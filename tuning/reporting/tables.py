"""A study in words and tables: what would run, and how it ended."""

import os
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from lstm_model.wording import DIGITS, exact, number_format
from tuning.reporting.series_words import describe_left_out, describe_series, has_several
from tuning.space.search_space import SearchSpace

if TYPE_CHECKING:
    import pandas as pd

    from lstm_model.data.encoded_table import EncodedTable
    from lstm_model.data.series_index import SeriesIndex
    from lstm_model.data.sources import Dataset
    from tuning.study.view import StudyView

BEST_SHOWN = 5
ROWS_SHOWN, COLUMNS_SHOWN = 3, 6  # of a table, from each end
# Trials are told apart by a digit more than models are.
FIGURE_DIGITS = DIGITS + 1


def best_table(study: "StudyView") -> RichTable:
    """The best trials beside the baselines."""
    table = RichTable(title=f"{study.name}: validation", title_justify="left")
    headings, rows = best_rows(study)
    table.add_column(headings[0])
    for heading in headings[1:]:
        table.add_column(heading, justify="right")
    first_baseline = len(rows) - len(study.baselines.scores)
    for number, row in enumerate(rows):
        if number == first_baseline:
            table.add_section()
        table.add_row(*row)
    return table


def best_rows(study: "StudyView") -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Headings, and (model, RMSE, MAE, skill, epochs) of the best trials and then of the baselines.

    Of several series skill comes first, by which they are ranked.
    """
    baselines = study.baselines
    scored = [trial for trial in study.trials.values() if trial.best]
    figures: list[tuple[str, float, float, float, str]] = []
    for trial in sorted(scored, key=lambda trial: trial.objective)[:BEST_SHOWN]:
        best = trial.best
        assert best is not None
        epoch = f"{best['epoch']} of {trial.epochs}"
        figures.append((f"trial {trial.id}", best["rmse"], best["mae"], best["skill"], epoch))
    for name, score in baselines.scores.items():
        figures.append((baselines.title(name), score.rmse, score.mae, score.skill, ""))
    form = number_format(
        [error for _, rmse, mae, *_ in figures for error in (rmse, mae)], FIGURE_DIGITS
    )
    headings: tuple[str, ...] = ("model", "RMSE", "MAE", "skill", "epochs")
    rows: list[tuple[str, ...]] = [
        (name, format(rmse, form), format(mae, form), f"{skill:.1%}", epoch)
        for name, rmse, mae, skill, epoch in figures
    ]
    if has_several(study):
        headings = ("model", "skill", "RMSE (all rows)", "MAE (all rows)", "epochs")
        rows = [(row[0], row[3], row[1], row[2], row[4]) for row in rows]
    return headings, rows


def print_plan(
    space: SearchSpace,
    dataset: "Dataset",
    table: "EncodedTable",
    time_budget: float | None,
    console: Console,
) -> None:
    """What would run: --check. time_budget: seconds."""
    data, study = space.data, space.study

    def say(label: str, value: object) -> None:
        console.print(f"{label:<16}{value}", soft_wrap=True)

    say("space", space.name)
    say("data", f"{dataset.source}, {len(dataset.frame):,} rows, one every {dataset.step.name}")
    if len(dataset.index) > 1:
        say("series", describe_series(dataset.index))
        if data.static:
            say("static", ", ".join(data.static))
        if data.neighbours:
            say("neighbours", f"each series reads the mean of the others' {data.target}")
    say("forecast", f"{data.target} at lead times 1 to {data.horizon}")
    say("training", _describe_split(table, "training"))
    say("validation", _describe_split(table, "validation"))
    for fold in reversed(table.earlier_folds):
        say("earlier fold", _describe_split(fold, "validation"))
        others = [each for each in fold.left_out if each not in table.left_out]
        for why in describe_left_out(others):
            say("", f"left out there: {why}")
    for why in describe_left_out(table.left_out):
        say("left out", why)
    rest = len(dataset.frame) - len(table.times)
    say("test", f"{rest:,} rows from {data.test_from:%Y-%m-%d %H:%M}, not read")
    channels = table.channels
    say("channels", f"{len(channels)}: {', '.join(channels)}")
    say(
        "budget",
        f"{study.trials} trials of at most {study.max_epochs} epochs; sampler {study.sampler}, "
        f"scheduler {study.scheduler}, seed {study.seed}",
    )
    if time_budget is not None:
        say("", f"ended after {timedelta(seconds=time_budget)}, whatever is done by then")
    cores, share = os.cpu_count() or 1, space.resources
    say("each trial", f"{share.cpu:g} CPU, {share.gpu:g} GPU; this machine has {cores} cores")
    if share.cpu > cores:
        say("", "more CPU than this machine has: it can run on a cluster only, with --address")
    if len(space.initial_trials) > study.trials:
        left = len(space.initial_trials) - study.trials
        say("", f"the last {left} of {len(space.initial_trials)} initial trials won't be tried")
    for name, entry in space.search.items():
        say("search", f"{name}: {entry.describe()}")
    for name, value in space.fixed.items():
        say("fixed", f"{name}: {value}")
    console.print("The table as it was read, its first and last rows:")
    console.print(rows_table(dataset.frame, dataset.index))


def rows_table(frame: "pd.DataFrame", index: "SeriesIndex") -> RichTable:
    """The first and the last rows of a table by its clock: on the wall, and in UTC.

    With several series, which one each row is of.
    """
    from lstm_model.data.step import format_times, on_wall

    rows = range(len(frame))
    picked = list(dict.fromkeys([*rows[:ROWS_SHOWN], *rows[-ROWS_SHOWN:]]))
    shown = frame.iloc[picked, :COLUMNS_SHOWN]
    times = cast("pd.DatetimeIndex", shown.index)
    clocks = {"time" if times.tz is None else str(times.tz): on_wall(times)}
    if times.tz is not None:
        clocks["UTC"] = on_wall(times.tz_convert("UTC"))
    table = RichTable(box=None, pad_edge=False)
    columns: list[Iterable[str]] = [*map(format_times, clocks.values())]
    if len(index) > 1:
        table.add_column("series")
        columns.insert(0, [escape(index.names[number]) for number in index.numbers[picked]])
    for heading in clocks:
        table.add_column(escape(heading))
    for name in shown:
        table.add_column(escape(str(name)), justify="right")
    more = len(frame.columns) - len(shown.columns)
    if more:
        table.add_column(f"and {more} more")
    columns += (map(_cell, shown[name]) for name in shown)
    for number, cells in enumerate(zip(*columns, strict=True)):
        if number == ROWS_SHOWN:
            table.add_row("...")
        table.add_row(*cells)
    return table


def _cell(value: object) -> str:
    """A cell as it is understood; what is not known is said."""
    if isinstance(value, str):
        return escape(value)
    return "missing" if value != value else exact(cast("float", value))


def _describe_split(table: "EncodedTable", split: Literal["training", "validation"]) -> str:
    """When it begins and ends in whichever series, and how many forecasts count in it."""
    from lstm_model.evaluation.holdout import Holdout

    times, counts = [], np.zeros(table.horizon, np.int64)
    for series, learns in zip(table.each_series(), table.learned, strict=True):
        start = series.validation_start
        if len(part := series.times[:start] if split == "training" else series.times[start:]):
            times += [part[0], part[-1]]
        if learns:
            counts += series.train_mask.sum(axis=0)
    if split == "validation":
        counts = Holdout(table).scored.sum(axis=0)
    span = f"{min(times):%Y-%m-%d %H:%M} to {max(times):%Y-%m-%d %H:%M}"
    last = f", {counts[-1]:,} at lead time {len(counts)}" if len(counts) > 1 else ""
    return f"{span}; {counts[0]:,} forecasts scored at lead time 1{last}"
