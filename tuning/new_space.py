"""The command that proposes a search space for a table of one's own.

python -m tuning.new_space load.csv --target load
"""

import os
import shlex
from collections.abc import Iterator
from glob import has_magic
from pathlib import Path
from typing import Annotated

import typer

from lstm_model.command import exit_without_teardown, report_errors, run_app
from lstm_model.data.sources import read_sources
from lstm_model.errors import InputError
from lstm_model.files import check_writable, write_file
from lstm_model.wording import shorten
from tuning import cli as options
from tuning.shell import command_for_shell
from tuning.space.proposal import Proposal, propose
from tuning.space.template import (
    check_space_file,
    describe_likes,
    printable,
    render_space_file,
)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
def new_space(
    data: Annotated[
        str, typer.Argument(help="the table: a CSV with a header, Parquet, or a pattern of several")
    ],
    target: Annotated[
        str,
        typer.Option(
            help="the column to forecast; columns of a wide table, A,B or 'MT_*', are a series each"
        ),
    ],
    time: Annotated[
        str | None,
        typer.Option(help="the clock's column, or its parts: year,month,day,hour; else found"),
    ] = None,
    features: Annotated[
        str | None, typer.Option(help="columns to read, A,B,C; else all that can be of use")
    ] = None,
    zone: Annotated[
        str | None, typer.Option(help="the wall clock's zone, such as Europe/Berlin; else found")
    ] = None,
    series: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="the column that says which series a row is of, or several: A,B; file where each "
            "file is one, none where there is one; else found",
        ),
    ] = None,
    horizon: Annotated[
        int, typer.Option(min=1, max=720, help="lead times 1 to this many rows")
    ] = 1,
    output: Annotated[
        str | None, typer.Option(help="file to write, - for standard output; else TABLE.yaml")
    ] = None,
) -> None:
    """Write a commented search-space file for a table, or say why that can't be done."""
    with report_errors():
        files = read_sources(data, "give a table's path, or a pattern such as 'stations/*.csv'")
        path = Path(data).expanduser()
        clock, columns = options.parse_name_list(time), options.parse_name_list(features)
        keys = options.parse_name_list(",".join(series) if series else None)
        proposal = propose(files, target, clock, columns, horizon=horizon, zone=zone, series=keys)
        out = Path(output if output and output != "-" else f"{name_table(path)}.yaml")
        if output != "-" and os.path.lexists(out):
            raise InputError(f"{out} exists; choose another --output, or remove it first")
        if output != "-":
            check_writable("--output", out)
        text = render_space_file(proposal, path, out, horizon)
        check_space_file(text, out)
        if output == "-":
            print(text, end="")
            return
        write_file(out, text.encode())
        file = shlex.quote(str(out))
        for line in tell_proposal(proposal, out):
            print(line)
        print("Read it, and change what you know better. What it would do, and how to do it:")
        print(f"  {command_for_shell()} -m tuning.run --space {file} --check")
        print(f"  {command_for_shell()} -m tuning.run --space {file}")


def name_table(path: Path) -> str:
    """What a table's space is called: as its file, or as the folder of the files of a pattern."""
    if not has_magic(path.name):
        return path.stem
    folder = path.parent.name
    return "table" if not folder or has_magic(folder) else folder


def tell_proposal(proposal: Proposal, out: Path) -> Iterator[str]:
    """What was found in a table, and what of it is read, a line each."""
    count = len(proposal.index)
    several = f" of {count:,} series" if count > 1 else ""
    columns = printable(", ".join(proposal.features))
    yield f"{out}: {printable(proposal.target)}{several} by {columns}"
    for key, (value, why) in proposal.clock.keys.items():
        text = value if isinstance(value, str) else shorten(value)
        yield f"proposed: {key}: {printable(text)}: {printable(why)}"
    for name in proposal.static:
        yield f"proposed: static: {printable(name)}: it never changes within a series"
    for repair in proposal.repairs:
        yield f"proposed: {printable(str(repair))}"
    for why in proposal.left_out.values():
        yield f"left out: {printable(why)}"
    if proposal.likes:
        yield f"{printable(proposal.target)}: {describe_likes(proposal)}"


if __name__ == "__main__":
    exit_without_teardown(run_app(app))
