"""The commands' standard output."""

import sys
from typing import Any

from rich.console import Console

from lstm_model.command import redirect_to_devnull
from tuning.reporting.notebook import HEIGHT, WIDTH, is_notebook


class Terminal(Console):
    """A console that falls silent where nobody reads any more: a study goes on without one.

    What it prints has names of the user's in it, so a `[` is a `[`.
    """

    def __init__(self, **options: Any) -> None:
        # In a notebook lines are lines: rich would make a block of HTML of each, or, since kernels
        # set FORCE_COLOR, take the cell for a terminal.
        cell: dict[str, Any] = {"force_terminal": False, "width": WIDTH, "height": HEIGHT}
        options = (cell if is_notebook() else {}) | options
        super().__init__(markup=False, force_jupyter=False, **options)

    def __exit__(self, *error: Any) -> None:
        # Rich writes at the end of its outermost `with console`, which each of its methods has.
        try:
            super().__exit__(*error)
        except OSError:
            self.on_broken_pipe()

    def on_broken_pipe(self) -> None:
        self.quiet = True
        redirect_to_devnull(sys.stdout)
