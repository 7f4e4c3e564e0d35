"""One process at a time runs a study: a locked file on a disk, a lease in a bucket.

A bucket's files can't be locked. So a driver keeps a claim there, a small file that it replaces
with a new one every quarter of a term:

    running-<owner>-<number>.json     number 0 asks for the study, all others hold it

The rules, which need no more of a store than that a file which was written is listed:

- Who wants the study writes a claim, then lists all claims. It may enter if every other claim is
  older than a term. Of two that come together at least one sees the other, and withdraws.
- Ages are differences between two modification times of one listing: the server's clock, whatever
  the clocks of the machines say.
- Who enters removes the claims that were too old. Who renews looks whether its last claim is still
  there. If it is gone, another process has entered, even if that one has ended since.
- Who renews after more than three quarters of a term also yields to every other young claim.
- A driver writes only while its last renewal is younger than half a term. What it sent before has
  the other half to arrive.

Conditional puts would do the same with one file. pyarrow's interface has none, for any store; the
rules above hold in every store that lists what was written.
"""

import json
import os
import platform
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from time import sleep
from typing import Protocol
from uuid import uuid4

from lstm_model.errors import InputError, os_error_text
from lstm_model.files import read_json, write_file
from tuning.study.storage import RemotePath, StoragePath, map_files, remove_tree

# How long a study in a bucket stays its driver's without a renewal.
TERM_SECONDS = 60.0
# For so many terms without a renewal a driver waits with its writes. Then it ends.
MAX_TERMS_WAITED = 5
# Processes that ask for a study at one moment all withdraw. So often each tries again.
ATTEMPTS = 10
# At once, where requests hang.
MAX_RENEWALS = 8
# For each of them that is under way at the end: a claim that comes later is one of nobody.
RELEASE_SECONDS = 2.0

CLAIM = "running"


class LostLease(OSError):
    """Another process runs the study now: this one writes nothing more to it."""


class Lock(Protocol):
    """What a process has for as long as it runs a study."""

    @property
    def took_over(self) -> bool:
        """Whether the process that held the study before never let go of it: what it sent last
        may still arrive.
        """

    def check(self) -> None:
        """Raises LostLease where the study is another process's now; returns at once."""

    def guarded(self, folder: StoragePath) -> StoragePath:
        """The folder, which takes no write unless the study is this process's."""

    def release(self) -> None:
        """Let another process have the study."""


def hold(folder: StoragePath, *, wait: bool = False) -> Lock:
    """Hold the study in `folder` until it is released or this process ends, however it does.

    Args:
        wait: for a dead driver's term in a bucket to end. On a disk a dead process holds nothing.

    Raises:
        InputError: another process runs the study.
        OSError: the folder can't be read or written.
    """
    return FileLock(folder) if isinstance(folder, Path) else Lease(folder, wait=wait)


class FileLock:
    """A lock on space.yaml, which is never replaced."""

    took_over = False

    def __init__(self, folder: Path) -> None:
        import fcntl  # which Windows has not: there studies are refused before

        self._path = folder / "space.yaml"
        self._file = os.open(self._path, os.O_RDONLY)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise InputError(self._refusal) from None

    def check(self) -> None:
        with suppress(FileNotFoundError):
            # Two that begin a study at one moment may each have put the file there.
            if not os.path.samestat(os.fstat(self._file), os.stat(self._path)):
                raise LostLease(self._refusal)

    @property
    def _refusal(self) -> str:
        return f"another process is running {self._path.parent}; wait for its end, or stop it"

    def guarded(self, folder: StoragePath) -> StoragePath:
        return folder

    def release(self) -> None:
        os.close(self._file)


