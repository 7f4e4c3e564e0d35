"""The command that runs a study.

python -m tuning.run --space univariate.yaml --data simulated --trials 8 --max-epochs 10
"""

import gc
import re
import shlex
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from lstm_model.command import (
    DONE,
    FAILED,
    INTERRUPTED,
    exit_without_teardown,
    print_stderr,
    report_errors,
    run_app,
)
from lstm_model.configuration import HYPERPARAMETERS
from lstm_model.errors import InputError, os_error_text
from lstm_model.wording import significant
from tuning import cli as options
from tuning.cli import RunOptions, command_for_shell, resume_command
from tuning.ray_backend import environment
from tuning.ray_backend.fork_server import ForkServer
from tuning.ray_backend.patches import FORK, unwanted_changes
from tuning.reporting.progress import Progress, Terminal
from tuning.reporting.tables import FIGURE_DIGITS, best_table, print_plan, short
from tuning.space.search_space import FLAGS, ParameterRange, SearchSpace, Value, read_space
from tuning.study.lock import LostLease
from tuning.study.resume import (
    ask_again,
    check_data,
    check_name_is_free,
    check_trials,
    find_study,
    is_complete,
    is_study,
    read_space_of,
    read_trials,
)
from tuning.study.storage import StoragePath, remove_tree
from tuning.study.trial import study_name

if TYPE_CHECKING:
    from lstm_model.data.series import EncodedSeries
    from lstm_model.data.sources import Dataset
    from tuning.ray_backend.session import Session
    from tuning.ray_backend.stopping import StopRequest
    from tuning.study.study import Study
    from tuning.study.trial import Trial

