"""Studies and comparisons from Python: what `import tuning` offers.

Each call is what a command does. It raises where the command would exit, and speaks of arguments
where the command speaks of flags.
"""

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from lstm_model.errors import Failure, InputError
from tuning import cli
from tuning.ray_backend import environment
from tuning.reporting.terminal import Terminal
from tuning.space.search_space import SearchSpace, read_space
from tuning.study.resume import find_study
from tuning.study.storage import StoragePath
from tuning.study.trial import study_name
from tuning.workflows.compare_studies import StudyUnfinished
from tuning.workflows.compare_studies import compare_studies as run_comparison
from tuning.workflows.resolve_study import resolve_study
from tuning.workflows.run_study import RunOptions, run_requested_study
from tuning.workflows.saved_study import SavedStudy

if TYPE_CHECKING:
    import pandas as pd

    from tuning.comparison.result import Comparison

Space = str | PathLike[str] | SearchSpace


class Options(TypedDict, total=False):
    """What run_study() and compare_studies() share: the options of the commands, by their names.

    Attributes:
        trials: configurations to try.
        time_budget: ends a study after so long: seconds, or a text such as 1h30m.
        max_epochs: the longest training of a trial.
        data: beijing, beijing_stations, simulated, or a table's path.
        frame: the table itself, in place of `data`, as lstm_model.fit() takes it.
        horizon: lead times are 1 to so many rows.
        calendar: inputs known ahead from the clock: hour_of_day, day_of_week, day_of_year.
        seed: of the sampler and the trials.
        runs: the folder of all studies, "runs" if nothing is said.
        storage: in its place, what every node of a cluster can reach: a folder, s3://bucket/...
        address: of a Ray cluster. Without it the Ray that this process is connected to is used, and
            left as it is; where there is none, one is started and ended.
        cpus_per_trial, gpus_per_trial: each trial's share.
        concurrency: the most trials at once; without it as many as fit.
        mlflow: the URI of an MLflow server that gets a run for each trial, too.
        mlflow_experiment: its experiment there; else MLFLOW_EXPERIMENT_NAME, else lstm-tuning.
        plain_ray: leave Ray as it is.
        verbose: with Ray's own messages.
        quiet: print warnings alone.
    """

    trials: int
    time_budget: float | str
    max_epochs: int
    data: str
    frame: "pd.DataFrame"
    horizon: int
    calendar: Sequence[str]
    seed: int
    runs: str | PathLike[str]
    storage: str
    address: str
    cpus_per_trial: float
    gpus_per_trial: float
    concurrency: int
    mlflow: str
    mlflow_experiment: str
    plain_ray: bool
    verbose: bool
    quiet: bool


# A flag, with the word in capitals that stands for its value.
FLAG = re.compile(r"--([a-z]+(?:-[a-z]+)*)( [A-Z]+\b)?")
ARGUMENTS = {*Options.__annotations__, "space", "resume", "name", "or_resume", "initial_from"}
ARGUMENTS |= {"finalists", "seeds", "test_years"}
FIELDS: Mapping[str, str] = {
    flag.removeprefix("--").replace("-", "_"): field for field, flag in cli.FLAGS.items()
}


def run_study(
    space: Space | None = None,
    *,
    resume: SavedStudy | str | PathLike[str] | None = None,
    name: str | None = None,
    or_resume: bool = False,
    initial_from: SavedStudy | str | PathLike[str] | None = None,
    **options: Unpack[Options],
) -> SavedStudy:
    """Search a space for the LSTM that forecasts best, and keep it: `python -m tuning.run`.

    >>> study = tuning.run_study("multivariate.yaml", trials=4, quiet=True)
    >>> study.state, len(study.trials)
    ('finished', 4)
    >>> forecasts = study.best_model().forecast(recent)

    An interrupt (Ctrl-C, or a notebook's stop button) ends the study in order: everything is saved,
    and its `state` is "interrupted".

    Args:
        space: a file's path, the name of a space that ships, or one that was read or built.
        resume: in its place, a study that goes on.
        name: of a new study; without it the space's name and the time.
        or_resume: go on with the study of that name where there is one.
        initial_from: an earlier study, of which the best configurations that lie in the space are
            tried first, at most five. They are trained anew.
        options: see Options.

    Returns:
        The study, finished, interrupted or failed.

    Raises:
        InputError: an argument, the space, or the table breaks a rule.
        Failure: the study can't be kept any more.
    """
    with _call(options) as call:
        asked = resolve_study(
            call.root,
            call.changes,
            space=None if space is None else _space(space, options.get("frame")),
            resume=None if resume is None else _study(resume),
            name=name,
            or_resume=or_resume,
            initial_from=None if initial_from is None else _study(initial_from),
        )
        run_requested_study(
            asked,
            call.options("tuning.run_study()", wait=or_resume),
            call.console,
            frame=options.get("frame"),
            plain_ray=options.get("plain_ray", False),
        )
        return SavedStudy(asked.folder)


def load_study(
    study: str | PathLike[str], *, runs: str | PathLike[str] = "runs", storage: str | None = None
) -> SavedStudy:
    """A study that there is, of any age, also one that runs: it is only read.

    >>> tuning.load_study("air-univariate").state
    'finished'

    Args:
        study: its folder or URI, or its name in `runs` or `storage`.

    Raises:
        InputError: there is none; the message lists those that there are.
    """
    with _naming_arguments():
        root = cli.studies_root(Path(runs), storage)
        return SavedStudy(find_study(fspath(study), root, "study"))


