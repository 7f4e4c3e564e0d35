"""Who may write a study in a bucket: drivers beside one another, of which servers keep some."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from lstm_model.errors import InputError
from tests.bucket_server import KEYS, Front, create_bucket, server_clock
from tests.builders import copy_of, epoch_report
from tests.tuning.study.studies import CONFIG
from tuning.study import lock as lock_module
from tuning.study.lock import Lease, LostLease
from tuning.study.resume import check_name_is_free
from tuning.study.storage import RemotePath, StoragePath, parse_storage_path
from tuning.study.study import Study
from tuning.study.trial import Trial

TERM = lock_module.TERM_SECONDS
STUDIES = count()


@pytest.fixture(scope="module")
def two_fronts() -> Iterator[tuple[Front, Front]]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in KEYS.items():
            patch.setenv(name, value)
        fronts = Front(), Front()
        create_bucket(fronts[0])
        yield fronts
        for front in fronts:
            front.close()


@pytest.fixture
def folders(two_fronts: tuple[Front, Front]) -> Iterator[list[RemotePath]]:
    """The same folder of a bucket, by two ways."""
    name = f"bucket/studies/{next(STUDIES)}"
    both = [parse_storage_path(front.uri(name)) for front in two_fronts]
    remote = [folder for folder in both if isinstance(folder, RemotePath)]
    assert len(remote) == 2
    yield remote
    for front in two_fronts:
        front.flow()
        front.seconds = 0.0


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[float], None]]:
    """Turns on the server's clock and that by which drivers measure how long something takes."""
    ahead = 0.0
    clock = lock_module.clock

    with server_clock() as turn_on:

        def pass_by(seconds: float) -> None:
            nonlocal ahead
            ahead += seconds
            turn_on(seconds)

        monkeypatch.setattr(lock_module, "clock", lambda: clock() + ahead)
        yield pass_by


def die(lease: Lease) -> None:
    """As by kill -9: its threads end, and its claim stays."""
    lease._released.set()


def claims(folder: RemotePath) -> list[str]:
    """The owner of each claim, once where it is between two."""
    return sorted({file.stem.split("-")[1] for file in folder.glob("running-*.json")})


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_lease_is_renewed_whatever_its_driver_does(
    folders: list[RemotePath], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "TERM_SECONDS", 2.0)
    lease = Lease(folders[0])
    first = lease._renewed_at
    until(lambda: lease._number >= 4)
    assert lease._renewed_at > first
    lease.check()
    lease.release()
    assert claims(folders[0]) == []


@pytest.mark.parametrize("minutes", [5, -5])
def test_a_second_driver_is_refused_whatever_its_clock_says(
    folders: list[RemotePath],
    later: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
    minutes: float,
) -> None:
    first = Lease(folders[0])
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 60 * minutes)
    with pytest.raises(InputError, match=r"another process \(process \d+ on .*\) ran .* ago; wait"):
        Lease(folders[1])
    later(TERM - 2)
    with pytest.raises(InputError, match="another process"):
        Lease(folders[1])
    first._renew()
    first.check()
    later(TERM - 2)
    with pytest.raises(InputError, match="another process"):
        Lease(folders[1])
    die(first)
    later(4)
    second = Lease(folders[1])
    assert second.took_over
    assert claims(folders[1]) == [second._owner]
    second.release()


def test_a_lease_that_was_let_go_is_free_at_once(folders: list[RemotePath]) -> None:
    first = Lease(folders[0])
    first.release()
    second = Lease(folders[1])
    assert not second.took_over
    guarded = first.guarded(folders[0])
    assert isinstance(guarded, RemotePath)
    with pytest.raises(LostLease, match="was let go"):
        (guarded / "a").write_bytes(b"")
    second.release()


def test_of_many_that_ask_at_one_moment_one_enters(
    folders: list[RemotePath], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "TERM_SECONDS", 8.0)
    gate, entered = threading.Barrier(8), list[Lease]()

    def ask(number: int) -> None:
        gate.wait()
        with suppress(InputError):
            entered.append(Lease(folders[number % 2]))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(entered) == 1
    entered[0]._renew()
    entered[0].check()
    assert claims(folders[0]) == [entered[0]._owner]
    entered[0].release()


def test_writes_wait_for_a_renewal(
    folders: list[RemotePath], later: Callable[[float], None]
) -> None:
    lease = Lease(folders[0])
    guarded = lease.guarded(folders[0])
    assert isinstance(guarded, RemotePath)
    (guarded / "early").write_bytes(b"")
    later(TERM / 2 + 1)
    writer = threading.Thread(target=(guarded / "late").write_bytes, args=(b"",))
    writer.start()
    writer.join(0.2)
    assert writer.is_alive()
    assert not (folders[0] / "late").exists()
    lease._renew()
    writer.join(30)
    assert (folders[0] / "late").exists()
    lease.release()