@dataclass(frozen=True)
class _Claim:
    file: RemotePath
    owner: str
    number: int
    at: float  # by the server's clock, in seconds

    @classmethod
    def of(cls, file: RemotePath) -> "_Claim":
        _, owner, number = file.stem.split("-")
        return cls(file, owner, int(number), file.modified())

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def asks(self) -> bool:
        return self.number == 0

    def holder(self) -> str:
        """The process, as it called itself."""
        with suppress(InputError, OSError):
            return str(read_json(self.file).get("by"))
        return "unknown"


class Lease:
    """A claim in a bucket, renewed by threads of its own whatever the driver does."""

    def __init__(self, folder: RemotePath, *, wait: bool = False) -> None:
        self._folder = folder.unguarded()
        self.term = TERM_SECONDS
        self.took_over = False
        self._owner = uuid4().hex
        self._by = f"process {os.getpid()} on {platform.node()}"
        self._state = threading.Condition()
        self._number = 0  # of the last claim that was sent
        self._confirmed: _Claim | None = None
        self._renewed_at = -float("inf")  # when that one was sent, by clock()
        self._failure: Exception | None = None  # of the last renewal
        self._lost: str | None = None  # to which process
        self._released = threading.Event()
        self._renewals: list[threading.Thread] = []
        self._enter(wait)
        threading.Thread(target=self._keep, name="lease", daemon=True).start()

    def check(self) -> None:
        with self._state:
            self._check()

    def _check(self) -> None:
        if self._lost is not None:
            raise LostLease(
                f"{self._folder} is run by another process now ({self._lost}), since this one "
                f"({self._by}) could not renew its lease within {self.term:g} s; this one ends "
                "and writes nothing more there. Follow the other one, or go on when it has ended"
            )

    def guarded(self, folder: StoragePath) -> StoragePath:
        assert isinstance(folder, RemotePath)
        return folder.guarded(self.ensure)

    def ensure(self) -> None:
        """Wait until the last renewal is young enough to write.

        Raises:
            LostLease: the study is another process's.
            OSError: no renewal came through for too long.
        """
        with self._state:
            while True:
                self._check()
                if self._released.is_set():
                    raise LostLease(f"{self._folder} was let go, and can't be written any more")
                age = clock() - self._renewed_at
                if age < self.term / 2:
                    return
                if age > MAX_TERMS_WAITED * self.term:
                    why = f": {os_error_text(self._failure)}" if self._failure else ""
                    raise OSError(
                        f"the lease ({CLAIM}-*.json) could not be renewed for {age:.0f} s{why}"
                    )
                self._state.wait(self.term / 20)

    def release(self) -> None:
        with self._state:
            self._released.set()
            self._state.notify_all()
        for renewal in self._renewals:
            renewal.join(RELEASE_SECONDS)
        with suppress(OSError):  # then it ends by itself
            self._remove([claim for claim in self._claims() if claim.owner == self._owner])

    def _enter(self, wait: bool) -> None:
        """Come to hold the study, or raise InputError."""
        waited_for: _Claim | None = None
        attempts = count(1)
        while True:
            begun = clock()
            mine, others = self._claim(0)
            if mine is None:  # it came so late that somebody took it for a dead one's
                if next(attempts) >= ATTEMPTS:
                    raise OSError(f"what is written to {self._folder} is not listed there")
                continue
            young = [other for other in others if mine.at - other.at <= self.term]
            if not young and clock() - begun < self.term / 2:
                break
            self._remove([mine])
            holding = [other for other in young if not other.asks]
            if holding:
                newest = max(holding, key=lambda claim: claim.at)
                age = mine.at - newest.at
                if not wait or (waited_for is not None and newest.name != waited_for.name):
                    raise InputError(
                        f"another process ({newest.holder()}) ran {self._folder} {age:.0f} s ago; "
                        f"wait for its end, or, if it was killed, until {self.term:g} s have passed"
                    )
                waited_for = newest
                # Not for all of the term in one go: a living driver is told by its renewal.
                sleep(min(self.term / 4, max(self.term - age, 0) + self.term / 60))
            elif next(attempts) >= ATTEMPTS:
                raise InputError(
                    f"other processes are beginning to run {self._folder}; start one of them alone"
                )
            else:
                sleep(random.uniform(0, self.term / 60))  # noqa: S311
        self._confirmed, self._renewed_at = mine, begun
        self.took_over = any(not other.asks for other in others)
        self._remove(others)
        self._renew()  # from now on it holds
        self.check()

    def _keep(self) -> None:
        """Renew, again and again, each time in another thread: a request that hangs, as one does
        whose connection was cut, is to hold up none that follow.
        """
        while not self._released.wait(self._pause()):
            self._renewals = [renewal for renewal in self._renewals if renewal.is_alive()]
            if self._lost is None and len(self._renewals) < MAX_RENEWALS:
                renewal = threading.Thread(target=self._try_to_renew, name="renewal", daemon=True)
                self._renewals.append(renewal)
                renewal.start()

    def _pause(self) -> float:
        """Until the next renewal: sooner where the last one is overdue."""
        overdue = clock() - self._renewed_at > self.term / 2
        return self.term / (20 if overdue else 4)

    def _try_to_renew(self) -> None:
        try:
            self._renew()
        except Exception as error:  # pyarrow has several classes; ensure() says it
            self._failure = error

    def _renew(self) -> None:
        with self._state:
            before, self._number = self._confirmed, self._number + 1
            number = self._number
        assert before is not None
        begun = clock()
        mine, others = self._claim(number)
        own = [other for other in others if other.owner == self._owner]
        gone: list[_Claim | None] = []
        winners: list[_Claim] | None = None
        with self._state:
            rivals = self._rivals(before, mine, others)
            if self._released.is_set() or self._lost is not None:
                gone = [mine]
            elif self._confirmed is not before:
                pass  # another renewal overtook this one; the next one removes its claim
            elif all(claim.name != before.name for claim in own):
                winners = [other for other in others if other.owner != self._owner]
            elif any(not rival.asks for rival in rivals):
                winners = rivals
            elif mine is not None and not rivals:
                gone = [*own]
                self._confirmed, self._renewed_at, self._failure = mine, begun, None
            # Else one asks: whether it enters or withdraws is seen at the next renewal.
            if winners is not None:
                gone = [mine, *own]
                self._lost = "of which nothing is known"
            self._state.notify_all()
        if winners is not None:  # to ask for the name is a request: nobody waits for that
            newest = max(winners, key=lambda claim: claim.at, default=None)
            self._lost = "which has ended since" if newest is None else newest.holder()
        self._remove([claim for claim in gone if claim is not None])

    def _rivals(
        self, before: _Claim, mine: _Claim | None, others: Sequence[_Claim]
    ) -> list[_Claim]:
        """Other processes' claims that count: none, where no other process can have entered."""
        if mine is None or mine.at - before.at <= 0.75 * self.term:
            return []
        return [
            other
            for other in others
            if other.owner != self._owner and mine.at - other.at <= self.term
        ]

    def _claim(self, number: int) -> tuple[_Claim | None, list[_Claim]]:
        """Write a claim, then list: this one, unless somebody removed it, and all others."""
        file = self._folder / f"{CLAIM}-{self._owner}-{number}.json"
        write_file(file, json.dumps({"by": self._by, "renewals": number}).encode() + b"\n")
        claims = self._claims()
        mine = next((claim for claim in claims if claim.name == file.name), None)
        return mine, [claim for claim in claims if claim is not mine]

    def _claims(self) -> list[_Claim]:
        return [_Claim.of(file) for file in self._folder.glob(f"{CLAIM}-*-*.json")]

    @staticmethod
    def _remove(claims: Sequence[_Claim]) -> None:
        map_files(remove_tree, [claim.file for claim in claims])


def _boot_clock() -> Callable[[], float]:
    """Seconds of a clock that goes on while the machine is suspended, where there is one."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return lambda: time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic


clock = _boot_clock()
