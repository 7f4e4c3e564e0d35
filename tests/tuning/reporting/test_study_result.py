"""How a study ended, in the terminal."""

from dataclasses import replace

import pytest

from tests.tuning.reporting.screens import end, plain_console, written
from tuning.cli import exit_status
from tuning.reporting.study_result import print_study_result
from tuning.reporting.terminal import Terminal
from tuning.study.result import StudyResult
from tuning.study.study import Study
from tuning.study.trial import State


def result_of(study: Study, *, stopped: bool) -> StudyResult:
    return StudyResult(
        study.view,
        signal=None,
        all_failed=False,
        stopped=stopped,
        asked_at_once=1,
        most_at_once=1,
    )


@pytest.mark.parametrize("stopped", [False, True])
def test_fewer_at_once_than_asked_for_are_told(study: Study, stopped: bool) -> None:
    """Also where time was up before all trials were done."""
    end(study, 0)
    study.finish("finished")
    terminal = plain_console()
    print_study_result(replace(result_of(study, stopped=stopped), asked_at_once=3), terminal)
    assert "3 at once were asked for: 1 ever ran at once\n" in written(terminal)


@pytest.mark.parametrize("state", ["finished", "stopped_early"])
def test_best_epoch_that_is_the_last_possible_is_told(study: Study, state: State) -> None:
    """Each epoch is the best so far, of 30 where the trial finished and of 15 where not."""
    end(study, 0, state=state)
    terminal = plain_console()
    print_study_result(result_of(study, stopped=False), terminal)
    line = (
        "The best trial's best epoch is its last, 30: longer ones may be better. Begin another "
        "study with --max-epochs 60\n"
    )
    assert (line in written(terminal)) == (state == "finished")


def test_time_up_in_the_last_step_of_every_trial(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    def printed() -> str:
        result = result_of(study, stopped=True)
        print_study_result(result, Terminal(quiet=True))
        assert exit_status(result) == 0
        return capsys.readouterr().err

    end(study, 0)
    study.finish("finished")
    assert printed().startswith("time is up: stopped with 1 of 20 trials done; ")
    for id in range(1, 20):
        end(study, id)
    assert printed() == ""
