"""A report's blocks as Markdown, and as one HTML page by the template report.html.j2."""

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

MARKDOWN_TEMPLATES = {"h1": "# {}", "h2": "## {}", "p": "{}", "aside": "> **{}**"}


@dataclass(frozen=True)
class Text:
    """Text for HTML's tag of that name; an aside is what nobody may overlook."""

    tag: Literal["h1", "h2", "p", "aside", "pre"]
    text: str


@dataclass(frozen=True)
class ReportTable:
    """Cells as they are read; the first `text_columns` hold words, the others numbers."""

    title: str
    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    text_columns: int = 1


@dataclass(frozen=True)
class ReportFigure:
    """A figure and the stem of its file."""

    name: str
    caption: str
    figure: Figure

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w[\w.-]*", self.name):
            raise ValueError(f"a figure's name must be the stem of a file, but got {self.name!r}")


Block = Text | ReportTable | ReportFigure


def to_markdown(blocks: Iterable[Block]) -> str:
    """The blocks as Markdown; figures are files beside it, figures/NAME.png."""
    parts = []
    for block in blocks:
        match block:
            case Text("pre", text):
                parts.append("\n".join(f"    {line}" for line in text.splitlines()))
            case Text(tag, text):
                parts.append(MARKDOWN_TEMPLATES[tag].format(_escape_markdown(text)))
            case ReportFigure(name, caption):
                escaped = _escape_markdown(caption)
                parts.append(f"![{escaped}](figures/{name}.png)\n\n{escaped}")
            case ReportTable(title, headings, rows, text_columns):
                rule = ["---"] * text_columns + ["---:"] * (len(headings) - text_columns)
                cells = [
                    [_escape_markdown(cell, True) for cell in row] for row in (headings, *rows)
                ]
                lines = [f"| {' | '.join(line)} |" for line in (cells[0], rule, *cells[1:])]
                parts += [f"**{_escape_markdown(title)}**"] * bool(title) + ["\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def _escape_markdown(text: str, inside_a_line: bool = False) -> str:
    """One line of Markdown that reads as `text`, inside a line or at its start."""
    escaped = re.sub(r"([\\`*\[\]<>|&~#$])", r"\\\1", " ".join(text.split()))
    escaped = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", escaped)  # inside a word it is plain
    return escaped if inside_a_line else re.sub(r"^(\d*)([-+=.)])", r"\1\\\2", escaped)


def to_html(title: str, blocks: Iterable[Block], pngs: Mapping[str, bytes]) -> str:
    """One file that loads nothing; the policy in its head would forbid it as well.

    Args:
        pngs: of each figure, by its name.
    """
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    images = {name: b64encode(png).decode() for name, png in pngs.items()}
    page = templates.get_template("report.html.j2")
    return page.render(title=title, blocks=list(blocks), images=images)
