"""What others see of a study."""

from tests.tuning.study.studies import CONFIG, end
from tuning.study.study import Study


def test_trials_that_have_ended_are_done(study: Study) -> None:
    """Of four: one finished, one failed, one is cut off and goes on later."""
    end(study, 0, 9.0)
    end(study, 1, 9.0, "failed")
    study.on_trial_start(2, CONFIG)
    assert (study.view.done, study.view.to_run) == (2, 2)
    study.on_trial_end(2, "interrupted")
    assert (study.view.done, study.view.to_run) == (2, 2)
    assert study.view.counts == {"finished": 1, "failed": 1, "interrupted": 1}
