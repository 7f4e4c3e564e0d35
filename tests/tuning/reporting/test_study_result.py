"""How a study ended, in the terminal."""

import pytest

from tests.tuning.study.test_study import end
from tuning.cli import exit_status
from tuning.reporting.progress import Terminal
from tuning.reporting.study_result import print_study_result
from tuning.study.result import StudyResult
from tuning.study.study import Study

pytest_plugins = ("tests.tuning.study.test_study",)


def test_time_up_in_the_last_step_of_every_trial(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    def printed() -> str:
        result = StudyResult(
            study.view,
            signal=None,
            all_failed=False,
            stopped=True,
            asked_at_once=1,
            most_at_once=1,
        )
        print_study_result(result, Terminal(quiet=True))
        assert exit_status(result) == 0
        return capsys.readouterr().err

    end(study, 0, 9.0)
    study.finish("finished")
    assert printed().startswith("time is up: stopped with 1 of 4 trials done; ")
    for id in (1, 2, 3):
        end(study, id, 9.0)
    assert printed() == ""
