"""Resolve which models are compared, on equal terms; finish their studies; judge them."""

import re
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console

from lstm_model.command import print_stderr
from lstm_model.errors import Failure, InputError
from lstm_model.evaluation.baselines import BASELINES
from lstm_model.files import read_json
from tuning.reporting.study_result import print_study_result
from tuning.reporting.tables import print_plan
from tuning.shell import resume_command
from tuning.space.search_space import OverrideError, Resources, SearchSpace, read_space
from tuning.study.manifest import read_study_space
from tuning.study.records import list_records
from tuning.study.result import StudyResult
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
    # With torch and Ray: mistakes are told, and the first trials begin, before their import.
    import pandas as pd

    from lstm_model.data.encoded_table import EncodedTable
    from lstm_model.data.sources import Dataset
    from tuning.comparison.backtest import ComparisonProtocol
    from tuning.comparison.pipeline import Evaluation
    from tuning.ray_backend.jobs import Job
    from tuning.ray_backend.session import Session
    from tuning.ray_backend.stopping import StopRequest
    from tuning.study.trial import Trial
    from tuning.study.view import StudyView

# Names that a model may not have, because the baselines and the columns beside them have them.
RESERVED = re.compile(
    "|".join(
        (
            *(each.name + ("_.*" if each.per_features else "") for each in BASELINES),
            *("lightgbm_.*", "each_on_its_own_.*", "series", "time", "lead_time", "observed"),
        )
    )
)

# What a comparison's folder has, if only in part.
COMPARISON_FILES = ("comparison.json", "models")


class StudyUnfinished(Exception):
    """A study was not run to its end: `result` says why, and has been printed."""

    def __init__(self, result: StudyResult) -> None:
        super().__init__(f"{result.study.name} was not run to its end")
        self.result = result


@dataclass
class ComparedModel:
    """One model of the comparison: its study, what it reads, and the test as it reads it."""

    name: str
    space: SearchSpace
    folder: StoragePath
    exists: bool
    dataset: "Dataset"
    table: "EncodedTable"
    trials: "dict[int, Trial]"  # of a study that exists
    windows: "Sequence[EncodedTable]" = ()  # one for each of the protocol's


def compare_studies(
    studies: Sequence[str],
    spaces: Sequence[str | SearchSpace],
    changes: Mapping[str, object],
    *,
    folder: StoragePath,
    finalists: int,
    seeds: int,
    test_years: Sequence[int],
    options: RunOptions,
    plain_ray: bool,
    check: bool,
    console: Console,
    frame: "pd.DataFrame | None" = None,
) -> "Evaluation | None":
    """Compare one or two models on the test hours, and write the comparison's folder.

    Args:
        studies: finished ones, by name or folder; or none, and
        spaces: search spaces, whose studies are run first where they aren't there.
        changes: to the spaces, as SearchSpace.overridden() takes them.
        folder: the comparison's; its studies lie beside it.
        finalists: how many configurations of each study are trained again.
        seeds: how many trainings each of them gets.
        test_years: on which the test is repeated.
        check: say what would run, and stop: there is no evaluation.
        frame: the table, where the spaces' source is a DataFrame.

    Raises:
        InputError: what is asked for can't be compared, or not on equal terms.
        StudyUnfinished: a study failed, or was interrupted.
        Failure: the time was up before all trials of two studies, or no finalist trains.
        KeyboardInterrupt: while finalists were trained.
    """
    begun = time.monotonic()
    check_folder(folder)
    with ExitStack() as at_end:
        server = None if check else start_fork_server(at_end, not (options.address or plain_ray))
        models = resolve_models(studies, spaces, changes, folder, console, frame)
        for model in models:
            check_cuda(model.space, options.address)
        protocol = plan_test(models, finalists, seeds, test_years)
        if check:
            from tuning.comparison.paired_tests import describe_own_models

            for model in models:
                print_plan(model.space, model.dataset, model.table, options.budget, console)
                if len(model.windows[0].index) > 1:
                    text = describe_own_models(model.name, model.windows[0], seeds)
                    console.print(text, soft_wrap=True)
            return None
        from tuning.ray_backend.session import ray_session

        with ray_session(options.address, options.verbose, server, plain=plain_ray) as session:
            evaluation = run_comparison(models, protocol, session, options, console, begun)
    from tuning.reporting.comparison_folder import write_comparison

    write_comparison(folder, evaluation)
    return evaluation


