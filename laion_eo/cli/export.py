"""``laion-eo export``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.option("--to", required=True, type=click.Choice(["ro-crate"]), help="The format.")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder: a new or empty one.",
)
@click.option(
    "--with-tables",
    is_flag=True,
    help="Add the tables of the stages, which name images and pages that the dataset does not.",
)
def command(run: Path, to: str, out: Path, with_tables: bool) -> None:
    """Export the finished run directory RUN to the folder DIR.

    ro-crate: the dataset, manifest.json and run.toml, and an RO-Crate (Process Run Crate) of which
    versions of laion-eo and of plugins made each stage, when, and of what: ready for Zenodo and
    other repositories. It holds no image. Paths are shortened and secrets hidden; a run with rows
    that name files of this machine is refused.

    \b
      laion-eo export runs/ver-1 --to ro-crate --out crates/ver-1
    """  # noqa: D301 - click wants the backspace itself
    from laion_eo.integrity.export import export

    click.echo(f"Exported: {export(run, to, out, tables=with_tables)}")
