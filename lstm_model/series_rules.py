"""The settings of a table of many series: what they are called, and how they go together."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lstm_model.configuration import DataSettings

NEIGHBOURS = "neighbours"  # the column that `neighbours` puts in
FILE = "file"  # what `series` says of files of one series each
MELTED = "value"  # the target where `targets` names its columns
# The keys of a table of many series. JSON has those alone that say something.
SERIES_KEYS = ("series", "targets", "static", "neighbours")


def broken_series_rules(settings: "DataSettings") -> Iterator[tuple[str, str]]:
    """The keys of a table of many series at fault, each with its rule as a clause."""
    clock = (settings.time,) if isinstance(settings.time, str) else settings.time or ()
    owners = dict.fromkeys(settings.features, "features") | dict.fromkeys(clock, "time")
    if settings.series == "" or settings.series == ():
        yield "series", "must name a column, or stay away where the table is one series"
    if settings.series_columns and settings.targets:
        yield (
            "targets",
            "must stay away beside series: a wide table has a column for each series, a long "
            "one a column that says which series a row is of",
        )
    if settings.target in settings.targets:
        yield (
            "target",
            "must be a name of its own, as targets are the columns that hold it, but got "
            f"{settings.target}, which is one of them",
        )
    for key, names, why in (
        ("series", settings.series_columns, "as it only says which rows are of one series"),
        ("targets", settings.targets, "as each is the target of one series"),
        ("static", settings.static, "as it does not change over time"),
    ):
        if twice := [name for name in names if name in owners and name != settings.target]:
            came = ", ".join(f"{name}, which is in {owners[name]}" for name in twice)
            yield key, f"must name columns of its own, {why}, but got {came}"
    if settings.target in (*settings.series_columns, *settings.static):
        yield "target", f"must be no column of series or static, but got {settings.target}"
    if settings.static and not settings.series_columns:
        yield (
            "static",
            "must have series beside it: in a table of one series a column that does not "
            "change tells nothing",
        )
    if settings.neighbours and not settings.series_columns and len(settings.targets) < 2:
        yield (
            "neighbours",
            "must be false for one series: series or targets says which are many",
        )
    if settings.neighbours and NEIGHBOURS in (*settings.features, *settings.static):
        key = "features" if NEIGHBOURS in settings.features else "static"
        yield (
            key,
            f"must hold no column {NEIGHBOURS}, as neighbours: true puts one of that name in; "
            "rename the table's",
        )
