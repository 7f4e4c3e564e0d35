"""The trials' records of a study: `trials/<id>.json`, the truth from which all else is derived."""

import time
from collections.abc import Mapping
from pathlib import Path

from lstm_model.errors import InputError
from lstm_model.files import read_bytes, read_json, write_file
from tuning.study.storage import StoragePath, map_files, remove_tree
from tuning.study.trial import Trial

# After a driver that never let go of the study, its records are looked through so often.
RECLAIM_SECONDS = 15.0


def list_records(folder: StoragePath) -> list[StoragePath]:
    """The files of a study's trials, in any order."""
    return [file for file in (folder / "trials").glob("*.json") if file.stem.isdecimal()]


def read_trials(folder: StoragePath) -> dict[int, Trial]:
    """Every trial's record, by number.

    Raises:
        InputError: records are damaged; a line for each names the file and the way on.
    """
    files = sorted(list_records(folder), key=lambda file: int(file.stem))
    results = map_files(_read_trial, files)
    trials = {trial.id: trial for trial in results if isinstance(trial, Trial)}
    problems = [problem for problem in results if isinstance(problem, str)]
    if problems:
        whole = f"the records of {len(trials)} other trials are whole"
        raise InputError(
            "\n".join(
                [*problems, f"{whole}; remove what is damaged, and these trials will run again"]
            )
        )
    return trials


def _read_trial(file: StoragePath) -> Trial | str:
    """A trial, or what is wrong with its record."""
    try:
        trial = Trial.from_json(read_json(file))
        if file.name != f"{trial.id}.json":
            raise ValueError(f"it is of trial {trial.id}")
    except InputError as error:
        return str(error)
    except ValueError as error:
        return f"{file} is damaged: {error}"
    return trial


class Records:
    """Writes the trials' records.

    In a bucket the driver before may be dead, and a write of its still on its way: one that was
    sent before its lease ended, and arrives when this driver has entered. `reclaim` undoes it.
    """

    def __init__(self, folder: StoragePath) -> None:
        self._folder = folder
        # When each record was written, by the server's clock, and its size. None where no driver
        # before could still write.
        self._listing: dict[StoragePath, tuple[float, int]] | None = None
        self._reclaim_at = 0.0

    def expect_late_writes(self) -> None:
        """Remember what lies there now: the driver before never let go of the study."""
        self._listing = self._list()

    def write(self, trial: Trial) -> None:
        write_file(self._folder / "trials" / f"{trial.id}.json", trial.to_bytes())

    def reclaim_if_due(self, trials: Mapping[int, Trial]) -> None:
        if self._listing is not None and time.monotonic() >= self._reclaim_at:
            self.reclaim(trials)

    def reclaim(self, trials: Mapping[int, Trial]) -> None:
        """Write those records again that a late write has replaced."""
        if self._listing is None:
            return
        listing = self._list()
        changed = [file for file, facts in listing.items() if self._listing.get(file) != facts]
        for file, content in zip(changed, map_files(read_bytes, changed), strict=True):
            trial = trials.get(int(file.stem))
            if trial is None:
                remove_tree(file)  # its number will be that of another trial
            elif content != trial.to_bytes():
                self.write(trial)
        self._listing = listing
        self._reclaim_at = time.monotonic() + RECLAIM_SECONDS

    def _list(self) -> dict[StoragePath, tuple[float, int]]:
        files = [file for file in list_records(self._folder) if not isinstance(file, Path)]
        return {file: (file.modified(), file.stat().st_size) for file in files}
