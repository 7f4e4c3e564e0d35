"""How a study goes, in lines where there is no terminal."""

import pytest

from tests.builders import epoch_report
from tests.tuning.reporting.screens import console, end, plain_console, start, written
from tuning.reporting.progress import Progress
from tuning.reporting.study_status import clock
from tuning.reporting.terminal import Terminal
from tuning.study.study import Study


def attach_lines(study: Study) -> Terminal:
    plain = plain_console()
    study.attach(Progress(plain))
    return plain


def test_lines_come_every_five_seconds_plus_news(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = study.view.begun
    monkeypatch.setattr("tuning.reporting.progress.time.monotonic", lambda: now)
    plain = attach_lines(study)
    start(study, 0, 3, 1.1)
    now += 4.9
    study.on_epoch(0, epoch_report(4, 9.0))
    assert written(plain) == (
        "0 of 20 trials done (1 running, 0 finished, 0 stopped early). 0:00 gone\n"
    )
    now += 0.2
    baselines = study.view.baselines
    ridge, persistence = baselines.scores["ridge"].rmse, baselines.persistence.rmse
    study.on_epoch(0, epoch_report(5, 1.1 * ridge))
    beside = f"beside persistence {persistence:.3f} and ridge {ridge:.3f}, skill 10.0%"
    assert written(plain).splitlines()[1:] == [
        "0 of 20 trials done (1 running, 0 finished, 0 stopped early). Best so far: trial 0, "
        f"RMSE {1.1 * ridge:.3f} {beside}, not yet better than ridge. 0:05 gone"
    ]
    end(study, 1, 0.9)  # news
    end(study, 2, 1.0)  # none
    end(study, 3, 1.0, "failed", "the loss, [bold], is not finite")
    assert written(plain).splitlines()[2:] == [
        "1 of 20 trials done (1 running, 1 finished, 0 stopped early). Best so far: trial 1, "
        f"RMSE {0.9 * ridge:.3f} {beside}. 0:05 gone, about 1:22 left",
        "trial 3 failed: the loss, [bold], is not finite",
    ]
    study.finish("interrupted")
    assert written(plain).splitlines()[4:] == [
        "3 of 20 trials done (2 finished, 0 stopped early, 1 failed, 1 interrupted). "
        f"Best so far: trial 1, RMSE {0.9 * ridge:.3f} {beside}. 0:05 gone"
    ]
    assert "\x1b" not in written(plain)


@pytest.mark.parametrize("terminal", [True, False])
def test_quiet_says_nothing_but_warnings(
    study: Study, capsys: pytest.CaptureFixture[str], terminal: bool
) -> None:
    silent = console(80, quiet=True, force_terminal=terminal)
    study.attach(Progress(silent))
    end(study, 0, 0.9)
    end(study, 1, 1.0, "failed", "out of memory")
    study.finish("finished")
    assert written(silent) == ""
    assert capsys.readouterr() == ("", "warning: trial 1 failed: out of memory\n")


def test_trials_that_ran_at_once_are_counted(study: Study) -> None:
    progress = Progress(console(80, quiet=True))
    end(study, 0)  # before this command
    study.attach(progress)
    assert progress.most_at_once == 0
    for id in (1, 2, 3):
        start(study, id)
    study.on_trial_end(2, "interrupted")
    study.on_trial_end(3, "failed", "by chance")
    start(study, 2)
    study.on_trial_end(1, "failed", "by chance")
    start(study, 4)
    assert progress.most_at_once == 3


def test_dumb_terminal_gets_plain_lines(study: Study) -> None:
    dumb = console(80, color_system=None, _environ={"TERM": "dumb"})
    study.attach(Progress(dumb))
    end(study, 0, 0.9)
    study.finish("finished")
    assert "1 of 20 trials done (1 finished, 0 stopped early). Best" in written(dumb)
    assert "\x1b" not in written(dumb)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "0:00"), (65.4, "1:05"), (3599.6, "1:00:00"), (7265.0, "2:01:05")]
)
def test_clock_shows_hours_where_there_are_any(seconds: float, text: str) -> None:
    assert clock(seconds) == text
