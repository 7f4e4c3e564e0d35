"""The command that runs a study.

python -m tuning.run --space univariate.yaml --data simulated --trials 8 --max-epochs 10
"""

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from lstm_model.command import exit_without_teardown, report_errors, run_app
from tuning import cli
from tuning.ray_backend import environment
from tuning.reporting.tables import print_plan
from tuning.reporting.terminal import Terminal
from tuning.study.resume import is_complete
from tuning.workflows.resolve_study import resolve_study
from tuning.workflows.run_study import (
    RunOptions,
    check_cuda,
    load_data,
    load_existing_trials,
    prepare_study,
    run_study,
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
    with report_errors(), cli.naming_flags(), ExitStack() as at_end:
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
        asked = resolve_study(
            root, changes, space=space, resume=resume, name=name, or_resume=or_resume
        )
        cli.collect_less_garbage()
        forked = not (address or debug or plain_ray or check)
        server = start_fork_server(at_end, forked)
        if not debug:
            check_cuda(asked.space, address)
        dataset, series = load_data(asked.space, console, progress=not quiet)
        if debug:
            from tuning.workflows.debug import debug_one_trial

            debug_one_trial(asked.space, series, console)
            return
        folder, resolved = asked.folder, asked.space
        read = check or or_resume or isinstance(folder, Path)
        again = resolved if or_resume else None
        existing = load_existing_trials(folder, dataset, asked.resumed, again, read=read)
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
                result = run_study(
                    facts, session, options, console, resumed=asked.resumed, last=True
                )
                print_study_result(result, console)
            raise typer.Exit(cli.exit_status(result))


if __name__ == "__main__":
    exit_without_teardown(run_app(app))