def check_folder(folder: StoragePath) -> None:
    """Raises InputError where the comparison's folder holds something else."""
    if is_study(folder):
        raise InputError(f"{folder} is a study; choose another --name for the comparison")
    if folder.exists() and not any((folder / file).exists() for file in COMPARISON_FILES):
        raise InputError(
            f"{folder} exists, and is no comparison: remove it, or choose another --name"
        )


def plan_test(
    models: Sequence[ComparedModel], finalists: int, seeds: int, years: Sequence[int]
) -> "ComparisonProtocol":
    """Where the models are tested; each gets its tables of these windows.

    Raises:
        InputError: a window can't be tested, which is told before hours of work.
    """
    from tuning.comparison.backtest import ComparisonProtocol, evaluation_windows, table_for_window
    from tuning.comparison.paired_tests import check_test_observations

    windows = evaluation_windows(models[0].dataset, models[0].space.data, years)
    for model in models:
        tables = []
        for window in windows:
            tables.append(table_for_window(model.dataset, model.space.data, window))
            check_test_observations(tables[-1], window.label, model.space.study.seed)
        model.windows = tables
    return ComparisonProtocol(finalists, seeds, tuple(windows))


def run_comparison(
    models: Sequence[ComparedModel],
    protocol: "ComparisonProtocol",
    session: "Session",
    options: RunOptions,
    console: Console,
    begun: float,
) -> "Evaluation":
    """Finish the studies, and hold their models against each other, on the Ray that is there."""
    from tuning.ray_backend.stopping import StopRequest

    studies = {}
    for model in models:
        studies[model.name] = ensure_finished(model, session, options, console, begun)
        begun = time.monotonic()  # of the next study
    check_all_trials_done(studies)
    # With torch: the first trials don't wait for it.
    from tuning.comparison.pipeline import ComparedStudy, compare_models

    compared = {model.name: ComparedStudy(studies[model.name], model.windows) for model in models}
    stop = StopRequest()
    with stop.signals():
        return compare_models(compared, protocol, ConsoleSteps(console, stop), options.command)


@dataclass(frozen=True)
class ConsoleSteps:
    """Runs a comparison's trainings on the Ray that is there, and tells of them."""

    console: Console
    stop: "StopRequest"

    def run(self, title: str, jobs: "Sequence[Job]", resources: Resources) -> list[Any]:
        from tuning.ray_backend.jobs import run_jobs

        begun, count = time.monotonic(), len(jobs)
        with self.console.status(title) as status:

            def progress(done: int) -> None:
                status.update(f"{title}: {done} of {count}")

            results = run_jobs(jobs, resources, self.stop, progress)
        self.tell(f"{title}: {count} trainings in {time.monotonic() - begun:.0f} s")
        return results

    def tell(self, title: str) -> None:
        self.console.print(title, soft_wrap=True)


def check_all_trials_done(studies: "Mapping[str, StudyView]") -> None:
    """Raises Failure, before the test is read, where the time was up before two studies had
    all of their trials: whoever searches longer finds better.
    """
    done = {name: study.done for name, study in studies.items()}
    budget = {name: study.space.study.trials for name, study in studies.items()}
    if len(studies) > 1 and done != budget:
        counts = ", ".join(f"{name} has {done[name]} of {budget[name]}" for name in studies)
        raise Failure(
            f"two models are compared on equal terms, with all of their trials, but {counts}. "
            "The same comparison, asked for again, goes on from there."
        )


def resolve_models(
    studies: Sequence[str],
    spaces: Sequence[str | SearchSpace],
    changes: Mapping[str, object],
    folder: StoragePath,
    console: Console,
    frame: "pd.DataFrame | None" = None,
) -> list[ComparedModel]:
    """What is to be compared, its data read; nothing is written.

    Raises:
        InputError: neither one or two spaces nor one or two studies are given, a study that exists
            is not the one that is asked for, or the terms are not equal.
    """
    models: list[ComparedModel] = []
    printed: set[str] = set()
    for name, space, place, exists in _resolve_names(studies, spaces, changes, folder):
        dataset, table = load_data(space, console, printed, frame)
        trials = load_existing_trials(place, dataset, exists, space)
        models.append(ComparedModel(name, space, place, exists, dataset, table, trials))
    check_equal_terms(models)
    return models


Resolved = tuple[str, SearchSpace, StoragePath, bool]


