import base64
import re
import shlex
from collections.abc import Callable
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt
from matplotlib.figure import Figure
from PIL import Image

from lstm_model.arrays import Float64Array
from lstm_model.evaluation.baselines import PERSISTENCE
from lstm_model.inference.predictor import TrainedForecaster
from tuning.compare import conclude
from tuning.comparison.backtest import ForecastErrors
from tuning.comparison.pipeline import coverage
from tuning.reporting.comparison_report import ReportFigure, models_table, write_report
from tuning.reporting.terminal import Terminal

Cells = list[list[str]]
HOSTILE = "<script>alert(1)</script> a|b *x* _y_ `z` [u](http://v) \\| &lt; ${body}"


def by_lead(leads: list[int], first: float, rise: float) -> dict[str, float]:
    return {str(lead): first + rise * (lead - 1) for lead in leads}


def made_up(lead_times: int = 1, *, model: str = "multivariate", **data: Any) -> dict[str, Any]:
    """A comparison of two models whose numbers can all be told apart."""
    leads = list(range(1, lead_times + 1))

    def scores(rmse: float, skill: float, seeds: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = {
            "rmse": by_lead(leads, rmse, 1),
            "mae": by_lead(leads, rmse / 2, 1),
            "skill": by_lead(leads, skill, 0.01),
        }
        if seeds:
            spread = {key: [value, value + 3] for key, value in found["rmse"].items()}
            found |= {"seeds": seeds, "rmse_by_seed": spread}
        return found

    def finalist(trial: int, rmse: float, features: list[str], **config: Any) -> dict[str, Any]:
        seeds = [(1, 17, rmse + 0.1, 12.4), (2, 15, rmse + 0.5, 12.8)]
        keys = ("seed", "epoch", "rmse", "mae")
        return {
            "trial": trial,
            "epochs": 16,
            "features": features,
            "calendar": [],
            "config": {"hidden_size": 64, "learning_rate": 0.0123456, **config},
            "validation": {"rmse": rmse, "mae": 12.3, "skill": 0.081},
            "by_seed": [dict(zip(keys, seed, strict=True)) for seed in seeds],
            "candidates": [],
        }

    def tests(year: str) -> list[dict[str, Any]]:
        return [
            {
                "a": model,
                "b": "univariate",
                "metric": metric,
                "lead_time": lead,
                "difference": -0.7125,
                "ci95": [-1.0, 0.00001],
                "dm_statistic": -4.256,
                "p_value_bootstrap": 0.0005,
                "p_value_bootstrap_holm": 0.00251,
                "p_value": 0.00003,
                "p_value_holm": 0.99996 if year else 0.5,
            }
            for metric in ("rmse", "mae")
            for lead in leads
        ]

    def coverage(model: str, shift: float) -> list[dict[str, Any]]:
        return [
            {
                "model": model,
                "claim": claim,
                "lead_time": lead,
                "forecast_level": level,
                "rows": rows,
                "covered": claim + shift - 0.001 * lead,
                "mean_width": 100 * claim + lead,
            }
            for claim in (0.8, 0.95)
            for lead in leads
            for level, rows in (("all", 8662 - lead), ("below 35", 3000), ("250 and more", 8))
            if level == "all" or lead in (1, lead_times)
        ]

    return {
        "name": "air",
        "verdict": "Eight features forecast better than one.",
        "data": {"source": "beijing", "simulated": False, "sha256": "ab12", **data},
        "target": "pm2.5",
        "unit": "ug/m3",
        "step": "1 h",
        "folds": 1,
        "train_from": "2010-01-01 00:00",
        "validation_from": "2013-01-01 00:00",
        "test_from": "2014-01-01",
        "test_until": "2014-12-31 23:00",
        "lead_times": leads,
        "rows": {str(lead): 8662 - lead for lead in leads},
        "models": {
            model: scores(20.904, 0.0553, seeds=2),
            "univariate": scores(21.616, 0.0231, seeds=2),
            "persistence": scores(22.127, 0.0),
            "same_hour_yesterday": scores(71.2, -2.218),
            "ridge_univariate": scores(21.8, float("-inf")),
        },
        "tests": tests(""),
        "finalists": {
            model: finalist(19, 22.929, ["pm2.5", "TEMP"], dropout=0.2),
            "univariate": finalist(7, 23.568, ["pm2.5"]),
        },
        "studies": {
            model: {
                "folder": "runs/air-multivariate",
                "trials": {"finished": 8, "stopped_early": 12, "failed": 0},
                "importances": None,
            }
        },
        "settings": {"trials": 50, "sampler": "tpe"},
        "coverage": coverage(model, 0.01) + coverage("univariate", -0.02),
        "breakdowns": [
            {
                "by": by,
                "lead_time": 1,
                "group": group,
                "rows": 1700,
                "rmse": {model: 31.25, "persistence": None},
            }
            for by, group in (("month", "1"), ("month", "2"), ("cbwd", "NW"))
        ],
        "worst": [
            {
                "model": model,
                "lead_time": 1,
                "time": f"2014-02-{day:02d} 05:00",
                "observed": 1600.0,
                "forecast": 250.5,
                "error": -1349.5,
            }
            for day in range(1, 11)
        ],
        "years": {
            "2012": {
                "rows": {str(lead): 8001 for lead in leads},
                "rmse": {model: by_lead(leads, 25.111, 1)},
                "tests": tests("2012"),
            }
        },
        "protocol_notes": ["The test hours were read once.", "- not a list"],
        "versions": {"python": "3.11", "torch": "2.13.0"},
        "command": ["python", "-m", "tuning.compare", "--name", "two words"],
        "created": "2026-11-24",
    }


def figure(name: str = "bars") -> ReportFigure:
    drawn = Figure((2, 1))
    drawn.subplots().bar([0], [1])
    return ReportFigure(name, f"What {name} show.", drawn)


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


Written = Callable[..., tuple[str, Page]]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """report.md, and report.html parsed."""

    def write(comparison: dict[str, Any], *figures: ReportFigure) -> tuple[str, Page]:
        write_report(tmp_path / "air", comparison, figures)
        markdown = (tmp_path / "air" / "report.md").read_text()
        return markdown, Page((tmp_path / "air" / "report.html").read_text())

    return write


def table(tables: list[Cells], *headings: str) -> Cells:
    """The one table that begins with these headings."""
    (found,) = (each for each in tables if each[0][: len(headings)] == [*headings])
    return found[1:]


def test_the_models_beside_the_baselines() -> None:
    shown = models_table(made_up())
    assert shown.title == "Test hours, 1 h ahead"
    assert shown.headings == ("model", "RMSE (ug/m3)", "MAE (ug/m3)", "skill")
    assert shown.rows == (
        ("multivariate (LSTM, mean of 2 seeds)", "20.90", "10.45", "5.5%"),
        ("univariate (LSTM, mean of 2 seeds)", "21.62", "10.81", "2.3%"),
        ("persistence", "22.13", "11.06", "0.0%"),
        ("same hour yesterday", "71.20", "35.60", "-221.8%"),
        ("ridge univariate", "21.80", "10.90", "-"),
    )
    assert shown.text_columns == 1


@pytest.mark.parametrize(
    ("lead_times", "shown"),
    [(2, [1, 2]), (4, [1, 2, 3, 4]), (7, [1, 3, 6, 7]), (24, [1, 3, 6, 12, 24]), (30, [24, 30])],
)
def test_of_many_lead_times_some_are_shown_and_the_last(lead_times: int, shown: list[int]) -> None:
    found = models_table(made_up(lead_times))
    named = [f"{lead} h" for lead in shown]
    assert found.headings[:2] == ("model", "measure")
    assert [*found.headings[2:-1]][-len(named) :] == named
    assert found.headings[-1] == f"mean of all {lead_times}"
    assert found.text_columns == 2
    first = dict(zip(found.headings, found.rows[0], strict=True))
    assert first["measure"] == "RMSE (ug/m3)"
    assert first[named[-1]] == f"{20.904 + lead_times - 1:.2f}"
    assert first[found.headings[-1]] == f"{20.904 + (lead_times - 1) / 2:.2f}"


@pytest.mark.parametrize("lead_times", [1, 2, 24])
def test_a_terminal_of_80_columns_shows_names_and_numbers_whole(
    lead_times: int, capsys: pytest.CaptureFixture[str]
) -> None:
    comparison = made_up(lead_times) | {"step": "30 min"}
    comparison["models"]["lightgbm_multivariate"] = comparison["models"]["persistence"]
    found = models_table(comparison, narrow=True)
    if lead_times > 1:
        last = f"{lead_times} steps of 30 min"
        assert found.headings[2:] == ("1 step of 30 min", last, f"mean of all {lead_times}")
    conclude(SimpleNamespace(comparison=comparison), Path("air"), Terminal(width=80))  # type: ignore[arg-type]
    lines = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]
    # A measure may be broken into two lines.
    first = found.text_columns
    rows = [(row[0], *row[first:]) for row in cells if row[0]]
    assert rows == [(row[0], *row[first:]) for row in found.rows]


