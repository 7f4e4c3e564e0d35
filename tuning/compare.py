"""The command that settles which model is better, on the test hours that no study has read.

python -m tuning.compare --space univariate.yaml --space multivariate.yaml --name air \\
    --data simulated --trials 6 --max-epochs 10 --finalists 1 --seeds 3
"""

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from lstm_model.command import exit_without_teardown, report_errors, run_app
from lstm_model.errors import InputError
from tuning import cli
from tuning.ray_backend import environment
from tuning.reporting.terminal import Terminal
from tuning.study.trial import study_name
from tuning.workflows.compare_studies import StudyUnfinished, compare_studies
from tuning.workflows.run_study import RunOptions

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


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
    trials: cli.Trials = None,
    time_budget: cli.TimeBudget = None,
    max_epochs: cli.MaxEpochs = None,
    data: cli.Data = None,
    horizon: cli.Horizon = None,
    calendar: cli.CalendarOption = None,
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
    plain_ray: cli.PlainRay = False,
    verbose: cli.Verbose = False,
    quiet: cli.Quiet = False,
) -> None:
    """Compare two models, or one with the baselines, on the test hours; on equal terms.

    Each space's study is RUNS/NAME-SPACE, run first where it isn't there. The comparison is
    written to RUNS/NAME.
    """
    with report_errors(), cli.naming_flags():
        cli.check_platform()
        address = environment.resolve_address(address)
        environment.set_environment(address)
        options = RunOptions(
            command=("python", "-m", "tuning.compare", *sys.argv[1:]),
            budget=cli.parse_duration(time_budget),
            address=address,
            concurrency=concurrency,
            mlflow=cli.mlflow_server(mlflow, mlflow_experiment),
            verbose=verbose,
            wait=True,
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
        folder = cli.studies_root(runs, storage) / study_name(name)
        console = Terminal(quiet=quiet, highlight=False)
        cli.collect_less_garbage()
        try:
            evaluation = compare_studies(
                studies or (),
                space or (),
                changes,
                folder=folder,
                finalists=finalists,
                seeds=seeds,
                test_years=parse_years(test_years),
                options=options,
                plain_ray=plain_ray,
                check=check,
                console=console,
            )
        except StudyUnfinished as unfinished:
            raise typer.Exit(cli.exit_status(unfinished.result)) from None
        if evaluation is not None:
            from tuning.reporting.comparison_terminal import print_comparison

            print_comparison(evaluation.comparison, folder, console)


def parse_years(text: str | None) -> list[int]:
    """Raises InputError where --test-years is no list of years."""
    parts = [part.strip() for part in (text or "").split(",") if part.strip()]
    if (text is not None and not parts) or not all(
        re.fullmatch(r"[1-9][0-9]{3}", part) for part in parts
    ):
        raise InputError(f"--test-years must be years such as 2012,2013,2014, but got {text!r}")
    return [int(part) for part in parts]


if __name__ == "__main__":
    exit_without_teardown(run_app(app))
