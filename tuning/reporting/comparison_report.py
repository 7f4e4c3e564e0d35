"""A comparison as report.md and report.html: one list of blocks, rendered twice."""

import math
import re
import shlex
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from statistics import fmean
from string import Template
from typing import Any, Literal

from matplotlib.figure import Figure

from lstm_model.figures.forecasts import label, png
from lstm_model.files import write_file
from lstm_model.wording import DIGITS
from tuning.comparison.verdict import error_format, lead_name
from tuning.study.storage import StoragePath
from tuning.wording import format_setting

LEAD_TIMES_SHOWN = (1, 3, 6, 12, 24)  # and the last, where there are more than four
SIMULATED = (
    "SIMULATED DATA: every number and figure below comes of made-up data and says nothing about "
    "real air."
)
TESTS = (
    "Where a difference is below zero, the first model errs less. The interval and the first p "
    "come of a bootstrap, DM is the test of Diebold and Mariano; each Holm is the p before it, "
    "corrected for all lead times of the same pair and metric; those of the seasons and of the "
    "mean of training for each other as well."
)
COVERAGE = (
    "The intervals were calibrated on validation, to hold 80% and 95% of the observations. Here is "
    "how many of the test's they held, and how wide they were on average. A level is the "
    "forecast's own, all that is known in advance; where it has few rows, its share says little."
)


@dataclass(frozen=True)
class Text:
    """What HTML's tag of that name is for; an aside is what nobody may overlook."""

    tag: Literal["h1", "h2", "p", "aside", "pre"]
    text: str