@pytest.mark.parametrize(
    ("rmse", "text"), [(0.0123449, "0.01234"), (9.8761, "9.876"), (12345.6, "12,346")]
)
def test_errors_have_four_digits_at_any_scale(rmse: float, text: str) -> None:
    comparison = made_up()
    one = {"rmse": {"1": rmse}, "mae": {"1": rmse}, "skill": {"1": 0.0}}
    comparison["models"] = {"persistence": one}
    assert models_table(comparison).rows == (("persistence", text, text, "0.0%"),)


@pytest.mark.parametrize("lead_times", [1, 24])
def test_both_forms_have_the_same_tables(written: Written, lead_times: int) -> None:
    comparison = made_up(lead_times)
    markdown, page = written(comparison, figure())
    tables = read(markdown).tables
    assert len(tables) == (13 if lead_times == 1 else 14)
    assert tables == page.tables
    assert tables[0] == [
        [*models_table(comparison).headings],
        *map(list, models_table(comparison).rows),
    ]
    assert all(len({len(row) for row in each}) == 1 for each in tables)


def test_the_numbers_are_the_comparison_s(written: Written) -> None:
    markdown, _ = written(made_up())
    tables = read(markdown).tables
    tests = [each for each in tables if each[0][0] == "models"]
    row = ["multivariate minus univariate", "RMSE", "1 h", "-0.713", "-1.000 to 0.000"]
    assert tests[0][1] == [*row, "0.0005", "0.0025", "-4.26", "< 0.0001", "0.5000"]
    assert tests[0][2][1] == "MAE"
    assert tests[1][1][-1] == "1.0000"
    assert table(tables, "", "multivariate") == [
        ["trial", "19", "7"],
        ["epochs", "16", "16"],
        ["hidden_size", "64", "64"],
        ["learning_rate", "0.0123", "0.0123"],
        ["dropout", "0.2", "-"],
        ["features", "pm2.5, TEMP", "pm2.5"],
        ["calendar", "none", "none"],
    ]
    assert table(tables, "model", "trained with")[:6] == [
        ["multivariate", "seed 1", "17", "23.03", "12.40", ""],
        ["multivariate", "seed 2", "15", "23.43", "12.80", ""],
        ["multivariate", "mean of the seeds", "", "23.23", "12.60", ""],
        ["multivariate", "lowest of the seeds", "", "23.03", "12.40", ""],
        ["multivariate", "highest of the seeds", "", "23.43", "12.80", ""],
        ["multivariate", "their mean forecast", "", "22.93", "12.30", "8.1%"],
    ]
    seeds = ["multivariate", "1 h", "20.90", "22.40", "20.90", "23.90"]
    assert table(tables, "model", "ahead", "mean forecast")[0] == seeds
    assert table(tables, "month") == [[n, "1,700", "31.25", "-"] for n in "12"]
    assert table(tables, "cbwd") == [["NW", "1,700", "31.25", "-"]]
    misses = table(tables, "time")
    assert misses[9] == ["2014-02-10 05:00", "1,600.00", "250.50", "-1,349.50"]
    assert table(tables, "year") == [
        ["2012", "rows scored", "8,001"],
        ["2012", "multivariate", "25.11"],
    ]
    facts = dict(table(tables, "what", "value"))
    assert facts["data"] == "beijing, SHA-256 ab12"
    assert facts["rows scored"] == "8,661 at 1 h"
    assert facts["trials of multivariate"] == (
        "finished 8, stopped early 12, failed 0, in runs/air-multivariate"
    )
    assert "\n    python -m tuning.compare --name 'two words'\n" in markdown


