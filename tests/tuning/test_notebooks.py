"""Studies in a notebook: the examples in a real kernel, progress in the cell, and an interrupt."""

import queue
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel

from tests.tuning.kernel import run_notebook

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.ipynb"))
LARGEST = 400_000  # bytes of a notebook with its figures

STUDY = """
import tuning
study = tuning.run_study({file!r}, name={name!r}, trials={trials}, max_epochs=2)
print(study.state)
"""


def kinds(book: Any) -> list[set[str]]:
    """What each cell shows, by kind."""
    return [
        {kind for output in cell.get("outputs", ()) for kind in _kinds(output)}
        for cell in book.cells
    ]


def _kinds(output: Any) -> list[str]:
    return [output.name] if output.output_type == "stream" else list(output.data)


@pytest.mark.slow
@pytest.mark.parametrize(
    "example",
    [  # the one with real air at night: it takes a minute
        pytest.param(path, marks=pytest.mark.nightly if path.stem == "beijing" else ())
        for path in EXAMPLES
    ],
    ids=lambda path: path.stem,
)
def test_examples(example: Path, tmp_path: Path) -> None:
    """They run, and show what is kept in them: figures, tables and lines, but no warning."""
    kept = nbformat.read(example, as_version=4)
    fresh = nbformat.from_dict(kept)
    for cell in fresh.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    run_notebook(fresh, tmp_path)
    shown = kinds(kept)
    assert kinds(fresh) == shown
    assert any("image/png" in each for each in shown)
    assert not any("stderr" in each for each in shown)
    assert example.stat().st_size < LARGEST


def test_examples_are_three() -> None:
    assert [path.stem for path in EXAMPLES] == ["beijing", "forecast", "own_table"]


class Kernel:
    """One kernel, and what it says of the cell that runs."""

    def __init__(self, folder: Path) -> None:
        self.manager, self.client = start_new_kernel(cwd=str(folder))
        self.shown: list[str] = []  # each page of HTML
        self.text = ""
        self._cell = ""

    def run(self, source: str, until: Callable[[], bool] = bool) -> str | None:
        """Run a cell to its end, or until something holds; its status where it ended."""
        self.shown, self.text = [], ""
        self._cell = self.client.execute(source)
        return self.wait(until)

    def wait(self, until: Callable[[], bool] = bool) -> str | None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if until():
                return None
            try:
                message = self.client.get_iopub_msg(timeout=1)
            except queue.Empty:
                continue
            if message["parent_header"].get("msg_id") != self._cell:
                continue
            content = message["content"]
            if message["msg_type"] in ("display_data", "update_display_data"):
                self.shown.append(content["data"]["text/html"])
            elif message["msg_type"] == "stream":
                self.text += content["text"]
            elif message["msg_type"] == "error":
                self.text += "\n".join(content["traceback"])
            elif content.get("execution_state") == "idle":
                return str(self.client.get_shell_msg(timeout=10)["content"]["status"])
        raise TimeoutError(f"the cell goes on: {self.text}")

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


def test_a_cell_shows_progress_and_can_be_interrupted(
    space: Callable[..., Path], tmp_path: Path
) -> None:
    """The study ends in order, and the kernel goes on with the next one."""
    file, kernel = str(space(trials=2, max_epochs=2)), Kernel(tmp_path)
    try:
        endless = STUDY.format(file=file, name="endless", trials=5000)
        kernel.run(endless, lambda: any("best at" in page for page in kernel.shown))
        assert "of 5000 trials done" in kernel.shown[-1]
        kernel.manager.interrupt_kernel()
        assert kernel.wait() == "ok", kernel.text
        assert "\ninterrupted\n" in kernel.text  # what stderr had may come after it
        assert "Traceback" not in kernel.text
        assert kernel.run(STUDY.format(file=file, name="second", trials=2)) == "ok", kernel.text
        assert "\nfinished\n" in kernel.text
        assert "2 of 2 trials done" in kernel.shown[-1]
        assert "\x1b" not in kernel.text + kernel.shown[-1], "no terminal's codes"
    finally:
        kernel.close()
