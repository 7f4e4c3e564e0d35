"""Reports as their readers see them."""

import base64
from html.parser import HTMLParser

from markdown_it import MarkdownIt

Cells = list[list[str]]


class Page(HTMLParser):
    """report.html as a browser reads it; every tag must be closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.tables: list[Cells] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "img"):
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data

    def images(self) -> list[bytes]:
        sources = [value or "" for name, value in self.attributes if name == "src"]
        start = "data:image/png;base64,"
        assert all(source.startswith(start) for source in sources)
        return [base64.b64decode(source[len(start) :], validate=True) for source in sources]


def read(markdown: str) -> Page:
    """report.md as a reader of Markdown, which rich brings, turns it into a page."""
    return Page(MarkdownIt("commonmark", {"xhtmlOut": False}).enable("table").render(markdown))


def table(tables: list[Cells], *headings: str) -> Cells:
    """The one table that begins with these headings."""
    (found,) = (each for each in tables if each[0][: len(headings)] == [*headings])
    return found[1:]