def test_what_the_intervals_held_is_told_by_lead_time_and_by_level(written: Written) -> None:
    markdown, _ = written(made_up(24))
    tables = read(markdown).tables
    rows = table(tables, "model", "ahead", "rows")
    # Every lead time of both models, the claims side by side.
    assert [row[:2] for row in rows] == [
        [model, f"{lead} h"] for model in ("multivariate", "univariate") for lead in range(1, 25)
    ]
    assert rows[2] == ["multivariate", "3 h", "8,659", "80.7%", "83.00", "95.7%", "98.00"]
    assert rows[47] == ["univariate", "24 h", "8,638", "75.6%", "104.00", "90.6%", "119.00"]
    of_level = [each for each in tables if each[0][:3] == ["model", "level", "rows"]]
    width = "mean width (ug/m3)"
    for one, shares, widths in zip(
        of_level,
        [("80.9%", "95.9%"), ("78.6%", "93.6%")],
        [("81.00", "96.00"), ("104.00", "119.00")],
        strict=True,
    ):
        assert one[0][3:] == ["in 80%", width, "in 95%", width]
        cells = [cell for pair in zip(shares, widths, strict=True) for cell in pair]
        assert one[1:3] == [
            ["multivariate", "below 35", "3,000", *cells],
            ["multivariate", "250 and more", "8", *cells],
        ]
        assert [row[0] for row in one[3:]] == ["univariate"] * 2
    for ahead in ("1 h", "24 h"):
        assert f"By the forecast's level (ug/m3), {ahead} ahead" in markdown