def test_a_driver_whose_renewals_all_fail_says_why(
    folders: list[RemotePath], later: Callable[[float], None]
) -> None:
    lease = Lease(folders[0])
    lease._failure = OSError("no route to host")
    later(lock_module.MAX_TERMS_WAITED * TERM + 1)
    with pytest.raises(OSError, match=r"could not be renewed for 301 s: no route to host"):
        lease.ensure()
    lease._renew()
    lease.ensure()
    lease.release()


def test_a_lapse_that_nobody_used_costs_nothing(
    folders: list[RemotePath], later: Callable[[float], None]
) -> None:
    lease = Lease(folders[0])
    later(10 * TERM)
    lease._renew()
    lease.ensure()
    assert claims(folders[0]) == [lease._owner]
    lease.release()


@pytest.mark.parametrize("ended", [False, True])
def test_a_lapse_that_another_driver_used_is_noticed(
    folders: list[RemotePath], later: Callable[[float], None], ended: bool
) -> None:
    first = Lease(folders[0])
    later(TERM + 2)
    second = Lease(folders[1])
    if ended:
        second.release()
    first._renew()
    who = "which has ended since" if ended else r"process \d+ on "
    with pytest.raises(LostLease, match=f"is run by another process now .{who}"):
        first.check()
    assert claims(folders[0]) == ([] if ended else [second._owner])
    second._renew()
    second.check()
    first.release()
    assert claims(folders[0]) == ([] if ended else [second._owner]), "each removes its own"
    second.release()
    assert claims(folders[0]) == []


def test_who_looks_in_while_a_driver_renews_late_drives_it_out_only_by_entering(
    folders: list[RemotePath], later: Callable[[float], None]
) -> None:
    lease = Lease(folders[0])
    later(TERM + 2)
    asking = folders[1] / f"running-{'f' * 32}-0.json"
    asking.write_bytes(b"{}")
    lease._renew()
    lease.check()
    assert age(lease) > TERM / 2, "no write before it is known what comes of it"
    asking.unlink()
    lease._renew()
    lease.ensure()
    lease.release()


def age(lease: Lease) -> float:
    return lock_module.clock() - lease._renewed_at


def test_a_request_that_hangs_holds_up_no_renewal(
    two_fronts: tuple[Front, Front], folders: list[RemotePath], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "TERM_SECONDS", 4.0)
    lease = Lease(folders[0])
    two_fronts[0].stall()
    two_fronts[0].wait_for_held()
    # The one stays where it is; those after it go another way.
    lease._folder = folders[1]
    before = lease._renewed_at
    until(lambda: lease._renewed_at > before)
    two_fronts[0].flow()
    before = lease._renewed_at
    until(lambda: lease._renewed_at > before)
    lease.check()
    lease.release()


@pytest.mark.parametrize("alive", [False, True])
def test_who_waits_enters_when_a_dead_drivers_term_is_over(
    folders: list[RemotePath],
    later: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
    alive: bool,
) -> None:
    first = Lease(folders[0])
    if not alive:
        die(first)
    slept = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        later(seconds)
        if alive:
            first._renew()

    monkeypatch.setattr(lock_module, "sleep", sleep)
    if alive:
        with pytest.raises(InputError, match="another process"):
            Lease(folders[1], wait=True)
        assert sum(slept) < TERM / 2, "its renewal says that it lives"
        first.release()
    else:
        second = Lease(folders[1], wait=True)
        assert TERM <= sum(slept) < TERM * 1.5
        second.release()


def in_bucket(study: Study, folder: RemotePath) -> Study:
    """Such a study, in a bucket."""
    return copy_of(study, folder)


def record(folder: RemotePath, id: int) -> Trial:
    from lstm_model.files import read_json

    return Trial.from_json(read_json(folder / "trials" / f"{id}.json"))


