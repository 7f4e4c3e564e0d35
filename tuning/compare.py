"""The command that settles which model is better, on the test hours that no study has read.

python -m tuning.compare --space univariate.yaml --space multivariate.yaml --name air \\
    --data simulated --trials 6 --max-epochs 10 --finalists 1 --seeds 3
"""

import re
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table as RichTable

from lstm_model.command import (
    DONE,
    FAILED,
    INTERRUPTED,
    exit_without_teardown,
    print_stderr,
    report_errors,
    run_app,
)
from lstm_model.errors import InputError
from lstm_model.evaluation.baselines import BASELINES
from lstm_model.files import read_json
from tuning import cli as options
from tuning.cli import exit_status
from tuning.ray_backend import environment
from tuning.reporting.study_result import print_study_result
from tuning.reporting.tables import print_plan
from tuning.reporting.terminal import Terminal
from tuning.shell import resume_command
from tuning.space.search_space import FLAGS, SearchSpace, read_space
from tuning.study.manifest import read_study_space
from tuning.study.records import list_records
from tuning.study.resume import (
    check_settings,
    collect_settings,
    compare_settings,
    find_study,
    is_study,
)
from tuning.study.storage import StoragePath
from tuning.study.trial import LONGEST_NAME, study_name
from tuning.workflows.resolve_study import slug
from tuning.workflows.run_study import (
    RunOptions,
    check_cuda,
    load_data,
    load_existing_trials,
    prepare_study,
    run_study,
    start_fork_server,
)

if TYPE_CHECKING:
    from lstm_model.data.series import EncodedSeries
    from lstm_model.data.sources import Dataset
    from tuning.comparison.backtest import ComparisonProtocol
    from tuning.comparison.pipeline import Evaluation
    from tuning.ray_backend.session import Session
    from tuning.study.trial import Trial
    from tuning.study.view import StudyView

# Names that a model may not have, because the baselines and the columns beside them have them.
RESERVED = re.compile(
    "|".join(
        (
            *(each.name + ("_.*" if each.per_features else "") for each in BASELINES),
            *("lightgbm_.*", "time", "lead_time", "observed"),
        )
    )
)

