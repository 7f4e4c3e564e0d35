"""What others see of a study."""

from dataclasses import replace

from tuning.study.study import Study


def test_only_pm25_of_a_known_source_has_its_unit_and_levels(study: Study) -> None:
    def known(source: str, target: str) -> bool:
        view = study.view
        data = view.space.data.model_copy(update={"target": target})
        table, space = replace(view.dataset, source=source), replace(view.space, data=data)
        return replace(view, dataset=table, space=space).target_is_pm25

    assert known("beijing", "pm2.5")
    assert known("simulated", "pm2.5")
    assert not known("beijing", "TEMP")
    assert not known("air.csv", "pm2.5")
