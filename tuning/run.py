"""The command that runs a study.

python -m tuning.run --space univariate.yaml --data simulated --trials 8 --max-epochs 10
"""

import errno
import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from lstm_model.configuration import HYPERPARAMETERS
from lstm_model.errors import InputError
from tuning import ray_environment
from tuning.progress import Progress, Terminal
from tuning.record import study_name
from tuning.resume import find_study, read_space_of, read_trials, refuse_other_data
from tuning.search_space import FLAGS, Entry, SearchSpace, Value, read_space
from tuning.summary import best_table, describe, short

if TYPE_CHECKING:
    from lstm_model.series import Series
    from lstm_model.sources import Table
    from tuning.study import Study
    from tuning.tuner import StopRequest

DONE, FAILED, USER_ERROR, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def reason(error: OSError) -> str:
    """The system's own words where there are any."""
    known = error.errno and error.errno != errno.EIO
    return os.strerror(error.errno or 0) if known else str(error.strerror or error)


@contextmanager
def told() -> Iterator[None]:
    """What goes wrong as plain lines on standard error and an exit status."""
    # Until a study takes the signals over, SIGTERM is a Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except InputError as mistake:
        print(mistake, file=sys.stderr)
        raise typer.Exit(USER_ERROR) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{reason(error)}", file=sys.stderr)
        raise typer.Exit(FAILED) from None


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
def run(
    space: Annotated[
        str | None, typer.Option(help="search-space file: a path, or a name in search_spaces/")
    ] = None,
    resume: Annotated[
        str | None, typer.Option(help="go on with this study: its folder, or its name in RUNS")
    ] = None,
    trials: Annotated[int | None, typer.Option(help="configurations to try")] = None,
    time_budget: Annotated[
        str | None, typer.Option(help="stop after this long: 90s, 10m, 2h, 1h30m")
    ] = None,
    max_epochs: Annotated[int | None, typer.Option(help="longest training of a trial")] = None,
    data: Annotated[str | None, typer.Option(help="beijing, simulated, or a CSV's path")] = None,
    horizon: Annotated[int | None, typer.Option(help="lead times 1 to this many rows")] = None,
    calendar: Annotated[
        str | None,
        typer.Option(help="inputs from the clock: hour_of_day,day_of_week,day_of_year, or none"),
    ] = None,
    name: Annotated[str | None, typer.Option(help="the study's name")] = None,
    runs: Annotated[Path, typer.Option(help="directory of all studies")] = Path("runs"),
    storage: Annotated[
        str | None, typer.Option(help="directory of all studies that every node shares")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="a running Ray cluster: auto, or host:port")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="of the sampler and the trials")] = None,
    cpus_per_trial: Annotated[float | None, typer.Option(help="cores of each trial")] = None,
    gpus_per_trial: Annotated[
        float | None, typer.Option(help="GPUs of each trial; below 1, trials share one")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="most trials at once; else as many as fit")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="say what would run, and stop")] = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="one configuration in this process, without Ray"),
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="with Ray's own messages")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="only warnings and errors")] = False,
) -> None:
    """Search a space for the LSTM that forecasts best, and keep it.

    A flag overrides what the file says. Trials are recorded in RUNS/NAME as they run.
    """
    with told():
        begun = time.monotonic()
        manner = Manner(
            budget=None if time_budget is None else seconds(time_budget),
            address=address,
            concurrency=concurrency,
            verbose=verbose,
        )
        changes: dict[str, Any] = {
            "study.trials": trials,
            "study.max_epochs": max_epochs,
            "study.seed": seed,
            "data.source": data,
            "data.horizon": horizon,
            "data.calendar": names(calendar),
            "resources.cpu": cpus_per_trial,
            "resources.gpu": gpus_per_trial,
        }
        console = Terminal(quiet=quiet, highlight=False)
        root = directory(storage) if storage else runs
        if (space is None) == (resume is None):
            raise InputError(
                "--space FILE begins a study and --resume STUDY goes on with one: give one of them"
            )
        if resume is not None:
            refuse_changes(changes, name)
            folder = find_study(resume, root)
            settled = read_space_of(folder).overridden({"study.trials": trials})
        else:
            assert space is not None
            settled = read_space(space).overridden(changes)
            stem = re.sub(r"[^A-Za-z0-9_.+-]+|^[.+-]+", "_", Path(settled.name).stem)[:80]
            title = name if name is not None else f"{stem}-{datetime.now():%Y%m%d-%H%M%S}"
            folder = root / study_name(title)
        if not check:
            # It takes seconds, while the data are read and Ray starts. (Ray itself has to be
            # started by the main thread: it dies with the one that started it.)
            threading.Thread(target=lambda: __import__("torch"), daemon=True).start()
        table, series = load(settled, console, progress=not quiet)
        if check:
            describe(settled, table, series, console)
        elif debug:
            fit_here(settled, series, console)
        else:
            study = make(folder, settled, table, series, begun, resumed=resume is not None)
            raise typer.Exit(conduct(study, manner, console, resumed=resume is not None))


