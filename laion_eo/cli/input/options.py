"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path

import click

set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change one value of the run file: --set retriever.k=100, "
    "--set filters.similarity-threshold.sigma=2. Can be repeated.",
)
out_option = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="The run directory: a new or empty folder, or that of an earlier run. By default "
    "runs/NAME for the run file NAME.toml.",
)


def run_directory(run_file: Path, out: Path | None) -> Path:
    """Return the run directory that was asked for, or the default one."""
    return out or Path("runs") / run_file.stem
