"""A notebook's kernel, as Jupyter starts it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook


def run_cells(sources: Sequence[str], folder: Path) -> list[Any]:
    """Run code cells one after the other in one kernel; the cells with their outputs.

    Raises:
        CellExecutionError: a cell raised.
    """
    book = new_notebook(cells=[new_code_cell(source) for source in sources])
    run_notebook(book, folder)
    return list(book.cells)


def run_notebook(book: Any, folder: Path) -> None:
    """Fill in the outputs, in a working directory."""
    NotebookClient(book, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
