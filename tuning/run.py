"""The command that runs a study.

python -m tuning.run --space univariate.yaml --data simulated --trials 8 --max-epochs 10
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from lstm_model.command import exit_without_teardown, report_errors, run_app
from tuning import cli
from tuning.ray_backend import environment
from tuning.reporting.terminal import Terminal
from tuning.workflows.resolve_study import resolve_study
from tuning.workflows.run_study import RunOptions, load_data, run_requested_study

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
    initial_from: Annotated[
        str | None,
        typer.Option(help="try this earlier study's best first: its folder, or its name in RUNS"),
    ] = None,
    runs: cli.Runs = Path("runs"),
    storage: cli.Storage = None,
    address: cli.Address = None,
    seed: cli.Seed = None,
    cpus_per_trial: cli.CpusPerTrial = None,
    gpus_per_trial: cli.GpusPerTrial = None,
    concurrency: cli.Concurrency = None,
    mlflow: cli.MLflowUri = None,
    mlflow_experiment: cli.MLflowExperiment = None,
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
    with report_errors(), cli.naming_flags():
        cli.check_platform()
        address = environment.resolve_address(address)
        environment.set_environment(address)
        options = RunOptions(
            command=("python", "-m", "tuning.run", *sys.argv[1:]),
            budget=cli.parse_duration(time_budget),
            address=address,
            concurrency=concurrency,
            mlflow=cli.mlflow_server(mlflow, mlflow_experiment),
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
            root,
            changes,
            space=space,
            resume=resume,
            name=name,
            or_resume=or_resume,
            initial_from=initial_from,
        )
        cli.collect_less_garbage()
        if debug:
            from tuning.workflows.debug import debug_one_trial

            debug_one_trial(asked.space, load_data(asked.space, console)[1], console)
            return
        result = run_requested_study(asked, options, console, check=check, plain_ray=plain_ray)
        if result is not None:
            raise typer.Exit(cli.exit_status(result))


if __name__ == "__main__":
    exit_without_teardown(run_app(app))
