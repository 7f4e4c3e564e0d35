"""A study from its search space to its end: load the data, create or resume it, run its trials."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from lstm_model.command import print_stderr
from lstm_model.errors import Failure, InputError, os_error_text
from tuning.ray_backend.fork_server import ForkServer
from tuning.ray_backend.patches import FORK, unwanted_changes
from tuning.reporting.progress import Progress
from tuning.reporting.tables import print_plan
from tuning.shell import resume_command
from tuning.space.search_space import SearchSpace
from tuning.study.lock import LostLease
from tuning.study.manifest import check_data
from tuning.study.records import read_trials
from tuning.study.result import StudyResult
from tuning.study.resume import check_name_is_free, is_complete
from tuning.study.storage import StoragePath, remove_tree
from tuning.workflows.resolve_study import StudyRequest

if TYPE_CHECKING:
    import pandas as pd

    from lstm_model.data.encoded_table import EncodedTable
    from lstm_model.data.sources import Dataset
    from tuning.ray_backend.session import Session
    from tuning.reporting.mlflow_listener import MLflowServer
    from tuning.study.study import Study
    from tuning.study.trial import Trial
    from tuning.study.view import StudyView

# Ridge regression on so many takes a second or more for each lead time.
MANY_COLUMNS = 2000


@dataclass(frozen=True)
class RunOptions:
    """How a study is run: nothing that its configurations depend on.

    Attributes:
        command: as it was typed.
        budget: seconds.
        address: of a cluster; None for a Ray of the command's own.
        concurrency: the most trials at once; None for as many as fit.
        verbose: with Ray's own messages.
        wait: for a dead driver's lease to end.
        mlflow: where the study goes, too.
    """

    command: tuple[str, ...]
    budget: float | None
    address: str | None
    concurrency: int | None
    verbose: bool
    wait: bool = False
    mlflow: "MLflowServer | None" = None


def start_fork_server(at_end: ExitStack, forked: bool) -> ForkServer | None:
    """Begin to import what workers need, which takes seconds, while the data are read.

    Ray itself has to be started by the main thread: it dies with the one that started it.

    Args:
        at_end: ends the server.
        forked: workers are, since the Ray is the command's own.
    """
    # Elsewhere libraries don't bear to be forked.
    if not forked or FORK.name in unwanted_changes() or sys.platform != "linux":
        return None
    server = ForkServer()
    at_end.callback(server.end)
    return server


def check_cuda(space: SearchSpace, address: str | None) -> None:
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


def load_data(
    space: SearchSpace,
    console: Console,
    printed: set[str] | None = None,
    frame: "pd.DataFrame | None" = None,
) -> "tuple[Dataset, EncodedTable]":
    """The space's data. What was done to them is printed; what may be wrong with them is a warning
    on standard error, always.

    Args:
        printed: lines of the command's other tables, to which this adds: none comes twice.
        frame: the table, where the source is a DataFrame.
    """
    from lstm_model.data.encoded_table import EncodedTable
    from lstm_model.data.sources import load_dataset

    dataset = load_dataset(space.data, frame, progress=not console.quiet)
    if dataset.warning:
        print_stderr(f"warning: {dataset.warning}")
    elif dataset.simulated:
        console.print("The data are simulated: results say nothing about Beijing.", soft_wrap=True)
    printed = set() if printed is None else printed
    for repair in map(str, dataset.repairs):
        if repair not in printed:
            console.print(repair, soft_wrap=True)
    for doubt in dataset.doubts:
        if doubt not in printed:
            print_stderr(f"warning: {doubt}")
    printed.update(map(str, dataset.repairs), dataset.doubts)
    return dataset, EncodedTable.from_table(dataset.frame, dataset.step, space.data, dataset.index)


def load_existing_trials(
    folder: StoragePath,
    dataset: "Dataset",
    resumed: bool,
    again: SearchSpace | None = None,
    *,
    read: bool = True,
) -> "dict[int, Trial]":
    """The trials of a study that is resumed, none of one that begins.

    Args:
        again: of a command that may be repeated, which takes up what it left half begun.
        read: False leaves the records, each of which is two requests in a bucket, to
            Study.resume(). It reads them once more in any case, when nobody else writes them.

    Raises:
        InputError: the folder is none that the study can be begun or go on in.
    """
    if not resumed:
        check_name_is_free(folder, again)
        return {}
    check_data(folder, dataset)
    return read_trials(folder) if read else {}


def run_requested_study(
    asked: StudyRequest,
    options: RunOptions,
    console: Console,
    *,
    frame: "pd.DataFrame | None" = None,
    check: bool = False,
    plain_ray: bool = False,
) -> StudyResult | None:
    """Run what is asked for to its end, on a Ray of its own or the one at the options' address.

    Args:
        frame: the table, where the space's source is a DataFrame.
        check: say what would run, and stop.
        plain_ray: leave Ray as it is.

    Returns:
        How the study ended, which has been printed; None where nothing had to run.

    Raises:
        InputError: the space, its data or the study's folder don't allow it.
        Failure: the folder can't be written any more.
    """
    begun = time.monotonic()
    folder, space = asked.folder, asked.space
    if asked.message:
        console.print(asked.message, soft_wrap=True)
    with ExitStack() as at_end:
        server = start_fork_server(at_end, not (options.address or plain_ray or check))
        check_cuda(space, options.address)
        dataset, table = load_data(space, console, frame=frame)
        read = check or options.wait or isinstance(folder, Path)
        again = space if options.wait else None
        existing = load_existing_trials(folder, dataset, asked.resumed, again, read=read)
        if check:
            print_plan(space, dataset, table, options.budget, console)
        if options.wait and is_complete(folder, existing, space.study.trials):
            console.print(
                f"Study {folder.name}: nothing is left to do: {len(existing)} trials "
                f"are there, in {folder}",
                soft_wrap=True,
            )
        elif not check:
            from tuning.ray_backend.session import ray_session
            from tuning.reporting.study_result import print_study_result

            # Ray's workers import what they need, which takes seconds, beside the baselines.
            with ray_session(options.address, options.verbose, server, plain=plain_ray) as session:
                facts = prepare_study(folder, space, dataset, table, begun, existing, console)
                result = run_study(
                    facts, session, options, console, resumed=asked.resumed, last=True
                )
                print_study_result(result, console)
            return result
    return None


def prepare_study(
    folder: StoragePath,
    space: SearchSpace,
    dataset: "Dataset",
    table: "EncodedTable",
    begun: float,
    trials: "dict[int, Trial]",
    console: Console,
) -> "StudyView":
    """The study with its baselines and its trials so far; nothing is written.

    Args:
        begun: time.monotonic() at the command's start.
    """
    from lstm_model.evaluation.baselines import evaluate_baselines
    from lstm_model.evaluation.ridge import count_ridge_columns
    from tuning.study.view import StudyView

    if (columns := count_ridge_columns(table)) >= MANY_COLUMNS:
        console.print(f"The baselines first: ridge regression has {columns:,} columns")
    return StudyView(folder, space, dataset, table, evaluate_baselines(table), begun, trials)


def run_study(
    facts: "StudyView",
    session: "Session",
    options: RunOptions,
    console: Console,
    *,
    resumed: bool,
    last: bool = False,
) -> StudyResult:
    """Run a study to its end on the Ray that is there.

    Args:
        facts: as of prepare_study().
        resumed: the study exists, and goes on.
        last: this Ray is needed no more once the trials have ended, and ends beside the last
            figures.

    Raises:
        InputError: nothing fits, or the folder can't be had.
        Failure: the folder can't be written any more.
    """
    from tuning.ray_backend.runner import run_trials
    from tuning.ray_backend.stopping import StopRequest
    from tuning.study.study import Study

    study, stop = Study(facts), StopRequest(options.budget)
    at_once = _find_concurrency(facts, options, console)
    # Before signals are requests to stop: Ctrl-C ends a wait for a dead driver's lease at once.
    changes = session.changes.as_json()
    if resumed:
        for message in study.resume(options.command, changes, wait=options.wait):
            print_stderr(f"warning: {message}")
    else:
        study.create(options.command, changes, wait=options.wait)

    def undo() -> None:
        with suppress(OSError):  # then the command, begun anew, says what is there
            if not resumed:
                remove_tree(study.folder)  # while the study is held: a lease guards its folder
        study.release()

    # Where a cluster may grow, more than fits is asked for by --concurrency alone.
    to_run = study.view.to_run
    asked = min((options.concurrency or 0) if options.address else at_once(), to_run)
    progress = Progress(console, stopping=lambda: bool(stop))
    # Signals are taken once Ray runs, because it sets a handler of its own for SIGTERM.
    with stop.signals(), _explain_unwritable_folder(study):
        try:
            attach_files(study)
            if options.mlflow is not None:
                from tuning.reporting.mlflow_listener import MLflow

                study.attach(MLflow(options.mlflow))
            console.print(
                f"Study {study.folder.name}: {study.space.study.trials} trials of at most "
                f"{study.space.study.max_epochs} epochs, {at_once()} at once, in {study.folder}",
                soft_wrap=True,
            )
            study.attach(progress)
            with session.watch_first_trial(undo) as begun:
                run_trials(
                    study,
                    stop,
                    concurrency=at_once,
                    verbose=options.verbose,
                    changes=session.changes,
                    first_started=begun,
                )
        except BaseException:
            # Leave what can still be written in order.
            with suppress(OSError):
                study.finish("interrupted" if stop.signal else "failed")
            raise
        if last:
            session.begin_to_end()
        done = study.view.best_trial is not None and not stop.all_failed
        study.finish("interrupted" if stop.signal else "finished" if done else "failed")
    return StudyResult(
        study.view,
        signal=stop.signal,
        all_failed=stop.all_failed,
        stopped=bool(stop),
        asked_at_once=asked,
        most_at_once=progress.most_at_once,
    )


def attach_files(study: "Study") -> None:
    """What is written beside the records as the study goes."""
    from tuning.reporting.tensorboard.study_events import TensorBoard
    from tuning.search.optuna_trials import Journal

    study.attach(Journal(study.folder.name, study.space))
    study.attach(TensorBoard())


@contextmanager
def _explain_unwritable_folder(study: "Study") -> Iterator[None]:
    """Raises Failure where the study's folder can't be written any more, with what next."""
    try:
        yield
    except LostLease as error:
        raise Failure(str(error)) from error
    except OSError as error:
        raise Failure(
            f"{study.folder} can't be written any more: {os_error_text(error)}. "
            "What was saved there is in order; when it can be written again, go on with: "
            f"{resume_command(study.folder)}"
        ) from error


def _find_concurrency(
    study: "StudyView", options: RunOptions, console: Console
) -> Callable[[], int]:
    """How many trials may run at once on the Ray that is there; what is odd about it is printed.

    Raises:
        InputError: none fits, or not every node reaches the study's folder.
    """
    from tuning.ray_backend.resources import (
        check_shared_storage,
        find_crowd,
        gpus_here,
        max_concurrent_trials,
    )

    resources, cluster = study.space.resources, bool(options.address)
    at_once = max_concurrent_trials(resources.cpu, resources.gpu, options.concurrency, cluster)
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