def _resolve_names(
    studies: Sequence[str],
    spaces: Sequence[str | SearchSpace],
    changes: Mapping[str, object],
    folder: StoragePath,
) -> list[Resolved]:
    """(model, space, study's folder, whether it exists) of each."""
    if bool(studies) == bool(spaces) or max(len(studies), len(spaces)) > 2:
        raise InputError(
            "one or two search spaces (--space FILE --space FILE) or one or two finished studies "
            f"must be given, but got {len(spaces)} spaces and {len(studies)} studies"
        )
    root = folder.parent
    if spaces:
        resolved = [_resolve_space(each, changes, root, folder.name) for each in spaces]
    else:
        resolved = [_resolve_study(each, changes, root) for each in studies]
    names = [name for name, *_ in resolved]
    if len(set(names)) < len(names):
        if spaces:
            raise InputError(
                f"two different spaces must be given, but both are called {names[0]}; rename one"
            )
        resolved = [(place.name, space, place, exists) for _, space, place, exists in resolved]
        if resolved[0][0] == resolved[1][0]:
            raise InputError(f"two different studies must be given, but got {resolved[0][0]} twice")
    folders = [place for *_, place, _ in resolved]
    if spaces and len({folder, *folders}) <= len(folders):
        raise InputError(
            "--name must leave room for a space's name behind it in the name of its study, of "
            f"{LONGEST_NAME} characters in all, but got {folder.name!r}; choose a shorter one"
        )
    for name, *_ in resolved:
        if RESERVED.fullmatch(name):
            raise InputError(
                f"no model may be called {name!r}, as a baseline or a column of forecasts.csv is; "
                "rename it"
            )
    return resolved


def _resolve_space(
    asked: str | SearchSpace, changes: Mapping[str, object], root: StoragePath, comparison: str
) -> Resolved:
    space = (read_space(asked) if isinstance(asked, str) else asked).overridden(changes)
    folder = root / study_name(f"{comparison}-{slug(space)}"[:LONGEST_NAME])
    exists = is_study(folder)
    if exists:
        check_settings(folder, read_study_space(folder), space)
    return slug(space), space, folder, exists


def _resolve_study(study: str, changes: Mapping[str, object], root: StoragePath) -> Resolved:
    changed = [key for key, value in changes.items() if value is not None]
    if changed:
        raise OverrideError(
            f"{', '.join(changed)} can't change in a study that exists: leave it out, or compare "
            "spaces with --space"
        )
    folder = find_study(study, root, "STUDY")
    space = read_study_space(folder)
    state = read_json(folder / "summary.json").get("state")
    if state != "finished":
        raise InputError(
            f"{folder} must be finished, but is {state}; first go on with: {resume_command(folder)}"
        )
    return slug(space), space, folder, True


def check_equal_terms(models: Sequence[ComparedModel]) -> None:
    """Raises InputError where two models would not be compared on equal terms."""
    if len(models) < 2:
        return
    # Features and ranges may differ, and so may what is fixed, and what features' cells mean.
    free = ("data.features", "data.source", "data.fallback", "search", "fixed", "initial_trials")
    inputs = ("data.static", "data.neighbours")
    cells = ("data.missing", "data.fill", "data.types", "data.decimal")
    terms = []
    for model in models:
        settings = {
            key: value
            for key, value in collect_settings(model.space).items()
            if key not in (*free, *inputs, *cells)
        }
        data = model.space.data
        settings["data.missing"] = data.missing_in(data.target)
        settings["data.decimal"] = data.decimal_of(data.target)
        terms.append({"data": f"{model.dataset.source} {model.dataset.sha256[:12]}", **settings})
    if unequal := compare_settings(*terms):
        first, second = (model.name for model in models)
        raise InputError(
            f"{first} and {second} must be compared on equal terms, but differ in "
            f"{'; '.join(unequal)}"
        )
    for model in models:
        count, budget = len(list_records(model.folder)), model.space.study.trials
        if count > budget:
            raise InputError(
                f"{model.folder} must have no more trials than its budget, to be compared on "
                f"equal terms, but has {count} where study.json says {budget}; mend that with: "
                f"{resume_command(model.folder)} --trials {count}"
            )


def ensure_finished(
    model: ComparedModel, session: "Session", options: RunOptions, console: Console, begun: float
) -> "StudyView":
    """The model's study, run first, or to its end, where that has yet to be done.

    Raises:
        StudyUnfinished: it failed, or was interrupted.
    """
    study = prepare_study(
        model.folder, model.space, model.dataset, model.table, begun, model.trials, console
    )
    done = study.done
    if done >= model.space.study.trials:
        console.print(f"Study {study.name}: {done} trials are there", soft_wrap=True)
        return study
    result = run_study(study, session, options, console, resumed=model.exists)
    print_study_result(result, console)
    if result.signal:
        print_stderr("The same comparison, asked for again, goes on from there.")
    if not result.is_done:
        raise StudyUnfinished(result)
    return result.study
