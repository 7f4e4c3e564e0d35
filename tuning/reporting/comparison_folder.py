"""A comparison's folder: comparison.json, the report, the forecasts and the final models."""

import json
from collections.abc import Sequence

from lstm_model.figures.forecasts import png
from lstm_model.files import write_file
from tuning.comparison.pipeline import Evaluation
from tuning.comparison.result import Comparison
from tuning.reporting.comparison_figures import draw_comparison
from tuning.reporting.comparison_report import report_blocks
from tuning.reporting.render import ReportFigure, to_html, to_markdown
from tuning.reporting.tensorboard.comparison_events import write_comparison_events
from tuning.study.storage import StoragePath


def write_comparison(folder: StoragePath, evaluation: Evaluation) -> None:
    """Write all of it; comparison.json comes last, when all else is there."""
    comparison = evaluation.comparison
    (folder / "models").mkdir(parents=True, exist_ok=True)
    for name, forecaster in evaluation.models.items():
        forecaster.save(folder / "models" / name)
    write_file(folder / "forecasts.csv", evaluation.errors.csv().encode())
    write_report(folder, comparison, draw_comparison(comparison, evaluation.errors))
    write_comparison_events(folder, comparison, evaluation.histories)
    text = json.dumps(comparison.to_json(), indent=1) + "\n"
    write_file(folder / "comparison.json", text.encode())


def write_report(
    folder: StoragePath, comparison: Comparison, figures: Sequence[ReportFigure]
) -> None:
    """Write report.html, one file that opens anywhere, and report.md with figures/NAME.png."""
    blocks = report_blocks(folder.name, comparison, figures)
    pngs = {figure.name: png(figure.figure) for figure in figures}
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    for name, image in pngs.items():
        write_file(folder / "figures" / f"{name}.png", image)
    write_file(folder / "report.md", to_markdown(blocks).encode())
    write_file(folder / "report.html", to_html(folder.name, blocks, pngs).encode())
