"""The same blocks as Markdown and as a page, whatever stands in them."""

import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

from tests.tuning.comparison.builders import make_comparison
from tests.tuning.reporting.pages import Page, read, table
from tuning.reporting.comparison_tables import ComparisonTables
from tuning.reporting.render import ReportFigure

Written = Callable[..., tuple[str, Page]]
HOSTILE = "<script>alert(1)</script> a|b *x* _y_ `z` [u](http://v) \\| &lt; ${body}"


def figure(name: str = "bars") -> ReportFigure:
    drawn = Figure((2, 1))
    drawn.subplots().bar([0], [1])
    return ReportFigure(name, f"What {name} show.", drawn)


@pytest.mark.parametrize("lead_times", [1, 24])
def test_both_forms_have_the_same_tables(written: Written, lead_times: int) -> None:
    comparison = make_comparison(lead_times)
    markdown, page = written(comparison, figure())
    tables = read(markdown).tables
    assert len(tables) == (13 if lead_times == 1 else 14)
    assert tables == page.tables
    assert tables[0] == [
        [*ComparisonTables(comparison).models().headings],
        *map(list, ComparisonTables(comparison).models().rows),
    ]
    assert all(len({len(row) for row in each}) == 1 for each in tables)


def test_the_page_is_one_file_that_loads_nothing(written: Written, tmp_path: Path) -> None:
    markdown, page = written(make_comparison(), figure("bars"), figure("more_bars"))
    text = (tmp_path / "air" / "report.html").read_text()
    assert not {"script", "link", "iframe", "object", "base"} & set(page.tags)
    assert {name for name, _ in page.attributes if name in ("src", "href", "srcset")} == {"src"}
    assert not re.search(r"url\(|@import|https?:", text)
    assert "default-src 'none'" in text
    images = page.images()
    assert len(images) == 2
    assert re.findall(r"!\[What (\w+) show.\]\((.*)\)", markdown.replace("\\", "")) == [
        ("bars", "figures/bars.png"),
        ("more_bars", "figures/more_bars.png"),
    ]
    for name, embedded in zip(("bars", "more_bars"), images, strict=True):
        assert (tmp_path / "air" / "figures" / f"{name}.png").read_bytes() == embedded
        with Image.open(BytesIO(embedded)) as image:
            image.verify()
            assert image.format == "PNG"


def test_hostile_names_are_text_and_never_markup(written: Written) -> None:
    plain = make_comparison(model=HOSTILE, warning=HOSTILE, source=HOSTILE)
    finalist = replace(plain.finalists[HOSTILE], config={HOSTILE: HOSTILE})
    comparison = replace(
        plain,
        verdict=HOSTILE,
        target=HOSTILE,
        unit="a|b",
        finalists={**plain.finalists, HOSTILE: finalist},
        breakdowns=[
            replace(plain.breakdowns[0], by=HOSTILE, group=HOSTILE),
            *plain.breakdowns[1:],
        ],
        coverage=[
            replace(each, forecast_level=each.forecast_level.replace("below 35", HOSTILE))
            for each in plain.coverage
        ],
        protocol_notes=[HOSTILE, "# no heading", "1. no list", "one\n\n- note"],
        command=["python", "```\n</pre>", HOSTILE],
    )
    name = HOSTILE.replace("/", "|")  # which no folder's name can have
    markdown, page = written(comparison, figure(), name=name)
    again = read(markdown)
    # Not one kind of tag, attribute or heading that a report without any of it lacks.
    harmless, harmless_page = written(make_comparison(warning="x"), figure())
    assert set(page.tags) == set(harmless_page.tags)
    assert {name for name, _ in page.attributes} == {name for name, _ in harmless_page.attributes}
    assert set(again.tags) == set(read(harmless).tags)
    for one in (page, again):
        assert one.tags.count("h1") == 1
        assert one.tags.count("h2") == harmless_page.tags.count("h2")
        paragraphs = "".join(one.text).split("\n")
        assert paragraphs.count(HOSTILE) >= 2  # the verdict and a note
        assert paragraphs.count(name) >= 1
        assert {"# no heading", "1. no list"} <= set(paragraphs)
        assert "one - note" in " ".join("".join(one.text).split())
        assert shlex.join(comparison.command) in "".join(one.text)
    assert again.tables == page.tables
    assert table(page.tables, "", HOSTILE)[2][:2] == [HOSTILE, HOSTILE]
    assert table(page.tables, HOSTILE)[0][0] == HOSTILE


def test_figure_name_must_be_the_stem_of_a_file() -> None:
    with pytest.raises(ValueError, match=r"must be the stem of a file, but got '\.\./x'"):
        ReportFigure("../x", "", Figure())
