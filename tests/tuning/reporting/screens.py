"""Terminals to write to, and trials to be seen there."""

import io
import re
from pathlib import Path
from typing import Any

from tests.builders import epoch_report
from tuning.reporting.terminal import Terminal
from tuning.study.study import Study
from tuning.study.trial import State

ENVIRONMENT = {"TERM": "xterm-256color"}


def console(width: int, height: int = 24, **options: Any) -> Terminal:
    """A terminal that keeps what is written: see written()."""
    return Terminal(
        width=width,
        height=height,
        highlight=False,
        file=io.StringIO(),
        **{
            "force_terminal": True,
            "color_system": "standard",
            "_environ": ENVIRONMENT,
            **options,
        },
    )


def plain_console(**options: Any) -> Terminal:
    """A log file, say."""
    return console(80, force_terminal=False, color_system=None, **options)


def written(terminal: Terminal) -> str:
    assert isinstance(terminal.file, io.StringIO)
    return terminal.file.getvalue()


def start(study: Study, id: int, epochs: int = 0, against_ridge: float = 1.0) -> None:
    """A trial under way, its error a share of ridge's."""
    study.on_trial_start(
        id,
        {
            "hidden_size": 4 + id % 12,
            "num_layers": 1,
            "learning_rate": 0.012345,
            "loss": "mae",
            "context_length": 12,
            "chunk_length": 48,
        },
    )
    ridge = study.view.baselines.scores["ridge"].rmse
    for epoch in range(1, epochs + 1):
        study.on_epoch(id, epoch_report(epoch, against_ridge * ridge))


def end(
    study: Study,
    id: int,
    against_ridge: float = 1.0,
    state: State = "finished",
    reason: str | None = None,
) -> None:
    """A trial of thirty epochs, or of fifteen where it was cut short."""
    start(study, id, 30 if state == "finished" else 15, against_ridge)
    study.on_checkpoint(id, checkpoint(study, id))
    study.on_trial_end(id, state, reason)


def checkpoint(study: Study, id: int) -> Path:
    assert isinstance(study.folder, Path)
    folder = study.folder / "checkpoints" / "0" / str(id) / "checkpoint_000000"
    (folder / "best").mkdir(parents=True)
    (folder / "best" / "model.json").write_text("{}")
    return folder


class Screen:
    """As much of a terminal as rich needs. Any other control sequence is an error."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.lines: list[str] = [""]  # with those that have scrolled away
        self.row = self.column = 0
        self.cursor = True

    def feed(self, data: str) -> None:
        pattern = r"\x1b\[(\??)([0-9;]*)([A-Za-z])|[\r\n]|[^\x1b\r\n]+"
        assert re.sub(pattern, "", data) == ""
        for match in re.finditer(pattern, data):
            private, number, code = match.groups()
            if code is None:
                self._text(match[0])
            elif code == "A":
                top = max(0, len(self.lines) - self.height)
                self.row = max(top, self.row - int(number or 1))
            elif code == "K":
                assert number == "2"
                self.lines[self.row] = ""
            elif private:
                assert number == "25"
                self.cursor = code == "h"
            else:
                assert code == "m"

    def _text(self, text: str) -> None:
        if text == "\r":
            self.column = 0
        elif text == "\n":
            self.row += 1
            if self.row == len(self.lines):
                self.lines.append("")
        else:
            for letter in text:
                if self.column == self.width:
                    self._text("\r")
                    self._text("\n")
                line = self.lines[self.row].ljust(self.column)
                self.lines[self.row] = line[: self.column] + letter + line[self.column + 1 :]
                self.column += 1
