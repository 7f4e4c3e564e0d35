"""Requests to end a study: signals, a time budget."""

import os
import signal

import pytest

from tuning.ray_backend.stopping import StopRequest


def test_signal_handlers_are_given_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    stop = StopRequest()
    with stop.signals():
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.signal == signal.SIGINT
        assert stop
        with pytest.raises(KeyboardInterrupt):  # the second one means at once
            os.kill(os.getpid(), signal.SIGINT)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_signal_stops_a_study_that_nobody_listens_to() -> None:
    """As in `... 2>&1 | tee log`, where the same Ctrl-C has ended tee."""
    read, nobody = os.pipe()
    os.close(read)
    before = os.dup(2)
    os.dup2(nobody, 2)
    try:
        stop = StopRequest()
        stop.on_signal(signal.SIGINT)
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(nobody)
    assert stop


def test_time_budget_is_a_request_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("tuning.ray_backend.stopping.time.monotonic", lambda: now)
    stop = StopRequest(10.0)
    assert not stop
    now = 110.0
    assert stop
    assert stop.signal is None
