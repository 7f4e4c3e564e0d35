"""What is drawn in a terminal, drawn in a notebook's cell."""

import io
import sys
from typing import Any

from rich.console import Console
from rich.live import Live

# Columns and lines: a cell is wider than a terminal, and has no end below.
WIDTH, HEIGHT = 110, 40
PAGE = '<pre style="line-height: 1.25; font-family: monospace">{code}</pre>'


def is_notebook() -> bool:
    """Whether this process is a notebook's kernel, and so has cells to draw in."""
    if "IPython" not in sys.modules:
        return False
    from IPython.core.getipython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None  # a shell in a terminal has none


class CellLive(Live):
    """Rich's live view as HTML in the output of the cell that starts it.

    Rich itself draws with ipywidgets, which has to be installed, and leaves nothing in a notebook
    that is saved.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._cell: Any = None

    def refresh(self) -> None:
        from IPython.display import HTML, display

        page = Console(
            record=True,
            file=io.StringIO(),
            width=WIDTH,
            height=HEIGHT,
            force_jupyter=False,
            force_terminal=False,
        )
        page.print(self.get_renderable())
        html = HTML(  # type: ignore[no-untyped-call]
            page.export_html(inline_styles=True, code_format=PAGE)
        )
        if self._cell is None:
            self._cell = display(html, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._cell.update(html)