def compare_studies(
    studies: Sequence[SavedStudy | str | PathLike[str]] = (),
    *,
    name: str,
    spaces: Sequence[Space] = (),
    finalists: int = 3,
    seeds: int = 5,
    test_years: Sequence[int] = (),
    **options: Unpack[Options],
) -> "Comparison":
    """Settle which model is better, on hours that no study has read: `python -m tuning.compare`.

    >>> answer = tuning.compare_studies(
    ...     ["air-multivariate", "air-univariate"], name="air", finalists=1, seeds=2, quiet=True
    ... )
    >>> answer.tests[0].a, answer.tests[0].b, answer.tests[0].metric
    ('multivariate', 'univariate', 'rmse')

    Args:
        studies: one or two finished studies; or none, and
        spaces: one or two spaces, whose studies are run first where they aren't there.
        name: the comparison's: its folder in `runs`, with the report.
        finalists: the best configurations of each study, which are trained again,
        seeds: so many times each.
        test_years: repeat the last step for these years.
        options: see Options.

    Returns:
        What comparison.json holds; `to_json()` is its text's object.

    Raises:
        InputError: an argument breaks a rule, or the terms are not equal.
        Failure: a study of the comparison did not come to its end.
    """
    with _call(options) as call:
        for argument, value, least in (("finalists", finalists, 1), ("seeds", seeds, 2)):
            if value < least:
                raise InputError(f"{argument} must be at least {least}, but got {value}")
        try:
            evaluation = run_comparison(
                [_study(study) for study in studies],
                [_space(space, options.get("frame")) for space in spaces],
                call.changes,
                folder=call.root / study_name(name),
                finalists=finalists,
                seeds=seeds,
                test_years=test_years,
                options=call.options("tuning.compare_studies()", wait=True),
                plain_ray=options.get("plain_ray", False),
                check=False,
                console=call.console,
                frame=options.get("frame"),
            )
        except StudyUnfinished as unfinished:
            raise Failure(str(unfinished)) from unfinished
    assert evaluation is not None
    return evaluation.comparison


def _name_arguments(text: str) -> str:
    """Flags as arguments, but for those of a command that is to be typed."""

    def name(flag: re.Match[str]) -> str:
        argument = flag[1].replace("-", "_")
        return argument if argument in ARGUMENTS else flag[0]

    lines = text.split("\n")
    return "\n".join(line if " -m tuning" in line else FLAG.sub(name, line) for line in lines)


class _ArgumentsTerminal(Terminal):
    """What is printed of flags speaks of arguments."""

    def print(self, *objects: Any, **options: Any) -> None:
        named = (_name_arguments(each) if isinstance(each, str) else each for each in objects)
        super().print(*named, **options)


class _Call:
    """What the options come to."""

    def __init__(self, options: Options) -> None:
        if unknown := options.keys() - Options.__annotations__.keys():
            legal = ", ".join(Options.__annotations__)
            raise TypeError(f"no option {sorted(unknown)[0]!r}; the options are {legal}")
        budget, at_once = options.get("time_budget"), options.get("concurrency")
        if isinstance(budget, int | float) and not budget > 0:
            raise InputError(f"time_budget must be more than 0 seconds, but got {budget}")
        if at_once is not None and at_once < 1:
            raise InputError(f"concurrency must be at least 1, but got {at_once}")
        self._options = options
        self.root: StoragePath = cli.studies_root(
            Path(options.get("runs", "runs")), options.get("storage")
        )
        self.console = _ArgumentsTerminal(quiet=options.get("quiet", False), highlight=False)
        self.address = (
            options.get("address")
            or environment.joined_address()
            or environment.resolve_address(None)
        )
        # What changes a space's settings, as SearchSpace.overridden() takes it.
        self.changes: dict[str, object] = {
            FIELDS[name]: tuple(value) if name == "calendar" else value  # type: ignore[arg-type]
            for name, value in options.items()
            if name in FIELDS
        }

    def options(self, command: str, *, wait: bool) -> RunOptions:
        budget = self._options.get("time_budget")
        return RunOptions(
            command=(command,),
            budget=cli.parse_duration(budget) if isinstance(budget, str) else budget,
            address=self.address,
            concurrency=self._options.get("concurrency"),
            mlflow=cli.mlflow_server(
                self._options.get("mlflow"), self._options.get("mlflow_experiment")
            ),
            verbose=self._options.get("verbose", False),
            wait=wait,
        )


@contextmanager
def _call(options: Options) -> Iterator[_Call]:
    with _naming_arguments():
        cli.check_platform()
        if threading.current_thread() is not threading.main_thread():
            raise InputError(
                "a study must run in the main thread, because it takes an interrupt as the request "
                f"to stop, but got the thread {threading.current_thread().name!r}"
            )
        call = _Call(options)
        with environment.environment(call.address):
            yield call


def _space(space: Space, frame: "pd.DataFrame | None") -> SearchSpace:
    """The space, which reads the frame where there is one."""
    space = space if isinstance(space, SearchSpace) else read_space(fspath(space))
    if frame is None:
        return space
    if not hasattr(frame, "dtypes"):
        raise InputError(f"frame must be a DataFrame, but got {frame!r}; give a path as data")
    from lstm_model.data.frames import FRAME, infer_reading

    data = space.data
    inferred = infer_reading(frame, data.features, data, data.static)
    changes: dict[str, object] = {f"data.{key}": value for key, value in inferred.items()}
    return space.overridden(changes | {"data.source": FRAME})


def _study(study: SavedStudy | str | PathLike[str]) -> str:
    return str(study.folder) if isinstance(study, SavedStudy) else fspath(study)


@contextmanager
def _naming_arguments() -> Iterator[None]:
    """What is said of a command's flags, said of arguments."""
    try:
        with cli.naming_flags():
            yield
    except (InputError, Failure) as error:
        raise type(error)(_name_arguments(str(error))) from error
