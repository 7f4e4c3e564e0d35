"""What a study's end says."""

import pytest

from tests.tuning.reporting.screens import end, plain_console, written
from tuning.reporting.study_result import print_study_result
from tuning.study.result import StudyResult
from tuning.study.study import Study
from tuning.study.trial import State


@pytest.mark.parametrize("state", ["finished", "stopped_early"])
def test_best_epoch_that_is_the_last_possible_is_told(study: Study, state: State) -> None:
    """Each epoch is the best so far, of 30 where the trial finished and of 15 where not."""
    end(study, 0, state=state)
    terminal = plain_console()
    print_study_result(StudyResult(study.view, None, False, False, 1, 1), terminal)
    line = (
        "The best trial's best epoch is its last, 30: longer ones may be better. Begin another "
        "study with --max-epochs 60\n"
    )
    assert (line in written(terminal)) == (state == "finished")
