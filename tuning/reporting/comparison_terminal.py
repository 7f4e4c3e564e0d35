"""A comparison's answer on the terminal."""

import shlex
from typing import Literal

from rich.console import Console
from rich.table import Table as RichTable

from tuning.comparison.result import Comparison
from tuning.reporting.comparison_tables import ComparisonTables
from tuning.study.storage import StoragePath


def print_comparison(comparison: Comparison, folder: StoragePath, console: Console) -> None:
    """The models beside the baselines, the verdict, and where the report is."""
    content = ComparisonTables(comparison, narrow=True).models()
    table = RichTable(title=f"{folder.name}: the test hours", title_justify="left")
    for number, heading in enumerate(content.headings):
        justify: Literal["left", "right"] = "left" if number < content.text_columns else "right"
        # Of several lead times names are short, and headings of numbers can be broken.
        whole = number == 0 and content.text_columns > 1
        table.add_column(heading, justify=justify, overflow="fold", no_wrap=whole)
    for row in content.rows:
        table.add_row(*row)
    console.print(table)
    console.print(comparison.verdict)
    for sentence in comparison.left_out:
        console.print(sentence)
    report = shlex.quote(str(folder / "report.html"))
    console.print(f"Report        {report}", soft_wrap=True)