@dataclass(frozen=True)
class Manner:
    """How a study is run: nothing that its configurations depend on."""

    budget: float | None  # seconds
    address: str | None
    concurrency: int | None
    verbose: bool


def directory(storage: str) -> Path:
    """Raises InputError where `storage` is a URI, which would become an odd folder here."""
    if "://" in storage:
        raise InputError(
            f"--storage must be a directory, but got {storage!r}; object stores can't be used yet"
        )
    return Path(storage)


def refuse_changes(changes: dict[str, Any], name: str | None) -> None:
    """Raises InputError where a study that goes on is asked to be another one."""
    given = {FLAGS[key]: value for key, value in changes.items() if key != "study.trials"}
    fixed = [flag for flag, value in {**given, "--name": name}.items() if value is not None]
    if fixed:
        raise InputError(
            f"{', '.join(fixed)} can't change when a study goes on: leave it out, or begin "
            "another study with --space"
        )


def load(space: SearchSpace, console: Console, progress: bool) -> "tuple[Table, Series]":
    """The space's data; a fallback is told on standard error, whatever the output."""
    from lstm_model.series import Series
    from lstm_model.sources import load_table

    table = load_table(space.data, progress=progress)
    if table.warning:
        print(f"warning: {table.warning}", file=sys.stderr)
    elif table.simulated:
        console.print("The data are simulated: results say nothing about Beijing.", soft_wrap=True)
    return table, Series.from_table(table.frame, table.step, space.data)


def make(
    folder: Path,
    space: SearchSpace,
    table: "Table",
    series: "Series",
    begun: float,
    resumed: bool,
) -> "Study":
    """The study, with its baselines, and its trials where it is resumed; nothing is written."""
    ray_environment.prepare()
    from lstm_model.baselines import evaluate
    from tuning.study import Study, refuse_existing

    trials = None
    if resumed:
        refuse_other_data(folder, table)
        trials = read_trials(folder)
    else:
        refuse_existing(folder)
    return Study(folder, space, table, series, evaluate(series), begun, trials)


def conduct(study: "Study", manner: Manner, console: Console, resumed: bool) -> int:
    """Run a study to its end; the exit status."""
    from tuning.tuner import StopRequest, ray_session, run_trials, slots

    stop = StopRequest(manner.budget)
    resources = study.space.resources
    command = ["python", "-m", "tuning.run", *sys.argv[1:]]
    # Signals are taken once Ray runs, because it sets a handler of its own for SIGTERM.
    with ray_session(manner.address, manner.verbose), stop.signals():
        at_once = slots(resources.cpu, resources.gpu, manner.concurrency)
        if resources.gpu and not manner.address:
            refuse_blind_torch(resources.gpu)
        if resumed:
            study.go_on(command)
        else:
            study.begin(command)
        try:
            listen(study, console, at_once)
            run_trials(study, stop, concurrency=at_once, verbose=manner.verbose)
        except BaseException as error:
            # Leave what can still be written in order.
            with suppress(OSError):
                study.finish("interrupted" if stop.signal else "failed")
            if isinstance(error, OSError):
                print(
                    f"error: {study.folder} can't be written any more: {reason(error)}. What was "
                    "saved there is in order; when it can be written again, go on with: "
                    f"python -m tuning.run --resume {study.folder}",
                    file=sys.stderr,
                )
                return FAILED
            raise
        study.finish("interrupted" if stop.signal else "finished" if study.best else "failed")
    return conclude(study, stop, console)


def refuse_blind_torch(gpu: float) -> None:
    """Raises InputError where Ray sees a GPU that torch can't use."""
    import torch

    if not torch.cuda.is_available():
        raise InputError(
            f"each trial asks for {gpu:g} GPU, but this torch ({torch.__version__}) can use none; "
            "install one that can, or leave out --gpus-per-trial and resources.gpu"
        )


