"""A study in words and tables: what would run, and how it ended."""

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from lstm_model.wording import DIGITS, exact, number_format
from tuning.space.search_space import SearchSpace

if TYPE_CHECKING:
    import pandas as pd

    from lstm_model.data.series import EncodedSeries
    from lstm_model.data.sources import Dataset
    from tuning.study.view import StudyView

BEST_SHOWN = 5
ROWS_SHOWN, COLUMNS_SHOWN = 3, 6  # of a table, from each end
# Trials are told apart by a digit more than models are.
FIGURE_DIGITS = DIGITS + 1


def best_table(study: "StudyView") -> RichTable:
    """The best trials beside the baselines."""
    table = RichTable(title=f"{study.name}: validation", title_justify="left")
    table.add_column("model")
    for heading in ("RMSE", "MAE", "skill", "epochs"):
        table.add_column(heading, justify="right")
    rows = best_rows(study)
    first_baseline = len(rows) - len(study.baselines.scores)
    for number, row in enumerate(rows):
        if number == first_baseline:
            table.add_section()
        table.add_row(*row)
    return table


def best_rows(study: "StudyView") -> list[tuple[str, ...]]:
    """(model, RMSE, MAE, skill, epochs) of the best trials and then of the baselines."""
    baselines = study.baselines
    scored = [trial for trial in study.trials.values() if trial.best]
    figures: list[tuple[str, float, float, float, str]] = []
    for trial in sorted(scored, key=lambda trial: trial.rmse)[:BEST_SHOWN]:
        best = trial.best
        assert best is not None
        epoch = f"{best['epoch']} of {trial.epochs}"
        figures.append((f"trial {trial.id}", best["rmse"], best["mae"], best["skill"], epoch))
    for name, score in baselines.scores.items():
        figures.append((baselines.title(name), score.rmse, score.mae, score.skill, ""))
    form = number_format(
        [error for _, rmse, mae, *_ in figures for error in (rmse, mae)], FIGURE_DIGITS
    )
    return [
        (name, format(rmse, form), format(mae, form), f"{skill:.1%}", epoch)
        for name, rmse, mae, skill, epoch in figures
    ]


def print_plan(
    space: SearchSpace,
    table: "Dataset",
    series: "EncodedSeries",
    time_budget: float | None,
    console: Console,
) -> None:
    """What would run: --check. time_budget: seconds."""
    data, study = space.data, space.study
    training, validation = series.train_mask, series.valid_mask

    def say(label: str, value: object) -> None:
        console.print(f"{label:<16}{value}", soft_wrap=True)

    say("space", space.name)
    say("data", f"{table.source}, {len(table.frame):,} rows, one every {table.step.name}")
    say("forecast", f"{data.target} at lead times 1 to {data.horizon}")
    say("training", f"{_span(series, 0, series.validation_start)}; {_rows(training)}")
    say(
        "validation",
        f"{_span(series, series.validation_start, len(series.times))}; {_rows(validation)}",
    )
    for fold in reversed(series.earlier_folds):
        last = len(fold.times)
        say("earlier fold", f"{_span(fold, fold.validation_start, last)}; {_rows(fold.valid_mask)}")
    rest = len(table.frame) - len(series.times)
    say("test", f"{rest:,} rows from {data.test_from:%Y-%m-%d %H:%M}, not read")
    channels = series.encoder.channels
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
    console.print(rows_table(table.frame))


def rows_table(frame: "pd.DataFrame") -> RichTable:
    """The first and the last rows of a table by its clock: on the wall, and in UTC."""
    from lstm_model.data.step import format_times, on_wall

    rows = range(len(frame))
    picked = list(dict.fromkeys([*rows[:ROWS_SHOWN], *rows[-ROWS_SHOWN:]]))
    shown = frame.iloc[picked, :COLUMNS_SHOWN]
    times = cast("pd.DatetimeIndex", shown.index)
    clocks = {"time" if times.tz is None else str(times.tz): on_wall(times)}
    if times.tz is not None:
        clocks["UTC"] = on_wall(times.tz_convert("UTC"))
    table = RichTable(box=None, pad_edge=False)
    for heading in clocks:
        table.add_column(escape(heading))
    for name in shown:
        table.add_column(escape(str(name)), justify="right")
    more = len(frame.columns) - len(shown.columns)
    if more:
        table.add_column(f"and {more} more")
    columns = [*map(format_times, clocks.values()), *(map(_cell, shown[name]) for name in shown)]
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


def _span(series: "EncodedSeries", start: int, stop: int) -> str:
    first, last = (f"{series.times[row]:%Y-%m-%d %H:%M}" for row in (start, stop - 1))
    return f"{first} to {last}"


def _rows(scored: Any) -> str:
    """How many forecasts count, at the first and the last lead time."""
    counts = scored.sum(axis=0)
    last = f", {counts[-1]:,} at lead time {len(counts)}" if len(counts) > 1 else ""
    return f"{counts[0]:,} forecasts scored at lead time 1{last}"