# Ridge regression on so many takes a second or more for each lead time.
MANY_COLUMNS = 2000

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
def run(
    space: Annotated[
        str | None, typer.Option(help="search-space file: a path, or a name in search_spaces/")
    ] = None,
    resume: Annotated[
        str | None, typer.Option(help="go on with this study: its folder, or its name in RUNS")
    ] = None,
    trials: options.Trials = None,
    time_budget: options.TimeBudget = None,
    max_epochs: options.MaxEpochs = None,
    data: options.Data = None,
    horizon: options.Horizon = None,
    calendar: options.CalendarOption = None,
    name: Annotated[str | None, typer.Option(help="the study's name")] = None,
    or_resume: Annotated[
        bool,
        typer.Option("--or-resume", help="go on with the study of that name where there is one"),
    ] = False,
    runs: options.Runs = Path("runs"),
    storage: options.Storage = None,
    address: options.Address = None,
    seed: options.Seed = None,
    cpus_per_trial: options.CpusPerTrial = None,
    gpus_per_trial: options.GpusPerTrial = None,
    concurrency: options.Concurrency = None,
    check: options.Check = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="one configuration in this process, without Ray"),
    ] = False,
    plain_ray: options.PlainRay = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Search a space for the LSTM that forecasts best, and keep it.

    A flag overrides what the file says. Trials are recorded in RUNS/NAME as they run. With
    --or-resume the same command may be given again and again.
    """
    with report_errors(), ExitStack() as at_end:
        options.check_platform()
        begun = time.monotonic()
        address = environment.resolve_address(address)
        environment.set_environment(address)
        manner = RunOptions(
            command=("python", "-m", "tuning.run", *sys.argv[1:]),
            budget=options.parse_duration(time_budget),
            address=address,
            concurrency=concurrency,
            verbose=verbose,
            wait=or_resume,
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
        console = Terminal(quiet=quiet, highlight=False)
        root = options.studies_root(runs, storage)
        if (space is None) == (resume is None):
            raise InputError(
                "--space FILE begins a study and --resume STUDY goes on with one: give one of them"
            )
        refuse_unrepeatable(or_resume, name, resume)
        if resume is not None:
            refuse_changes(changes, name)
            folder = find_study(resume, root, "--resume")
            check_trials(folder, trials)
            settled = read_space_of(folder).overridden({"study.trials": trials})
        else:
            assert space is not None
            settled = read_space(space).overridden(changes)
            title = name if name is not None else f"{stem(settled)}-{datetime.now():%Y%m%d-%H%M%S}"
            folder = root / study_name(title)
        resumed = resume is not None or (or_resume and is_study(folder))
        if or_resume and resumed:
            settled = ask_again(folder, settled, trials)
        forked = not (address or debug or plain_ray)
        server = None if check else head_start(at_end, forked)
        if not debug:
            refuse_blind_torch(settled, address)
        table, series = load(settled, console, progress=not quiet)
        if debug:
            fit_here(settled, series, console)
            return
        read = check or or_resume or isinstance(folder, Path)
        trials_before = past(folder, table, resumed, settled if or_resume else None, read=read)
        complete = or_resume and is_complete(folder, trials_before or {}, settled.study.trials)
        if check:
            print_plan(settled, table, series, manner.budget, console)
        if complete:
            console.print(
                f"Study {folder.name}: nothing is left to do: {len(trials_before or ())} trials "
                f"are there, in {folder}",
                soft_wrap=True,
            )
        elif not check:
            from tuning.ray_backend.session import ray_session

            # Ray's workers import what they need, which takes them seconds, beside make().
            with ray_session(address, verbose, server, plain=plain_ray) as session:
                study = make(folder, settled, table, series, begun, trials_before, console)
                status = conduct(study, session, manner, console, resumed, last=True)
            raise typer.Exit(status)


def head_start(at_end: ExitStack, forked: bool) -> ForkServer | None:
    """Begin with what takes seconds, while the data are read and Ray starts: what workers import.
    (Ray itself has to be started by the main thread: it dies with the one that started it.)

    forked: workers are, since the Ray is the command's own.
    """
    # Imports make half a million objects, which all stay: Python would look through them for
    # garbage for half a second in all.
    gc.set_threshold(20_000)
    server = None
    # Elsewhere libraries don't bear to be forked.
    if forked and FORK.name not in unwanted_changes() and sys.platform == "linux":
        server = ForkServer()
        at_end.callback(server.end)
    return server


def stem(space: SearchSpace) -> str:
    """The space's file name without its ending, as a part of a study's name."""
    return re.sub(r"[^A-Za-z0-9_.+-]+|^[.+-]+", "_", Path(space.name).stem)[:80]


def refuse_unrepeatable(or_resume: bool, name: str | None, resume: str | None) -> None:
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


def refuse_changes(changes: dict[str, Any], name: str | None) -> None:
    """Raises InputError where a study that goes on is asked to be another one."""
    given = {FLAGS[key]: value for key, value in changes.items() if key != "study.trials"}
    fixed = [flag for flag, value in {**given, "--name": name}.items() if value is not None]
    if fixed:
        raise InputError(
            f"{', '.join(fixed)} can't change when a study goes on: leave it out, or begin "
            "another study with --space"
        )


def load(
    space: SearchSpace, console: Console, progress: bool, said: set[str] | None = None
) -> "tuple[Dataset, EncodedSeries]":
    """The space's data; what may be wrong with them is told on standard error, always.

    said: of the command's other tables, to which this adds: nothing is told twice.
    """
    from lstm_model.data.series import EncodedSeries
    from lstm_model.data.sources import load_dataset

    table = load_dataset(space.data, progress=progress)
    if table.warning:
        print_stderr(f"warning: {table.warning}")
    elif table.simulated:
        console.print("The data are simulated: results say nothing about Beijing.", soft_wrap=True)
    said = set() if said is None else said
    for repair in map(str, table.repairs):
        if repair not in said:
            console.print(repair, soft_wrap=True)
    for doubt in table.doubts:
        if doubt not in said:
            print_stderr(f"warning: {doubt}")
    said.update(map(str, table.repairs), table.doubts)
    return table, EncodedSeries.from_table(table.frame, table.step, space.data)


def past(
    folder: StoragePath,
    table: "Dataset",
    resumed: bool,
    again: SearchSpace | None = None,
    *,
    read: bool = True,
) -> "dict[int, Trial] | None":
    """The trials of a study that is resumed, none of one that begins.

    Args:
        again: of a command that may be repeated, which takes up what it left half begun.
        read: False leaves the records, each of which is two requests in a bucket, to resume(). It
            reads them once more in any case, when nobody else writes them.

    Raises:
        InputError: the folder is none that the study can be begun or go on in.
    """
    if not resumed:
        check_name_is_free(folder, again)
        return None
    check_data(folder, table)
    return read_trials(folder) if read else None


def make(
    folder: StoragePath,
    space: SearchSpace,
    table: "Dataset",
    series: "EncodedSeries",
    begun: float,
    trials: "dict[int, Trial] | None",
    console: Console,
) -> "Study":
    """The study, with its baselines and its past() trials; nothing is written."""
    from lstm_model.evaluation.baselines import evaluate_baselines, ridge_columns
    from tuning.study.study import Study

    if (columns := ridge_columns(series)) >= MANY_COLUMNS:
        console.print(f"The baselines first: ridge regression has {columns:,} columns")
    return Study(folder, space, table, series, evaluate_baselines(series), begun, trials)


def conduct(
    study: "Study",
    session: "Session",
    manner: RunOptions,
    console: Console,
    resumed: bool,
    last: bool = False,
) -> int:
    """Run a study to its end on the Ray that is there; the exit status.

    last: this Ray is needed no more once the trials have ended, and ends beside the last figures.
    """
    from tuning.ray_backend.runner import run_trials
    from tuning.ray_backend.stopping import StopRequest

    stop = StopRequest(manner.budget)
    at_once = find_slots(study, manner, console)
    # Before signals are requests to stop: Ctrl-C ends a wait for a dead driver's lease at once.
    if resumed:
        for message in study.resume(manner.command, session.changes.as_json(), wait=manner.wait):
            print_stderr(f"warning: {message}")
    else:
        study.begin(manner.command, session.changes.as_json(), wait=manner.wait)

    def undo() -> None:
        with suppress(OSError):  # then the command, begun anew, says what is there
            if not resumed:
                remove_tree(study.folder)  # while the study is held: a lease guards its folder
        study.release()

    # Where a cluster may grow, more than fits is asked for by --concurrency alone.
    asked = min((manner.concurrency or 0) if manner.address else at_once(), study.to_run)
    progress = Progress(console, stopping=lambda: bool(stop))
    # Signals are taken once Ray runs, because it sets a handler of its own for SIGTERM.
    with stop.signals():
        try:
            listen(study, console, at_once())
            study.listeners.append(progress)
            with session.watch_first_trial(undo) as begun:
                run_trials(
                    study,
                    stop,
                    concurrency=at_once,
                    verbose=manner.verbose,
                    changes=session.changes,
                    first_started=begun,
                )
        except BaseException as error:
            # Leave what can still be written in order.
            with suppress(OSError):
                study.finish("interrupted" if stop.signal else "failed")
            if isinstance(error, OSError):
                return unwritable(study, error)
            raise
        if last:
            session.begin_to_end()
        done = study.best is not None and not stop.all_failed
        try:
            study.finish("interrupted" if stop.signal else "finished" if done else "failed")
        except OSError as error:
            return unwritable(study, error)
    status = conclude(study, stop, console)
    if status == DONE and 0 < progress.most_at_once < asked:
        console.print(f"{asked} at once were asked for: {progress.most_at_once} ever ran at once")
    return status


def find_slots(study: "Study", manner: RunOptions, console: Console) -> Callable[[], int]:
    """How many trials may run at once on the Ray that is there; what is odd about it is said.

    Raises:
        InputError: none fits, or not every node reaches the study's folder.
    """
    from tuning.ray_backend.resources import (
        check_shared_storage,
        find_crowd,
        gpus_here,
        max_concurrent_trials,
    )

    resources, cluster = study.space.resources, bool(manner.address)
    at_once = max_concurrent_trials(resources.cpu, resources.gpu, manner.concurrency, cluster)
    check_shared_storage(study.folder.parent)
    wanted = min(at_once(), study.to_run)
    if crowd := find_crowd(wanted, resources.cpu, resources.gpu, cluster):
        print_stderr(f"warning: {crowd}")
    if (gpus := gpus_here()) and not resources.gpu:
        console.print(
            f"Ray has {gpus:g} GPUs, and no trial asks for any: see --gpus-per-trial",
            soft_wrap=True,
        )
    return at_once


def unwritable(study: "Study", error: OSError) -> int:
    """Say that the study's folder can't be written, and what next; the exit status."""
    if isinstance(error, LostLease):
        print_stderr(f"error: {error}")
        return FAILED
    print_stderr(
        f"error: {study.folder} can't be written any more: {os_error_text(error)}. "
        "What was saved there is in order; when it can be written again, go on with: "
        f"{resume_command(study.folder)}"
    )
    return FAILED


def refuse_blind_torch(space: SearchSpace, address: str | None) -> None:
    """Raises InputError where trials on this machine ask for a GPU, and torch can use none."""
    if not space.resources.gpu or address:
        return
    import torch

    if not torch.cuda.is_available():
        raise InputError(
            f"each trial asks for {space.resources.gpu:g} GPU, but this torch "
            f"({torch.__version__}) can use none; install one that can, or leave out "
            "--gpus-per-trial and resources.gpu"
        )


def listen(study: "Study", console: Console, at_once: int) -> None:
    from tuning.reporting.tensorboard.study_events import TensorBoard

    study.listeners.append(TensorBoard(study))
    console.print(
        f"Study {study.name}: {study.space.study.trials} trials of at most "
        f"{study.space.study.max_epochs} epochs, {at_once} at once, in {study.folder}",
        soft_wrap=True,
    )


def conclude(study: "Study", stop: "StopRequest", console: Console) -> int:
    """Say how it ended and where things are; the exit status."""
    from lstm_model.evaluation.baselines import BY_NAME

    counts = study.counts
    reasons = [trial.reason for trial in study.trials.values() if trial.state == "failed"]
    if stop.all_failed:
        print_stderr(
            f"error: {study.name} was ended, because all of its first {counts['failed']} trials "
            f"failed, the first with: {reasons[0]}"
        )
        return FAILED
    if study.best is None:
        if stop.signal is None:
            why = f"; the first failed with: {reasons[0]}" if reasons else " in the time given"
            print_stderr(f"error: no trial of {study.name} came to a result{why}")
            return FAILED
    else:
        console.print(best_table(study))
        chosen = ", ".join(f"{key} {short(value)}" for key, value in study.best.config.items())
        console.print(f"Best trial    {study.best.id}: {chosen}", soft_wrap=True)
        if study.table.simulated:
            console.print("The data are SIMULATED: these figures say nothing about Beijing.")
        model = shlex.quote(str(study.folder / "best"))
        console.print(f"Best model    {model}", soft_wrap=True)
        console.print(f"Disk use      {study.disk_bytes / 1e6:.1f} MB", soft_wrap=True)
        strongest = study.baselines.best
        score = study.baselines.scores[strongest]
        if study.best.saved and study.best.saved["rmse"] >= score.rmse:
            rmse = significant(score.rmse, FIGURE_DIGITS)
            console.print(
                f"The best trial is no better than {BY_NAME[strongest].label} ({rmse}).",
                soft_wrap=True,
            )
        most = study.space.study.max_epochs
        if study.best.saved and study.best.saved["epoch"] == most:
            console.print(
                f"The best trial's best epoch is its last, {most}: longer ones may be better. "
                f"Begin another study with --max-epochs {2 * most}",
                soft_wrap=True,
            )
        logs = shlex.quote(str(study.folder.parent))
        console.print(
            f"TensorBoard   {command_for_shell('tensorboard')} --logdir {logs}", soft_wrap=True
        )
    done = len(study.trials) - counts["interrupted"]
    # Time may be up while every trial is in its last step, and none is cut off.
    if stop.signal or counts["interrupted"] or (stop and done < study.space.study.trials):
        cause = stop.signal.name if stop.signal else "time is up"
        print_stderr(
            f"{cause}: stopped with {done} of {study.space.study.trials} trials done; "
            f"everything is saved. Go on with: {resume_command(study.folder)}"
        )
    return INTERRUPTED if stop.signal else DONE


def fit_here(space: SearchSpace, series: "EncodedSeries", console: Console) -> None:
    """One configuration, epoch by epoch, in this process: --debug."""
    import torch

    from lstm_model.training.trainer import Trainer

    torch.set_num_threads(max(1, int(space.resources.cpu)))  # as a trial's are
    point = dict(space.initial_trials[0]) if space.initial_trials else {}
    for name, entry in space.search.items():
        if name not in point and entry.active(point):
            point[name] = _usual(entry)
    config = space.configuration(point)
    console.print(f"{config}", soft_wrap=True)
    fit = Trainer(config, series, max_epochs=space.study.max_epochs, seed=space.study.seed)
    for epoch in fit:
        score = epoch.score
        rmse, mae = (significant(error, FIGURE_DIGITS) for error in (score.rmse, score.mae))
        console.print(
            f"epoch {epoch.number}: loss {epoch.loss:.4f}, validation RMSE {rmse}, MAE {mae}, "
            f"skill {score.skill:.1%} ({epoch.seconds:.2f} s)",
            soft_wrap=True,
        )


def _usual(entry: ParameterRange) -> Value:
    """The hyperparameter's default where the entry allows it, else its first value."""
    default = HYPERPARAMETERS[entry.name].default
    if entry.problem(default) is None:
        return default
    first = entry.choices[0] if entry.kind == "categorical" else entry.low
    assert first is not None
    return int(first) if entry.kind == "int" else first


if __name__ == "__main__":
    exit_without_teardown(run_app(app))
