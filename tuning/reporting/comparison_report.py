"""Which tables, figures and sentences a comparison's report has, and in which order."""

import shlex
from collections.abc import Sequence

from tuning.comparison.result import Comparison
from tuning.reporting.comparison_series import SeriesTables
from tuning.reporting.comparison_tables import ComparisonTables
from tuning.reporting.render import Block, ReportFigure, Text, to_markdown

SIMULATED = (
    "SIMULATED DATA: every number and figure below comes of made-up data and says nothing about "
    "real air."
)
TESTS = (
    "Where a difference is below zero, the first model errs less. The interval and the first p "
    "come of a bootstrap, DM is the test of Diebold and Mariano; each Holm is the p before it, "
    "corrected for all lead times of the same pair and metric; those of the seasons and of the "
    "mean of training for each other as well."
)
COVERAGE = (
    "The intervals were calibrated on validation, to hold 80% and 95% of the observations. Here is "
    "how many of the test's they held, and how wide they were on average. A level is the "
    "forecast's own, all that is known in advance; where it has few rows, its share says little."
)

BY_SERIES = (
    "Skill is 1 minus a model's RMSE in a series by that of persistence in it, the mean over lead "
    "times. A difference is that of the mean over series of RMSE by persistence's: where it is "
    "below zero, the first model errs less."
)


def report_blocks(
    title: str, comparison: Comparison, figures: Sequence[ReportFigure]
) -> list[Block]:
    """The whole report, from the verdict to the protocol."""
    tables, data = ComparisonTables(comparison), comparison.data
    blocks: list[Block] = [Text("h1", title), Text("p", comparison.verdict)]
    if data.simulated:
        blocks.append(Text("aside", SIMULATED))
    if data.warning:
        blocks.append(Text("aside", f"Warning: {data.warning}"))
    blocks += [Text("aside", f"Look at the table: {doubt}") for doubt in data.doubts]
    blocks += [Text("h2", "The models beside the baselines"), tables.models()]
    blocks += [Text("h2", "Are the differences more than luck?"), Text("p", TESTS)]
    blocks.append(tables.tests("Test hours", comparison.tests))
    blocks += [Text("h2", "The finalists"), tables.configurations()]
    blocks += [tables.validation(), tables.test_by_seed()]
    if comparison.coverage:
        blocks += [Text("h2", "Did the prediction intervals hold?"), Text("p", COVERAGE)]
        blocks += [tables.coverage(), *tables.coverage_by_level()]
    if comparison.by_series:
        blocks += [Text("h2", "The series"), *map(_paragraph, comparison.left_out)]
        blocks += [Text("p", BY_SERIES), *SeriesTables(tables).all()]
    if figures:
        blocks += [Text("h2", "Figures"), *figures]
    if comparison.breakdowns:
        blocks += [Text("h2", "Where the errors are"), *tables.breakdowns()]
    if comparison.worst:
        blocks += [Text("h2", "The worst misses"), *tables.largest_errors()]
    if comparison.years:
        blocks += [Text("h2", "Other test years"), tables.years()]
        for year, result in comparison.years.items():
            blocks.append(tables.tests(f"Test hours of {year}", result.tests))
    blocks += [Text("h2", "Protocol"), *(Text("p", note) for note in comparison.protocol_notes)]
    return blocks + [tables.protocol(), Text("pre", shlex.join(comparison.command))]


def summary_markdown(comparison: Comparison) -> str:
    """The verdict, the errors, the tests and the finalists, as Markdown."""
    tables = ComparisonTables(comparison)
    blocks: list[Block] = [Text("p", comparison.verdict)]
    if comparison.data.simulated:
        blocks.append(Text("aside", SIMULATED))
    blocks += [tables.models(), tables.tests("Test hours", comparison.tests), Text("p", TESTS)]
    if comparison.by_series:
        blocks += [*map(_paragraph, comparison.left_out), *SeriesTables(tables).all()]
    return to_markdown([*blocks, tables.configurations()])


def _paragraph(text: str) -> Text:
    return Text("p", text)
