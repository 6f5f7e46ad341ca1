"""``laion-eo plan``."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from laion_eo.cli.input.options import out_option, run_directory, set_option
from laion_eo.types import JSON


@click.command()
@click.argument("run_file", type=click.Path(path_type=Path))
@out_option
@set_option
def command(run_file: Path, out: Path | None, overrides: tuple[str, ...]) -> None:
    """Say what `laion-eo run RUN_FILE` would do, and do nothing.

    Checks the whole run file, and that the packages, models and files that it needs are there;
    counts anchors and pool, and gives rows, bytes and a rough time for each stage: upper bounds, at
    the rates of two cores without a GPU. Below, it lists what the run file does not say: the
    default that stands there, as `--set` takes it, and why it matters.
    """
    from rich.filesize import decimal
    from rich.table import Table

    from laion_eo.cli.output.console import output_console
    from laion_eo.pipeline import plan

    found = plan(run_file, run_directory(run_file, out), overrides)
    table = Table("stage", "would", "with", "rows at most", "about")
    table.columns[3].justify = table.columns[4].justify = "right"
    for stage in found.stages:
        rows = "?" if stage.rows is None else f"{stage.rows:,}"
        time = "?" if stage.seconds is None else str(timedelta(seconds=round(stage.seconds)))
        table.add_row(stage.name, stage.state, ", ".join(stage.components), rows, time)
    console = output_console()
    console.print(table)
    if found.pool_rows is not None and found.pool_bytes is not None:
        size = decimal(found.pool_bytes)
        console.print(f"The pool has {found.pool_rows:,} rows, {size} of vectors.")
    if found.download_bytes is not None:
        size = decimal(found.download_bytes)
        console.print(f"Downloads: {size} at most, at 100 kB an image.")
    if found.assumed:
        console.print("\nAssumed, because the file does not say it:")
        said = Table("option", "so", "why it matters", box=None, pad_edge=False)
        for one in found.assumed:
            said.add_row(one.option, shown(one.value), one.why)
        console.print(said)


def shown(value: JSON) -> str:
    """Return a value of a run file for a table."""
    if isinstance(value, list):
        return ", ".join(map(shown, value)) or "none"
    return "none" if value in (None, "") else str(value)