def test_the_shares_are_counted_from_the_test_s_hours(written: Written) -> None:
    """From errors to the report, with numbers that can be counted by hand."""
    # 20 hours, the last not observed. Ten forecasts of 10 and ten of 100.
    forecast = np.repeat([10.0, 100.0], 10)
    errors = np.array([*range(10), *range(0, 100, 10)], dtype=np.float64)
    errors[-1] = np.nan
    period = ForecastErrors(
        times=pd.date_range("2020-01-01", periods=20, freq="h"),
        observed=forecast - errors,
        errors=dict.fromkeys(("multivariate", PERSISTENCE), errors[None, :, None]),
        origins=np.arange(20)[:, None],
        levels=np.zeros((20, 1)),
        floors=np.full((20, 1), -np.inf),
    )

    class Known:
        """A model whose bounds are 5.5 and 15.5 from its forecast, to either side."""

        intervals = "known"

        def bounds(
            self, forecasts: Float64Array, floor: Float64Array
        ) -> dict[float, tuple[Float64Array, Float64Array]]:
            return {c: (forecasts - w, forecasts + w) for c, w in ((0.8, 5.5), (0.95, 15.5))}

    comparison = made_up()
    model = cast(TrainedForecaster, Known())
    comparison["coverage"] = coverage(period, "multivariate", model, [50.0])
    _, page = written(comparison)
    # Low: errors 0 to 5 of 0 to 9 lie within 5.5, all within 15.5. High: 0 of 0, 10, ... 80 and the
    # one not observed; 0 and 10. So 7 and 12 of 19.
    assert table(page.tables, "model", "ahead", "rows") == [
        ["multivariate", "1 h", "19", "36.8%", "11.00", "63.2%", "31.00"]
    ]
    assert table(page.tables, "model", "level") == [
        ["multivariate", "below 50", "10", "60.0%", "11.00", "100.0%", "31.00"],
        ["multivariate", "50 and more", "9", "11.1%", "11.00", "22.2%", "31.00"],
    ]


