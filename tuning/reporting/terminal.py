"""The commands' standard output."""

import sys
from typing import Any

from rich.console import Console

from lstm_model.command import redirect_to_devnull


class Terminal(Console):
    """A console that falls silent where nobody reads any more: a study goes on without one.

    What it prints has names of the user's in it, so a `[` is a `[`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, **options)

    def __exit__(self, *error: Any) -> None:
        # Rich writes at the end of its outermost `with console`, which each of its methods has.
        try:
            super().__exit__(*error)
        except OSError:
            self.on_broken_pipe()

    def on_broken_pipe(self) -> None:
        self.quiet = True
        redirect_to_devnull(sys.stdout)
