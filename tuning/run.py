"""The command that runs a study.

python -m tuning.run --space univariate.yaml --data simulated --trials 8 --max-epochs 10
"""

import sys
import time
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from lstm_model.command import (
    DONE,
    FAILED,
    INTERRUPTED,
    exit_without_teardown,
    report_errors,
    run_app,
)
from lstm_model.errors import InputError
from tuning import cli
from tuning.ray_backend import environment
from tuning.reporting.tables import print_plan
from tuning.reporting.terminal import Terminal
from tuning.space.search_space import FLAGS, read_space
from tuning.study.manifest import read_study_space
from tuning.study.result import StudyResult
from tuning.study.resume import check_trials, find_study, is_complete, is_study, repeat_request
from tuning.study.trial import study_name
from tuning.workflows.run_study import (
    RunOptions,
    check_cuda,
    load_data,
    load_existing_trials,
    prepare_study,
    run_study,
    slug,
    start_fork_server,
)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
def run(
    space: Annotated[
        str | None, typer.Option(help="search-space file: a path, or a name in search_spaces/")
    ] = None,
    resume: Annotated[
        str | None, typer.Option(help="go on with this study: its folder, or its name in RUNS")
    ] = None,
    trials: cli.Trials = None,
    time_budget: cli.TimeBudget = None,
    max_epochs: cli.MaxEpochs = None,
    data: cli.Data = None,
    horizon: cli.Horizon = None,
    calendar: cli.CalendarOption = None,
    name: Annotated[str | None, typer.Option(help="the study's name")] = None,
    or_resume: Annotated[
        bool,
        typer.Option("--or-resume", help="go on with the study of that name where there is one"),
    ] = False,
    runs: cli.Runs = Path("runs"),
    storage: cli.Storage = None,
    address: cli.Address = None,
    seed: cli.Seed = None,
    cpus_per_trial: cli.CpusPerTrial = None,
    gpus_per_trial: cli.GpusPerTrial = None,
    concurrency: cli.Concurrency = None,
    check: cli.Check = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="one configuration in this process, without Ray"),
    ] = False,
    plain_ray: cli.PlainRay = False,
    verbose: cli.Verbose = False,
    quiet: cli.Quiet = False,
) -> None:
    """Search a space for the LSTM that forecasts best, and keep it.

    A flag overrides what the file says. Trials are recorded in RUNS/NAME as they run. With
    --or-resume the same command may be given again and again.
    """
    with report_errors(), ExitStack() as at_end:
        cli.check_platform()
        begun = time.monotonic()
        address = environment.resolve_address(address)
        environment.set_environment(address)
        options = RunOptions(
            command=("python", "-m", "tuning.run", *sys.argv[1:]),
            budget=cli.parse_duration(time_budget),
            address=address,
            concurrency=concurrency,
            verbose=verbose,
            wait=or_resume,
        )
        changes = cli.overrides(
            trials=trials,
            max_epochs=max_epochs,
            seed=seed,
            data=data,
            horizon=horizon,
            calendar=calendar,
            cpus_per_trial=cpus_per_trial,
            gpus_per_trial=gpus_per_trial,
        )
        console = Terminal(quiet=quiet, highlight=False)
        root = cli.studies_root(runs, storage)
        if (space is None) == (resume is None):
            raise InputError(
                "--space FILE begins a study and --resume STUDY goes on with one: give one of them"
            )
        _check_repeatable(or_resume, name, resume)
        if resume is not None:
            _check_changes(changes, name)
            folder = find_study(resume, root, "--resume")
            check_trials(folder, trials)
            resolved = read_study_space(folder).overridden({"study.trials": trials})
        else:
            assert space is not None
            resolved = read_space(space).overridden(changes)
            title = name if name is not None else f"{slug(resolved)}-{datetime.now():%Y%m%d-%H%M%S}"
            folder = root / study_name(title)
        resumed = resume is not None or (or_resume and is_study(folder))
        if or_resume and resumed:
            resolved = repeat_request(folder, resolved, trials)
        cli.collect_less_garbage()
        forked = not (address or debug or plain_ray or check)
        server = start_fork_server(at_end, forked)
        if not debug:
            check_cuda(resolved, address)
        dataset, series = load_data(resolved, console, progress=not quiet)
        if debug:
            from tuning.workflows.debug import debug_one_trial

            debug_one_trial(resolved, series, console)
            return
        read = check or or_resume or isinstance(folder, Path)
        again = resolved if or_resume else None
        existing = load_existing_trials(folder, dataset, resumed, again, read=read)
        if check:
            print_plan(resolved, dataset, series, options.budget, console)
        if or_resume and is_complete(folder, existing, resolved.study.trials):
            console.print(
                f"Study {folder.name}: nothing is left to do: {len(existing)} trials "
                f"are there, in {folder}",
                soft_wrap=True,
            )
        elif not check:
            from tuning.ray_backend.session import ray_session
            from tuning.reporting.study_result import print_study_result

            # Ray's workers import what they need, which takes seconds, beside the baselines.
            with ray_session(address, verbose, server, plain=plain_ray) as session:
                facts = prepare_study(folder, resolved, dataset, series, begun, existing, console)
                result = run_study(facts, session, options, console, resumed=resumed, last=True)
                print_study_result(result, console)
            raise typer.Exit(exit_status(result))


def exit_status(result: StudyResult) -> int:
    if result.all_failed or (not result.has_best and result.signal is None):
        return FAILED
    return INTERRUPTED if result.signal else DONE


def _check_repeatable(or_resume: bool, name: str | None, resume: str | None) -> None:
    """Raises InputError where --or-resume can't say which study it means."""
    if or_resume and resume is not None:
        raise InputError(
            "--or-resume begins a study or goes on with it, and --resume goes on with one; give "
            "one of them: --space FILE --name NAME --or-resume, or --resume STUDY"
        )
    if or_resume and name is None:
        raise InputError(
            "--or-resume goes on with the study that --name names, but got no --name; without one "
            "each study has a name of its own: add --name NAME"
        )


def _check_changes(changes: dict[str, object], name: str | None) -> None:
    """Raises InputError where a study that goes on is asked to be another one."""
    values = {FLAGS[key]: value for key, value in changes.items() if key != "study.trials"}
    fixed = [flag for flag, value in {**values, "--name": name}.items() if value is not None]
    if fixed:
        raise InputError(
            f"{', '.join(fixed)} can't change when a study goes on: leave it out, or begin "
            "another study with --space"
        )


if __name__ == "__main__":
    exit_without_teardown(run_app(app))