@dataclass(frozen=True)
class ReportTable:
    """Cells as they are read; the first `text_columns` hold words, the others numbers."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
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


def write_report(
    folder: StoragePath, comparison: Mapping[str, Any], figures: Sequence[ReportFigure]
) -> None:
    """Write report.html, one file that opens anywhere, and report.md with figures/NAME.png."""
    title = str(comparison.get("name") or folder.name)
    blocks = _report(title, comparison, figures)
    images = {each.name: png(each.figure) for each in figures}
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    for name, image in images.items():
        write_file(folder / "figures" / f"{name}.png", image)
    write_file(folder / "report.md", _markdown(blocks).encode())
    write_file(folder / "report.html", _html(title, blocks, images).encode())


def summary_markdown(comparison: Mapping[str, Any]) -> str:
    """What was found, as Markdown: the verdict, the errors, the tests and the finalists."""
    tables = _Tables(comparison)
    blocks: list[Block] = [Text("p", comparison["verdict"])]
    if comparison["data"]["simulated"]:
        blocks.append(Text("aside", SIMULATED))
    blocks += [tables.models(), tables.tests("Test hours", comparison["tests"]), Text("p", TESTS)]
    return _markdown([*blocks, tables.configurations()])


def models_table(comparison: Mapping[str, Any], *, narrow: bool = False) -> ReportTable:
    """The models beside the baselines on the test hours.

    narrow: for a terminal of 80 columns, where of several lead times two fit, and short names.
    """
    return _Tables(comparison, narrow).models()


def _report(
    title: str, comparison: Mapping[str, Any], figures: Sequence[ReportFigure]
) -> list[Block]:
    """From the verdict to the protocol."""
    tables, data = _Tables(comparison), comparison["data"]
    blocks: list[Block] = [Text("h1", title), Text("p", comparison["verdict"])]
    if data["simulated"]:
        blocks.append(Text("aside", SIMULATED))
    if data.get("warning"):
        blocks.append(Text("aside", f"Warning: {data['warning']}"))
    blocks += [Text("aside", f"Look at the table: {each}") for each in data.get("doubts", ())]
    blocks += [Text("h2", "The models beside the baselines"), tables.models()]
    blocks += [Text("h2", "Are the differences more than luck?"), Text("p", TESTS)]
    blocks.append(tables.tests("Test hours", comparison["tests"]))
    blocks += [Text("h2", "The finalists"), tables.configurations()]
    blocks += [tables.validation(), tables.test_by_seed()]
    if comparison["coverage"]:
        blocks += [Text("h2", "Did the prediction intervals hold?"), Text("p", COVERAGE)]
        blocks += [tables.coverage(), *tables.coverage_by_level()]
    if figures:
        blocks += [Text("h2", "Figures"), *figures]
    if comparison["breakdowns"]:
        blocks += [Text("h2", "Where the errors are"), *tables.breakdowns()]
    if comparison["worst"]:
        blocks += [Text("h2", "The worst misses"), *tables.worst()]
    if comparison["years"]:
        blocks += [Text("h2", "Other test years"), tables.years()]
        for year, one in comparison["years"].items():
            blocks.append(tables.tests(f"Test hours of {year}", one["tests"]))
    blocks += [Text("h2", "Protocol"), *(Text("p", one) for one in comparison["protocol_notes"])]
    return blocks + [tables.protocol(), Text("pre", shlex.join(comparison["command"]))]


class _Tables:
    """A comparison's tables: errors to the same decimals all through, so that columns align."""

    def __init__(self, comparison: Mapping[str, Any], narrow: bool = False) -> None:
        self._all = comparison
        self._form = error_format(comparison)
        self._difference_form = error_format(comparison, DIGITS + 1)
        self._unit = f" ({comparison['unit']})" if comparison["unit"] else ""
        leads = comparison["lead_times"]
        some = [lead for lead in leads if lead in (*LEAD_TIMES_SHOWN, leads[-1])]
        self._leads = leads if len(leads) <= 4 else some
        self._narrow = narrow and len(leads) > 1
        if self._narrow:
            self._leads = [leads[0], leads[-1]]
        self._ahead = [lead_name(comparison, lead) for lead in self._leads]

    def models(self) -> ReportTable:
        """With one lead time a column for each measure, with several one for each of them."""
        measures = {f"RMSE{self._unit}": "rmse", f"MAE{self._unit}": "mae", "skill": "skill"}
        rows: list[tuple[str, ...]] = []
        if len(self._leads) == 1:
            for name, model in self._all["models"].items():
                values = [self._at(model[key])[0] for key in measures.values()]
                rows.append((self._titled(name), *map(self._measure, measures, values)))
            title = f"Test hours, {self._ahead[0]} ahead"
            return ReportTable(title, ("model", *measures), tuple(rows))
        for measure, key in measures.items():
            for name, model in self._all["models"].items():
                values = [*self._at(model[key]), fmean(model[key].values())]
                cells = (self._measure(measure, value) for value in values)
                rows.append((self._titled(name), measure, *cells))
        mean = f"mean of all {len(self._all['lead_times'])}"
        headings = ("model", "measure", *self._ahead, mean)
        return ReportTable("Test hours, by lead time", headings, tuple(rows), 2)

    def tests(self, title: str, tests: Sequence[Mapping[str, Any]]) -> ReportTable:
        rows = [
            (
                f"{label(test['a'])} minus {label(test['b'])}",
                test["metric"].upper(),
                lead_name(self._all, test["lead_time"]),
                self._difference(test["difference"]),
                " to ".join(map(self._difference, test["ci95"])),
                *map(_p, (test["p_value_bootstrap"], test["p_value_bootstrap_holm"])),
                _format(test["dm_statistic"], ".2f"),
                *map(_p, (test["p_value"], test["p_value_holm"])),
            )
            for test in tests
            if test["lead_time"] in self._leads
        ]
        numbers = (f"difference{self._unit}", "95% interval", "p", "Holm", "DM", "p of DM", "Holm")
        return ReportTable(title, ("models", "metric", "ahead", *numbers), tuple(rows), 3)

    def configurations(self) -> ReportTable:
        found = self._all["finalists"]
        facts = [
            {key: one[key] for key in ("trial", "epochs")}
            | one["config"]
            | {key: ", ".join(one[key]) or "none" for key in ("features", "calendar")}
            for one in found.values()
        ]
        names = dict.fromkeys(name for one in facts for name in one)
        rows = [(name, *(format_setting(one.get(name, "-")) for one in facts)) for name in names]
        headings = ("", *map(label, found))
        return ReportTable("Configurations", headings, tuple(rows), len(headings))

    def validation(self) -> ReportTable:
        rows: list[tuple[str, ...]] = []
        for name, one in self._all["finalists"].items():
            seeds, mean = one["by_seed"], one["validation"]
            rmse, mae = ([seed[key] for seed in seeds] for key in ("rmse", "mae"))
            lines = [(f"seed {seed['seed']}", str(seed["epoch"])) for seed in seeds]
            lines += [(f"{said} of the seeds", "") for said in ("mean", "lowest", "highest")]
            lines.append(("their mean forecast", ""))
            rmse += [fmean(rmse), min(rmse), max(rmse), mean["rmse"]]
            mae += [fmean(mae), min(mae), max(mae), mean["mae"]]
            skills = [""] * (len(lines) - 1) + [_format(mean["skill"], "z.1%")]
            for line, *errors, skill in zip(lines, rmse, mae, skills, strict=True):
                rows.append((label(name), *line, *map(self._error, errors), skill))
        over = ", mean of all lead times" if len(self._leads) > 1 else ""
        headings = ("model", "trained with", "epoch", f"RMSE{self._unit}", f"MAE{self._unit}")
        return ReportTable(f"Validation{over}", (*headings, "skill"), tuple(rows), 2)

    def test_by_seed(self) -> ReportTable:
        rows = [
            (label(name), ahead, *map(self._error, (mean, fmean(seeds), min(seeds), max(seeds))))
            for name, model in self._all["models"].items()
            if "rmse_by_seed" in model
            for ahead, mean, seeds in zip(
                self._ahead, self._at(model["rmse"]), self._at(model["rmse_by_seed"]), strict=True
            )
        ]
        numbers = ("mean forecast", "mean of the seeds", "lowest", "highest")
        title = f"Test hours: RMSE{self._unit} by seed"
        return ReportTable(title, ("model", "ahead", *numbers), tuple(rows), 2)

    def coverage(self) -> ReportTable:
        """Of all forecasts of a lead time; of every lead time, since it claims to hold at each."""
        found = [one for one in self._all["coverage"] if one["forecast_level"] == "all"]
        return self._covered("By lead time", found, "ahead")

    def coverage_by_level(self) -> Iterable[ReportTable]:
        found = [one for one in self._all["coverage"] if one["forecast_level"] != "all"]
        for (lead,), group in _grouped(found, "lead_time").items():
            title = f"By the forecast's level{self._unit}, {lead_name(self._all, lead)} ahead"
            yield self._covered(title, group, "level")

    def _covered(
        self, title: str, found: Sequence[Mapping[str, Any]], by: Literal["ahead", "level"]
    ) -> ReportTable:
        """A row for each model and group, with the share and the width that each claim had."""
        claims = list(dict.fromkeys(one["claim"] for one in found))
        rows: list[tuple[str, ...]] = []
        groups = _grouped(found, "model", "lead_time", "forecast_level")
        for (model, lead, level), group in groups.items():
            cells = [label(model), lead_name(self._all, lead) if by == "ahead" else level]
            cells.append(f"{group[0]['rows']:,}")
            for one in sorted(group, key=lambda one: claims.index(one["claim"])):
                cells += [_format(one["covered"], ".1%"), self._error(one["mean_width"])]
            rows.append(tuple(cells))
        numbers = [name for c in claims for name in (f"in {c:.0%}", f"mean width{self._unit}")]
        return ReportTable(title, ("model", by, "rows", *numbers), tuple(rows), 2)

    def breakdowns(self) -> Iterable[ReportTable]:
        for (by, lead), group in _grouped(self._all["breakdowns"], "by", "lead_time").items():
            models = list(group[0]["rmse"])
            rows = [
                (one["group"], f"{one['rows']:,}", *(self._error(one["rmse"][m]) for m in models))
                for one in group
            ]
            title = f"RMSE{self._unit} by {by}, {lead_name(self._all, lead)} ahead"
            yield ReportTable(title, (by, "rows", *map(label, models)), tuple(rows))

    def worst(self) -> Iterable[ReportTable]:
        for (model, lead), group in _grouped(self._all["worst"], "model", "lead_time").items():
            rows = [
                (one["time"], *(self._error(one[key]) for key in ("observed", "forecast", "error")))
                for one in group
            ]
            headings = ("time", f"observed{self._unit}", "forecast", "error")
            title = f"{label(model)}, {lead_name(self._all, lead)} ahead"
            yield ReportTable(title, headings, tuple(rows))

    def years(self) -> ReportTable:
        rows: list[tuple[str, ...]] = []
        for year, one in self._all["years"].items():
            rows.append((year, "rows scored", *(f"{n:,}" for n in self._at(one["rows"]))))
            for name, errors in one["rmse"].items():
                rows.append((year, label(name), *map(self._error, self._at(errors))))
        headings = ("year", "model", *(f"{ahead} ahead" for ahead in self._ahead))
        return ReportTable(f"RMSE{self._unit}", headings, tuple(rows), 2)

    def protocol(self) -> ReportTable:
        of, data = self._all, self._all["data"]
        counts = zip(self._ahead, self._at(of["rows"]), strict=True)
        facts = {
            "forecast": f"{of['target']}{self._unit}, one row every {of['step']}",
            "data": f"{data['source']}, SHA-256 {data.get('sha256') or 'not known'}",
            **({"cells": "; ".join(data["repairs"])} if data.get("repairs") else {}),
            "training": f"from {of['train_from']} until validation begins",
            "validation": f"from {of['validation_from']}, folds: {of['folds']}",
            "test": f"from {of['test_from']} to {of['test_until']}",
            "rows scored": ", ".join(f"{count:,} at {ahead}" for ahead, count in counts),
            "settings": _listed(of["settings"]),
        }
        for name, study in of["studies"].items():
            states = ((state.replace("_", " "), n) for state, n in study["trials"].items())
            facts[f"trials of {label(name)}"] = f"{_listed(dict(states))}, in {study['folder']}"
        facts |= {"versions": _listed(of["versions"]), "created": of["created"]}
        return ReportTable("", ("what", "value"), tuple(facts.items()), 2)

    def _titled(self, name: str) -> str:
        seeds = None if self._narrow else self._all["models"][name].get("seeds")
        return f"{label(name)} (LSTM, mean of {seeds} seeds)" if seeds else label(name)

    def _at(self, by_lead_time: Mapping[str, Any]) -> list[Any]:
        return [by_lead_time[str(lead)] for lead in self._leads]

    def _measure(self, measure: str, value: float | None) -> str:
        return _format(value, "z.1%") if measure == "skill" else self._error(value)

    def _error(self, value: float | None) -> str:
        return _format(value, self._form)

    def _difference(self, value: float | None) -> str:
        return _format(value, self._difference_form)


