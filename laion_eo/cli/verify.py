"""``laion-eo verify``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from laion_eo.integrity.findings import Verification


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, and nothing else.")
@click.option(
    "--quick",
    is_flag=True,
    help="Compare images by their size, and files above 64 MiB by their size and a sample.",
)
@click.pass_context
def command(ctx: click.Context, path: Path, as_json: bool, quick: bool) -> None:
    """Check that PATH is what its records say: a run directory, a dataset or a pool.

    Nothing is changed. Each fault is one line: the file, and what is wrong with it. Exit code 0: no
    fault; 1: some; 2: there is no such folder, or it is nothing of laion-eo's.

    \b
    A run:      every record, and every file that one names, by its SHA-256; files that none
                names, and links; every image, by its name; each table against those that it was
                made from: each candidate has one verdict, each kept one is one row of the
                dataset; all counts; the manifest.
    A dataset:  the dataset/ of a run, a copy of it, or a repository fetched from the Hub: every
                row and value; the SHA-256 of each file in the Croissant metadata; the numbers
                of the card; files that do not belong there.
    A pool:     what `laion-eo index` recorded of each of its files.

    A dataset alone vouches for itself: whoever changes a table, and its hash in the Croissant
    metadata too, is found by the run that made it, or by the Hub's commit, and not here.

    \b
    `--json` prints an object with
      path, kind     the folder, and "run", "dataset" or "pool"
      sound          whether there is no fault
      checked        an object with the numbers of files, bytes and rows
      faults         a list of objects with "where" (the file) and "what"
      notes          a list of lines: what nothing vouches for

    \b
      laion-eo verify runs/ver-1
      laion-eo verify runs/ver-1/dataset --json
    """  # noqa: D301 - click wants the backspace itself
    from laion_eo.cli.output.progress import counting_bytes
    from laion_eo.integrity.verify import verify

    with counting_bytes("verify") as progress:
        found = verify(path, thorough=not quick, progress=progress)
    if as_json:
        click.echo(json.dumps(found.dump(), indent=1))
    else:
        _print(found)
    ctx.exit(0 if found.is_sound else 1)


def _print(found: Verification) -> None:
    from laion_eo.cli.output.console import visible

    for fault in found.faults:
        click.echo(visible(str(fault)))
    for note in found.notes:
        click.echo(visible(f"note: {note}"))
    checked = found.checked
    size = f"{checked.files:,} files, {checked.bytes:,} bytes and {checked.rows:,} rows checked"
    count = len(found.faults)
    faults = "no fault" if not count else "1 fault" if count == 1 else f"{count:,} faults"
    click.echo(visible(f"{found.kind} {found.path}: {size}: {faults}."))
    if count and found.kind == "run":
        click.echo("The same `laion-eo run` again makes anew what it can, and says what it cannot.")
