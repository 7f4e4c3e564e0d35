"""The options that the commands share, and what they make of them."""

import errno
import gc
import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lstm_model.command import DONE, FAILED, INTERRUPTED
from lstm_model.errors import InputError, os_error_text
from tuning.space.search_space import OverrideError
from tuning.study.result import StudyResult
from tuning.study.storage import StoragePath, parse_storage_path
from tuning.wording import format_value

if TYPE_CHECKING:
    from tuning.reporting.mlflow_listener import MLflowServer

Trials = Annotated[int | None, typer.Option(help="configurations to try")]
TimeBudget = Annotated[
    str | None, typer.Option(help="stop a study after this long, with its unit: 90s, 10m, 1h30m")
]
MaxEpochs = Annotated[int | None, typer.Option(help="longest training of a trial")]
Data = Annotated[
    str | None, typer.Option(help="beijing, beijing_stations, simulated, or a table's path")
]
Horizon = Annotated[int | None, typer.Option(help="lead times 1 to this many rows")]
CalendarOption = Annotated[
    str | None,
    typer.Option(help="inputs from the clock: hour_of_day,day_of_week,day_of_year, or none"),
]
Runs = Annotated[Path, typer.Option(help="directory of all studies")]
Storage = Annotated[
    str | None,
    typer.Option(help="where all studies lie, for every node: a shared directory, s3://bucket/..."),
]
Address = Annotated[str | None, typer.Option(help="a running Ray cluster: auto, or host:port")]
Seed = Annotated[int | None, typer.Option(help="of the sampler and the trials")]
CpusPerTrial = Annotated[float | None, typer.Option(help="cores of each trial")]
GpusPerTrial = Annotated[
    float | None, typer.Option(help="GPUs of each trial; below 1, trials share one")
]
Concurrency = Annotated[
    int | None, typer.Option(min=1, help="most trials at once; else as many as fit")
]
MLflowUri = Annotated[
    str | None,
    typer.Option("--mlflow", metavar="URI", help="an MLflow server that gets a run for each trial"),
]
MLflowExperiment = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="where there; else MLFLOW_EXPERIMENT_NAME, or lstm-tuning"),
]
Check = Annotated[bool, typer.Option("--check", help="say what would run, and stop")]
PlainRay = Annotated[
    bool,
    typer.Option("--plain-ray", help="leave Ray as it is: slower, for when Ray fails at its start"),
]
Verbose = Annotated[bool, typer.Option("--verbose", help="with Ray's own messages")]
Quiet = Annotated[bool, typer.Option("--quiet", help="only warnings and errors")]

FLAGS = {
    "data.source": "--data",
    "data.calendar": "--calendar",
    "data.horizon": "--horizon",
    "study.trials": "--trials",
    "study.max_epochs": "--max-epochs",
    "study.seed": "--seed",
    "resources.cpu": "--cpus-per-trial",
    "resources.gpu": "--gpus-per-trial",
}


def check_platform() -> None:
    """Raises InputError where a study's folder can't be locked, as on Windows."""
    if sys.platform == "win32":
        raise InputError(
            "studies and comparisons run on Linux, on macOS, and on Windows in WSL, but this is "
            "Windows itself; type the same in WSL (https://learn.microsoft.com/windows/wsl)"
        )


def collect_less_garbage() -> None:
    """Of the whole process, and so for commands alone: imports make half a million objects, which
    all stay. Python would look through them for garbage for half a second in all.
    """
    gc.set_threshold(20_000)


def overrides(
    *,
    trials: int | None,
    max_epochs: int | None,
    seed: int | None,
    data: str | None,
    horizon: int | None,
    calendar: str | None,
    cpus_per_trial: float | None,
    gpus_per_trial: float | None,
) -> dict[str, object]:
    """The flags as SearchSpace.overridden() takes them."""
    return {
        "study.trials": trials,
        "study.max_epochs": max_epochs,
        "study.seed": seed,
        "data.source": data,
        "data.horizon": horizon,
        "data.calendar": parse_name_list(calendar),
        "resources.cpu": cpus_per_trial,
        "resources.gpu": gpus_per_trial,
    }


@contextmanager
def naming_flags() -> Iterator[None]:
    """What the library says of a space's fields, said of the flags that changed them."""
    try:
        yield
    except OverrideError as error:
        raise InputError("\n".join(map(_name_flags, str(error).split("\n")))) from error


def _name_flags(line: str) -> str:
    """`study.trials: must be ...` as `--trials: must be ...`."""
    fields = re.match(r"[\w.-]+(, [\w.-]+)*", line)
    end = fields.end() if fields else 0
    return ", ".join(FLAGS.get(field, field) for field in line[:end].split(", ")) + line[end:]


def studies_root(runs: Path, storage: str | None) -> StoragePath:
    """Where studies lie.

    Raises:
        InputError: no folder can lie there.
    """
    flag, folder = (
        ("--runs", runs) if storage is None else ("--storage", parse_storage_path(storage))
    )
    if not isinstance(folder, Path):
        return folder  # whether it can be written is tried before a study starts
    try:
        other = None if stat.S_ISDIR(folder.stat().st_mode) else os.strerror(errno.ENOTDIR)
    except FileNotFoundError:
        other = None  # it will be made
    except (OSError, ValueError) as error:  # ValueError: NUL
        other = os_error_text(error)
    if other:
        raise InputError(
            f"{flag} must be a directory, there or to be made, but got "
            f"{format_value(str(folder))}: {other}; name another one"
        )
    return folder


def parse_duration(text: str | None) -> float | None:
    """90s, 10m, 2h or 1h30m; None for a flag that wasn't given.

    Raises:
        InputError: anything else, or no time at all. A plain 5 may be meant as seconds, minutes or
            hours, and a study that ends after 5 seconds has learned nothing.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?", text.strip())
    hours, minutes, rest = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
    total = 3600 * hours + 60 * minutes + rest
    if not total:
        number = text.strip()
        instead = f"{number}s or {number}m" if re.fullmatch("[1-9][0-9]{,8}", number) else "10m"
        raise InputError(
            "--time-budget must be more than 0, with a unit after each number, such as 90s, 10m or "
            f"1h30m, but got {text!r}; say {instead}"
        )
    return float(total)


def mlflow_server(uri: str | None, experiment: str | None) -> "MLflowServer | None":
    """The server that studies go to, too, if one is asked for.

    Raises:
        InputError: it can't be had.
    """
    if uri is None:
        if experiment is not None:
            raise InputError(
                f"--mlflow-experiment must come with --mlflow, the server's URI, but only "
                f"{experiment!r} was given; say both"
            )
        return None
    from tuning.reporting.mlflow_listener import find_server

    return find_server(str(uri), experiment)


def parse_name_list(text: str | None) -> tuple[str, ...] | None:
    """`a,b` as a tuple; `none` or nothing between the commas as an empty one."""
    if text is None:
        return None
    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    return () if parts == ("none",) else parts


def exit_status(result: StudyResult) -> int:
    """A command's, after a study that ended so."""
    if result.is_done:
        return DONE
    return INTERRUPTED if result.signal and not result.all_failed else FAILED