# What a comparison that was written has, if in part.
LEFT = ("comparison.json", "models")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@dataclass
class Entrant:
    """One model of the comparison: its study, and what it reads."""

    name: str
    space: SearchSpace
    folder: StoragePath
    exists: bool
    table: "Dataset"
    series: "EncodedSeries"
    trials: "dict[int, Trial]" = field(default_factory=dict)


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
def compare(
    studies: Annotated[
        list[str] | None, typer.Argument(help="one or two finished studies, instead of spaces")
    ] = None,
    name: Annotated[str, typer.Option(help="the comparison's name")] = ...,  # type: ignore[assignment]
    space: Annotated[
        list[str] | None,
        typer.Option(help="search-space file: a path, or a name in search_spaces/; once or twice"),
    ] = None,
    finalists: Annotated[
        int, typer.Option(min=1, help="best configurations of each study to train again")
    ] = 3,
    seeds: Annotated[int, typer.Option(min=2, help="trainings of each of them")] = 5,
    test_years: Annotated[
        str | None, typer.Option(help="repeat the last step for these years: 2012,2013,2014")
    ] = None,
    trials: options.Trials = None,
    time_budget: options.TimeBudget = None,
    max_epochs: options.MaxEpochs = None,
    data: options.Data = None,
    horizon: options.Horizon = None,
    calendar: options.CalendarOption = None,
    runs: options.Runs = Path("runs"),
    storage: options.Storage = None,
    address: options.Address = None,
    seed: options.Seed = None,
    cpus_per_trial: options.CpusPerTrial = None,
    gpus_per_trial: options.GpusPerTrial = None,
    concurrency: options.Concurrency = None,
    check: options.Check = False,
    plain_ray: options.PlainRay = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Compare two models, or one with the baselines, on the test hours; on equal terms.

    Each space's study is RUNS/NAME-SPACE, run first where it isn't there. The comparison is
    written to RUNS/NAME.
    """
    with report_errors(), ExitStack() as at_end:
        options.check_platform()
        begun = time.monotonic()
        address = environment.resolve_address(address)
        environment.set_environment(address)
        manner = RunOptions(
            command=("python", "-m", "tuning.compare", *sys.argv[1:]),
            budget=options.parse_duration(time_budget),
            address=address,
            concurrency=concurrency,
            verbose=verbose,
            wait=True,
        )
        changes = options.overrides(
            trials=trials,
            max_epochs=max_epochs,
            seed=seed,
            data=data,
            horizon=horizon,
            calendar=calendar,
            cpus_per_trial=cpus_per_trial,
            gpus_per_trial=gpus_per_trial,
        )
        root = options.studies_root(runs, storage)
        folder = root / study_name(name)
        if (folder / "study.json").exists():
            raise InputError(f"{folder} is a study; choose another --name for the comparison")
        if folder.exists() and not any((folder / name).exists() for name in LEFT):
            raise InputError(
                f"{folder} exists, and is no comparison: remove it, or choose another --name"
            )
        server = None if check else start_fork_server(at_end, forked=not (address or plain_ray))
        console = Terminal(quiet=quiet, highlight=False)
        entrants = enter(studies or [], space or [], changes, root, folder.name, console)
        for entrant in entrants:
            check_cuda(entrant.space, address)
        from tuning.comparison.backtest import (
            ComparisonProtocol,
            evaluation_windows,
            series_for_window,
        )
        from tuning.comparison.verdict import check_test_observations

        periods = evaluation_windows(entrants[0].table, entrants[0].space.data, _years(test_years))
        for entrant in entrants:
            for span in periods:  # what can't be tested is refused before hours of work
                final = series_for_window(entrant.table, entrant.space.data, span)
                check_test_observations(
                    final, span.label, entrant.table.step, entrant.space.study.seed
                )
        if check:
            for entrant in entrants:
                print_plan(entrant.space, entrant.table, entrant.series, manner.budget, console)
            return
        from tuning.ray_backend.session import ray_session

        protocol = ComparisonProtocol(finalists, seeds, tuple(periods))
        with ray_session(address, verbose, server, plain=plain_ray) as session:
            evaluation = settle(entrants, protocol, session, manner, console, begun)
        evaluation.write(folder)
        conclude(evaluation, folder, console)


def settle(
    entrants: Sequence[Entrant],
    protocol: "ComparisonProtocol",
    session: "Session",
    manner: RunOptions,
    console: Console,
    begun: float,
) -> "Evaluation":
    """Finish the studies, and hold their models against each other, on the Ray that is there."""
    from tuning.ray_backend.stopping import StopRequest

    studies = {}
    for entrant in entrants:
        studies[entrant.name] = finished(entrant, session, manner, console, begun)
        begun = time.monotonic()  # of the next study
    refuse_cut_off(studies)
    from tuning.comparison.pipeline import (
        compare_models,  # with torch: the first trials don't wait for it
    )

    stop = StopRequest()
    with stop.signals():
        return compare_models(studies, protocol, stop, console, manner.command)


def refuse_cut_off(studies: Mapping[str, "StudyView"]) -> None:
    """Ends the command, before the test is read, where the time was up before two studies had all
    of their trials: whoever searches longer finds better.
    """
    done = {name: _done(study) for name, study in studies.items()}
    budget = {name: study.space.study.trials for name, study in studies.items()}
    if len(studies) > 1 and done != budget:
        told = ", ".join(f"{name} has {done[name]} of {budget[name]}" for name in studies)
        print_stderr(
            f"error: two models are compared on equal terms, with all of their trials, but {told}. "
            "The same comparison, asked for again, goes on from there."
        )
        raise typer.Exit(FAILED)


def _years(text: str | None) -> list[int]:
    """Raises InputError where --test-years is no list of years."""
    parts = [part.strip() for part in (text or "").split(",") if part.strip()]
    if (text is not None and not parts) or not all(
        re.fullmatch(r"[1-9][0-9]{3}", part) for part in parts
    ):
        raise InputError(f"--test-years must be years such as 2012,2013,2014, but got {text!r}")
    return [int(part) for part in parts]


def enter(
    studies: Sequence[str],
    spaces: Sequence[str],
    changes: dict[str, Any],
    root: StoragePath,
    name: str,
    console: Console,
) -> list[Entrant]:
    """What is to be compared, its data read; nothing is written.

    Raises:
        InputError: neither one or two spaces nor one or two studies are given, a study that exists
            is not the one that is asked for, or the terms are not equal.
    """
    entrants: list[Entrant] = []
    said: set[str] = set()
    for model, settled, folder, exists in _named(studies, spaces, changes, root, name):
        table, series = load_data(settled, console, not console.quiet, said)
        trials = load_existing_trials(folder, table, exists, settled)
        entrants.append(Entrant(model, settled, folder, exists, table, series, trials))
    refuse_unequal(entrants)
    return entrants


def _named(
    studies: Sequence[str],
    spaces: Sequence[str],
    changes: dict[str, Any],
    root: StoragePath,
    name: str,
) -> list[tuple[str, SearchSpace, StoragePath, bool]]:
    """(model, space, study's folder, whether it exists) of each."""
    if bool(studies) == bool(spaces) or max(len(studies), len(spaces)) > 2:
        raise InputError(
            "one or two search spaces (--space FILE --space FILE) or one or two finished studies "
            f"must be given, but got {len(spaces)} spaces and {len(studies)} studies"
        )
    found: list[tuple[str, SearchSpace, StoragePath, bool]] = []
    for each in spaces:
        settled = read_space(each).overridden(changes)
        folder = root / study_name(f"{name}-{slug(settled)}"[:LONGEST_NAME])
        exists = is_study(folder)
        if exists:
            check_settings(folder, read_study_space(folder), settled)
        found.append((slug(settled), settled, folder, exists))
    for each in studies:
        given = [FLAGS[key] for key, value in changes.items() if value is not None]
        if given:
            raise InputError(
                f"{', '.join(given)} can't change in a study that exists: leave it out, or compare "
                "spaces with --space"
            )
        folder = find_study(each, root, "STUDY")
        settled = read_study_space(folder)
        state = read_json(folder / "summary.json").get("state")
        if state != "finished":
            raise InputError(
                f"{folder} must be finished, but is {state}; first go on with: "
                f"{resume_command(folder)}"
            )
        found.append((slug(settled), settled, folder, True))
    names = [model for model, *_ in found]
    if len(set(names)) < len(names):
        if spaces:
            raise InputError(
                f"two different spaces must be given, but both are called {names[0]}; rename a file"
            )
        found = [(place.name, settled, place, exists) for _, settled, place, exists in found]
        if found[0][0] == found[1][0]:
            raise InputError(f"two different studies must be given, but got {found[0][0]} twice")
    folders = [place for *_, place, _ in found]
    if spaces and len({root / name, *folders}) <= len(folders):
        raise InputError(
            "--name must leave room for a space's name behind it in the name of its study, of "
            f"{LONGEST_NAME} characters in all, but got {name!r}; choose a shorter one"
        )
    for model, *_ in found:
        if RESERVED.fullmatch(model):
            raise InputError(
                f"no model may be called {model!r}, as a baseline or a column of forecasts.csv is; "
                "rename the file"
            )
    return found


def refuse_unequal(entrants: Sequence[Entrant]) -> None:
    """Raises InputError where two models would not be compared on equal terms."""
    if len(entrants) < 2:
        return
    # Features and ranges may differ, and so may what is fixed, and what features' cells mean.
    free = ("data.features", "data.source", "data.fallback", "search", "fixed", "initial_trials")
    cells = ("data.missing", "data.fill", "data.types", "data.decimal")
    terms = []
    for entrant in entrants:
        settings = {
            k: v for k, v in collect_settings(entrant.space).items() if k not in (*free, *cells)
        }
        data = entrant.space.data
        settings["data.missing"] = data.missing_in(data.target)
        settings["data.decimal"] = data.decimal_of(data.target)
        terms.append({"data": f"{entrant.table.source} {entrant.table.sha256[:12]}", **settings})
    unequal = compare_settings(*terms)
    if unequal:
        first, second = (entrant.name for entrant in entrants)
        raise InputError(
            f"{first} and {second} must be compared on equal terms, but differ in "
            f"{'; '.join(unequal)}"
        )
    for entrant in entrants:
        there, budget = len(list_records(entrant.folder)), entrant.space.study.trials
        if there > budget:
            raise InputError(
                f"{entrant.folder} must have no more trials than its budget, to be compared on "
                f"equal terms, but has {there} where study.json says {budget}; mend that with: "
                f"{resume_command(entrant.folder)} --trials {there}"
            )


def finished(
    entrant: Entrant, session: "Session", manner: RunOptions, console: Console, begun: float
) -> "StudyView":
    """The entrant's study, run first, or to its end, where that has yet to be done."""
    study = prepare_study(
        entrant.folder, entrant.space, entrant.table, entrant.series, begun, entrant.trials, console
    )
    done = _done(study)
    if done >= entrant.space.study.trials:
        console.print(f"Study {study.name}: {done} trials are there", soft_wrap=True)
        return study
    result = run_study(study, session, manner, console, resumed=entrant.exists)
    print_study_result(result, console)
    status = exit_status(result)
    if status == INTERRUPTED:
        print_stderr("The same comparison, asked for again, goes on from there.")
    if status != DONE:
        raise typer.Exit(status)
    return result.study


def _done(study: "StudyView") -> int:
    """How many of its trials have ended."""
    return sum(not trial.under_way for trial in study.trials.values())


def conclude(found: "Evaluation", folder: StoragePath, console: Console) -> None:
    """The models beside the baselines, the verdict, and where the report is."""
    from tuning.reporting.comparison_report import models_table

    table = models_table(found.comparison, narrow=True)
    shown = RichTable(title=f"{folder.name}: the test hours", title_justify="left")
    for number, heading in enumerate(table.headings):
        justify: Literal["left", "right"] = "left" if number < table.text_columns else "right"
        # Of several lead times names are short, and headings of numbers can be broken.
        whole = number == 0 and table.text_columns > 1
        shown.add_column(heading, justify=justify, overflow="fold", no_wrap=whole)
    for row in table.rows:
        shown.add_row(*row)
    console.print(shown)
    console.print(found.comparison["verdict"])
    report = shlex.quote(str(folder / "report.html"))
    console.print(f"Report        {report}", soft_wrap=True)


if __name__ == "__main__":
    exit_without_teardown(run_app(app))
