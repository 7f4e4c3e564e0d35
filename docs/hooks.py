"""What the site does to the pages, so that their links work on GitHub and there alike."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

# Files beside docs/ that are pages of the site.
BESIDE = {"README.md": "index.md", "CHANGELOG.md": "changelog.md"}
LINK = re.compile(r"\[([^\]]*)\]\(\.\./([^)#]*)(#[^)]*)?\)")


def on_config(config: MkDocsConfig) -> None:
    config.mdx_configs["toc"]["slugify"] = slugify


def slugify(heading: str, separator: str) -> str:
    """GitHub's anchor of a heading."""
    return re.sub(r"[^\w -]", "", heading).lower().replace(" ", separator)


def on_files(files: Files, config: MkDocsConfig) -> None:
    top = Path(config.docs_dir).parent
    for name, page in BESIDE.items():
        text = (top / name).read_text("utf-8").replace("](docs/", "](")
        files.append(File.generated(config, page, content=text))


def on_page_markdown(markdown: str, **_: object) -> str:
    """Links out of docs/ lead to the site's page of that file, or become their text."""

    def inside(link: re.Match[str]) -> str:
        text, file, anchor = link.groups(default="")
        return f"[{text}]({BESIDE[file]}{anchor})" if file in BESIDE else text

    return LINK.sub(inside, markdown)