def listen(study: "Study", console: Console, at_once: int) -> None:
    from tuning.tensorboard import TensorBoard

    study.listeners += [TensorBoard(study), Progress(console)]
    console.print(
        f"Study {study.name}: {study.space.study.trials} trials of at most "
        f"{study.space.study.max_epochs} epochs, {at_once} at once, in {study.folder}",
        soft_wrap=True,
    )


def conclude(study: "Study", stop: "StopRequest", console: Console) -> int:
    """Say how it ended and where things are; the exit status."""
    counts = study.counts
    if study.best is None:
        reasons = [trial.reason for trial in study.trials.values() if trial.reason]
        if stop.signal is None:
            why = f"; the first failed with: {reasons[0]}" if reasons else " in the time given"
            print(f"error: no trial of {study.name} came to a result{why}", file=sys.stderr)
            return FAILED
    else:
        console.print(best_table(study))
        chosen = ", ".join(f"{key} {short(value)}" for key, value in study.best.config.items())
        console.print(f"Best trial    {study.best.id}: {chosen}", soft_wrap=True)
        if study.table.simulated:
            console.print("The data are SIMULATED: these figures say nothing about Beijing.")
        console.print(f"Best model    {study.folder / 'best'}", soft_wrap=True)
        ridge = study.baselines.ridge.rmse
        if study.best.saved and study.best.saved["rmse"] >= ridge:
            console.print(f"The best trial is no better than ridge regression ({ridge:.3f}).")
        program = shutil.which("tensorboard") or Path(sys.executable).parent / "tensorboard"
        shown = "tensorboard" if shutil.which("tensorboard") else os.path.relpath(program)
        console.print(f"TensorBoard   {shown} --logdir {study.folder.parent}", soft_wrap=True)
    if counts["interrupted"] or stop.signal:
        done = len(study.trials) - counts["interrupted"]
        cause = stop.signal.name if stop.signal else "time is up"
        print(
            f"{cause}: stopped with {done} of {study.space.study.trials} trials done; "
            f"everything is saved. Go on with: python -m tuning.run --resume {study.folder}",
            file=sys.stderr,
        )
    return INTERRUPTED if stop.signal else DONE


def fit_here(space: SearchSpace, series: "Series", console: Console) -> None:
    """One configuration, epoch by epoch, in this process: --debug."""
    from lstm_model.training import Fit

    point = dict(space.initial_trials[0]) if space.initial_trials else {}
    for name, entry in space.search.items():
        if name not in point and entry.active(point):
            point[name] = _usual(entry)
    config = space.configuration(point)
    console.print(f"{config}", soft_wrap=True)
    fit = Fit(config, series, max_epochs=space.study.max_epochs, seed=space.study.seed)
    for epoch in fit:
        console.print(
            f"epoch {epoch.number}: loss {epoch.loss:.4f}, validation RMSE {epoch.score.rmse:.3f}, "
            f"MAE {epoch.score.mae:.3f}, skill {epoch.score.skill:.1%} ({epoch.seconds:.2f} s)",
            soft_wrap=True,
        )


def seconds(text: str) -> float:
    """90s, 10m, 2h, 1h30m or plain seconds.

    Raises:
        InputError: anything else, or no time at all.
    """
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", text.strip())
    hours, minutes, rest = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    total = 3600 * hours + 60 * minutes + rest
    if not total:
        raise InputError(
            f"--time-budget must be a time such as 90s, 10m or 1h30m, but got {text!r}"
        )
    return float(total)


def names(text: str | None) -> tuple[str, ...] | None:
    """`a,b` as a tuple; `none` or nothing between the commas as an empty one."""
    if text is None:
        return None
    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    return () if parts == ("none",) else parts


def _usual(entry: Entry) -> Value:
    """The hyperparameter's default where the entry allows it, else its first value."""
    default = HYPERPARAMETERS[entry.name].default
    if entry.problem(default) is None:
        return default
    first = entry.choices[0] if entry.kind == "categorical" else entry.low
    assert first is not None
    return int(first) if entry.kind == "int" else first


def main(arguments: Iterable[str] | None = None) -> int:
    """The command's exit status; a mistake of the user's is told in plain lines."""
    try:
        app(args=None if arguments is None else list(arguments))
    except SystemExit as done:
        # Ray's own handler, which it sets while it starts, exits with the signal's number.
        return INTERRUPTED if done.code == signal.SIGTERM else int(done.code or 0)
    return DONE


if __name__ == "__main__":
    sys.exit(main())