def _format(value: float | None, form: str) -> str:
    return "-" if value is None or not math.isfinite(value) else format(value, form)


def _p(value: float | None) -> str:
    return "< 0.0001" if value is not None and value < 0.0001 else _format(value, ".4f")


def _listed(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def _grouped(
    found: Iterable[Mapping[str, Any]], *keys: str
) -> dict[tuple[Any, ...], list[Mapping[str, Any]]]:
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for one in found:
        groups.setdefault(tuple(one[key] for key in keys), []).append(one)
    return groups


MARKS = {"h1": "# {}", "h2": "## {}", "p": "{}", "aside": "> **{}**"}


def _markdown(blocks: Iterable[Block]) -> str:
    parts = []
    for block in blocks:
        match block:
            case Text("pre", text):
                parts.append("\n".join(f"    {line}" for line in text.splitlines()))
            case Text(tag, text):
                parts.append(MARKS[tag].format(_plain(text)))
            case ReportFigure(name, caption):
                parts.append(f"![{_plain(caption)}](figures/{name}.png)\n\n{_plain(caption)}")
            case ReportTable(title, headings, rows, text_columns):
                rule = ["---"] * text_columns + ["---:"] * (len(headings) - text_columns)
                cells = [[_plain(cell, inside=True) for cell in line] for line in (headings, *rows)]
                lines = [f"| {' | '.join(line)} |" for line in (cells[0], rule, *cells[1:])]
                parts += [f"**{_plain(title)}**"] * bool(title) + ["\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def _plain(text: str, inside: bool = False) -> str:
    """One line of Markdown that reads as `text`, inside a line or at its start."""
    found = re.sub(r"([\\`*\[\]<>|&~#$])", r"\\\1", " ".join(text.split()))
    found = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", found)  # inside a word it is plain
    return found if inside else re.sub(r"^(\d*)([-+=.)])", r"\1\\\2", found)


def _html(title: str, blocks: Iterable[Block], images: Mapping[str, bytes]) -> str:
    """One file that loads nothing; the policy in its head would forbid it as well."""
    parts = []
    for block in blocks:
        match block:
            case Text(tag, text):
                parts.append(f"<{tag}>{escape(text)}</{tag}>")
            case ReportFigure(name, caption):
                source = f"data:image/png;base64,{b64encode(images[name]).decode()}"
                image = f'<div><img src="{source}" alt="{escape(caption)}"></div>'
                parts.append(f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>")
            case ReportTable(title_, headings, rows, text_columns):
                head = _row("th", headings, text_columns)
                body = "\n".join(_row("td", row, text_columns) for row in rows)
                caption = f"<caption>{escape(title_)}</caption>" if title_ else ""
                parts.append(
                    f"<div><table>{caption}<thead>{head}</thead>\n<tbody>{body}</tbody></table></div>"
                )
    return PAGE.substitute(title=escape(title), body="\n".join(parts))


def _row(tag: str, cells: Sequence[str], text_columns: int) -> str:
    words, numbers = cells[:text_columns], cells[text_columns:]
    inside = [f"<{tag}>{escape(cell)}</{tag}>" for cell in words]
    inside += [f'<{tag} class="number">{escape(cell)}</{tag}>' for cell in numbers]
    return f"<tr>{''.join(inside)}</tr>"


PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; --line: #8886; --faint: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: auto; padding: 1rem; }
h1 + p { font-size: 1.15rem; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
aside { border: 4px solid #d00000; background: #d0000022; padding: .8rem; margin: 1rem 0;
 font-size: 1.2rem; font-weight: bold; }
div { overflow-x: auto; }
table { border-collapse: collapse; margin: 1rem 0; font-size: .9rem; }
caption { text-align: left; font-weight: bold; padding: .3rem 0; }
th, td { padding: .2rem .6rem; border-bottom: 1px solid var(--line); text-align: left;
 vertical-align: top; }
th { background: var(--faint); vertical-align: bottom; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
figure { margin: 1.5rem 0; }
img { width: 100%; min-width: 34rem; max-width: 900px; background: white; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; padding: .8rem; background: var(--faint); }
@media print {
 body { font-size: 10pt; max-width: none; padding: 0; }
 table { font-size: 7.5pt; }
 th, td { padding: .1rem .3rem; }
 div { overflow: visible; }
 img { min-width: 0; }
 figure, tr, aside { break-inside: avoid; }
}
</style>
</head>
<body>
$body
</body>
</html>
""")