def test_it_opens_with_the_verdict(written: Written) -> None:
    markdown, page = written(made_up(simulated=True))
    assert markdown.startswith("# air\n\nEight features forecast better than one.\n\n> **SIMULATED")
    body = "".join(page.text).split("</style>")[-1]
    order = [body.index(each) for each in ("Eight features", "SIMULATED", "persistence")]
    assert order == sorted(order)


@pytest.mark.parametrize("simulated", [True, False])
def test_simulated_data_are_labelled_and_no_others(written: Written, simulated: bool) -> None:
    markdown, page = written(made_up(simulated=simulated, warning="no network"))
    assert ("SIMULATED" in markdown) is simulated
    assert ("SIMULATED" in "".join(page.text)) is simulated
    assert page.tags.count("aside") == 1 + simulated
    assert "> **Warning: no network**" in markdown


def test_what_is_doubted_of_the_table_stands_before_the_figures(written: Written) -> None:
    doubt, repair = "load is -200 in 321 rows", "rain: 16,992 cells without a value read as 0"
    markdown, page = written(made_up(doubts=[doubt], repairs=[repair]))
    assert f"> **Look at the table: {doubt}**" in markdown.split("## ")[0]
    assert page.tags.count("aside") == 1
    assert f"| cells | {repair} |" in markdown


def test_the_page_is_one_file_that_loads_nothing(written: Written, tmp_path: Path) -> None:
    markdown, page = written(made_up(), figure("bars"), figure("more_bars"))
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


def test_what_comes_from_outside_is_text_and_never_markup(written: Written) -> None:
    comparison = made_up(model=HOSTILE, warning=HOSTILE, source=HOSTILE)
    comparison |= {"name": HOSTILE, "verdict": HOSTILE, "target": HOSTILE, "unit": "a|b"}
    comparison["finalists"][HOSTILE]["config"] = {HOSTILE: HOSTILE}
    comparison["breakdowns"][0] |= {"by": HOSTILE, "group": HOSTILE}
    for one in comparison["coverage"]:
        one["forecast_level"] = one["forecast_level"].replace("below 35", HOSTILE)
    comparison["protocol_notes"] = [HOSTILE, "# no heading", "1. no list", "one\n\n- note"]
    comparison["command"] = ["python", "```\n</pre>", HOSTILE]
    markdown, page = written(comparison, figure())
    again = read(markdown)
    # Not one kind of tag, attribute or heading that a report without any of it lacks.
    harmless, harmless_page = written(made_up(warning="x"), figure())
    assert set(page.tags) == set(harmless_page.tags)
    assert {name for name, _ in page.attributes} == {name for name, _ in harmless_page.attributes}
    assert set(again.tags) == set(read(harmless).tags)
    for one in (page, again):
        assert one.tags.count("h1") == 1
        assert one.tags.count("h2") == harmless_page.tags.count("h2")
        paragraphs = "".join(one.text).split("\n")
        assert paragraphs.count(HOSTILE) >= 3  # the name, the verdict and a note
        assert {"# no heading", "1. no list"} <= set(paragraphs)
        assert "one - note" in " ".join("".join(one.text).split())
        assert shlex.join(comparison["command"]) in "".join(one.text)
    assert again.tables == page.tables
    assert table(page.tables, "", HOSTILE)[2][:2] == [HOSTILE, HOSTILE]
    assert table(page.tables, HOSTILE)[0][0] == HOSTILE


def test_a_figure_s_name_is_the_stem_of_a_file() -> None:
    with pytest.raises(ValueError, match=r"must be the stem of a file, but got '\.\./x'"):
        ReportFigure("../x", "", Figure())


def test_what_a_comparison_lacks_has_no_heading(written: Written) -> None:
    bare = made_up() | {"breakdowns": [], "worst": [], "years": {}, "coverage": [], "unit": ""}
    markdown, page = written(bare)
    for heading in ("## Figures", "## Did", "## Where", "## The worst", "## Other test years"):
        assert heading not in markdown
    assert "img" not in page.tags
    assert page.tables[0][0] == ["model", "RMSE", "MAE", "skill"]