def test_no_record_is_written_over_by_a_driver_whose_server_stalled(
    study: Study,
    two_fronts: tuple[Front, Front],
    folders: list[RemotePath],
    later: Callable[[float], None],
) -> None:
    """The first driver's requests are held for two minutes. In them a second one takes over. What
    the first had sent arrives after that.
    """
    first = in_bucket(study, folders[0])
    first.create([])
    for id in (0, 1):
        first.on_trial_start(id, CONFIG)
        first.on_epoch(id, epoch_report(1, 9.0))
    first.on_trial_end(0, "finished")
    two_fronts[0].stall()
    failures = list[BaseException]()

    def end() -> None:
        """As a trial that ends: its record, and what is derived."""
        try:
            first.on_trial_end(1, "finished")
        except OSError as error:
            failures.append(error)

    stalled = threading.Thread(target=end)
    stalled.start()
    two_fronts[0].wait_for_held()
    later(120)

    second = in_bucket(study, folders[1])
    second.resume([])
    second.on_trial_start(1, CONFIG)
    second.on_epoch(1, epoch_report(1, 5.0))
    second.on_epoch(1, epoch_report(2, 4.0))
    second.on_trial_end(1, "stopped_early")
    second.heartbeat()

    two_fronts[0].flow()
    assert isinstance(first._lock, Lease)
    first._lock._renew()  # which its thread would do some seconds later
    stalled.join(30)
    (failure,) = failures
    assert isinstance(failure, LostLease), "what came after the record was not sent"
    with pytest.raises(LostLease, match="is run by another process now"):
        first.heartbeat()
    with pytest.raises(LostLease):
        first.on_trial_start(2, CONFIG)
    with pytest.raises(LostLease):
        first.finish("failed")

    second.finish("interrupted")
    assert isinstance(folders[1], RemotePath)
    assert record(folders[1], 0) == first.trials[0]
    assert record(folders[1], 1) == second.trials[1]
    assert record(folders[1], 1).state == "stopped_early"
    assert not (folders[1] / "trials" / "2.json").exists()
    assert claims(folders[1]) == []


def test_what_arrives_late_is_written_over_while_the_second_driver_runs(
    study: Study, folders: list[RemotePath], later: Callable[[float], None]
) -> None:
    first = in_bucket(study, folders[0])
    first.create([])
    first.on_trial_start(0, CONFIG)
    first.on_epoch(0, epoch_report(1, 9.0))
    first.on_trial_end(0, "failed", "out of memory")
    assert isinstance(first._lock, Lease)
    die(first._lock)
    later(TERM + 2)
    second = in_bucket(study, folders[1])
    second.resume([])
    (folders[0] / "trials" / "0.json").write_bytes(Trial(0, CONFIG, state="running").to_bytes())
    (folders[0] / "trials" / "7.json").write_bytes(Trial(7, CONFIG).to_bytes())
    second.heartbeat()
    assert record(folders[1], 0) == first.trials[0]
    assert not (folders[1] / "trials" / "7.json").exists(), "the second has not begun it"
    second.finish("interrupted")


def test_a_slow_server_lets_nobody_in(
    study: Study, two_fronts: tuple[Front, Front], folders: list[RemotePath], monkeypatch: Any
) -> None:
    """A driver whose writes take longer than the term, all in all."""
    monkeypatch.setattr(lock_module, "TERM_SECONDS", 2.0)
    first = in_bucket(study, folders[0])
    first.create([])
    two_fronts[0].seconds = 0.2
    refused = 0
    begun = time.monotonic()
    try:
        for id in range(50):
            first.on_trial_start(id, CONFIG)
            if time.monotonic() - begun > 3:
                break
            with pytest.raises(InputError, match="another process"):
                Lease(folders[1])
            refused += 1
        first.heartbeat()
    finally:
        two_fronts[0].seconds = 0.0
    assert refused > 1
    first.finish("interrupted")
    assert claims(folders[1]) == []


def test_a_study_that_another_process_just_began_is_refused(
    study: Study, folders: list[RemotePath], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look whether the folder is there and the lease."""
    first, second = (in_bucket(study, folder) for folder in folders)
    look, looks = check_name_is_free, list[object]()

    def look_too_early(folder: StoragePath, *_: object) -> None:
        looks.append(folder)
        if len(looks) > 1:
            look(folder)

    first.create([])
    monkeypatch.setattr("tuning.study.study.check_name_is_free", look_too_early)
    with pytest.raises(InputError, match="another process"):
        second.create([])
    first.finish("interrupted")
    settings = (folders[0] / "study.json").read_bytes()
    looks.clear()
    with pytest.raises(InputError, match="exists; go on with it"):
        second.create([])
    assert (folders[0] / "study.json").read_bytes() == settings


def test_a_study_that_cannot_go_on_is_let_go(study: Study, folders: list[RemotePath]) -> None:
    """So that it goes on once it is mended, and not after a term."""
    first = in_bucket(study, folders[0])
    first.create([])
    first.on_trial_start(0, CONFIG)
    first.on_trial_end(0, "failed", "out of memory")
    first.release()
    whole = (folders[0] / "trials" / "0.json").read_bytes()
    (folders[0] / "trials" / "0.json").write_bytes(b"{")
    again = in_bucket(study, folders[1])
    with pytest.raises(InputError, match=r"0\.json.* is damaged"):
        again.resume([])
    (folders[0] / "trials" / "0.json").write_bytes(whole)
    again.resume([])
    again.release()


def test_on_a_disk_a_lock_is_a_file_lock(study: Study, tmp_path: Path) -> None:
    assert isinstance(study.folder, Path)
    with pytest.raises(InputError, match="another process is running"):
        lock_module.hold(study.folder, wait=True)
    study.release()
    lock_module.hold(study.folder).release()
