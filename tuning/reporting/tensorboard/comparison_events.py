"""A comparison as TensorBoard events: one run for each model, and its answer in the first run."""

from collections.abc import Mapping, Sequence

from tuning.comparison.result import Comparison
from tuning.reporting.comparison_report import summary_markdown
from tuning.reporting.tensorboard.events import Events, Mirror
from tuning.study.storage import StoragePath, remove_tree

# Tags of the breakdowns by numbers, and of the epochs of a finalist's trial.
BREAKDOWN_TAGS = {
    "hour of day": "comparison/test_rmse_by_hour",
    "month": "comparison/test_rmse_by_month",
}
FINALIST = "comparison/finalist_"
CHARTS = {
    "Models of a comparison beside one another": {
        "Test RMSE by hour of the day": f"^{BREAKDOWN_TAGS['hour of day']}$",
        "Test RMSE by month": f"^{BREAKDOWN_TAGS['month']}$",
        "Test RMSE by lead time": "^comparison/test_rmse$",
        "Test skill by lead time": "^comparison/test_skill$",
        "Validation RMSE of the finalists by epoch": f"^{FINALIST}rmse$",
        "Training loss of the finalists by epoch": f"^{FINALIST}loss$",
    }
}


def write_comparison_events(
    folder: StoragePath,
    comparison: Comparison,
    histories: Mapping[str, Sequence[Mapping[str, float]]],
) -> None:
    """Write the events of a comparison whose figures lie in folder/figures already.

    Args:
        histories: the epochs of each finalist's trial, as its record has them.
    """
    remove_tree(folder / "tensorboard")  # of the same comparison, made before
    mirror = Mirror(folder / "tensorboard")
    root = Events(mirror.folder)
    root.charts(CHARTS)
    root.text("answer", summary_markdown(comparison))
    figures: list[StoragePath] = list((folder / "figures").glob("*.png"))
    root.images({f"comparison/{file.stem}": file.read_bytes() for file in figures}, 0)
    root.close()
    first = comparison.lead_times[0]
    for model, scores in comparison.models.items():
        events = Events(mirror.folder / model)
        metrics = {"rmse": scores.rmse, "mae": scores.mae, "skill": scores.skill}
        for lead in comparison.lead_times:
            values = {f"comparison/test_{name}": errors[lead] for name, errors in metrics.items()}
            events.scalars(values, lead)
        for group in comparison.breakdowns:
            if group.lead_time == first and group.by in BREAKDOWN_TAGS and model in group.rmse:
                events.scalars({BREAKDOWN_TAGS[group.by]: group.rmse[model]}, int(group.group))
        for number, epoch in enumerate(histories.get(model, ()), start=1):
            events.scalars({FINALIST + name: epoch[name] for name in (*metrics, "loss")}, number)
        events.close()
    mirror.upload()
    mirror.close()
