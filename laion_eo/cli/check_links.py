"""``laion-eo check-links``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from laion_eo.dataset.links import LinkReport


@click.command()
@click.argument("dataset")
@click.option("--config", metavar="NAME", help="The configuration, where there are several.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("links.parquet"),
    show_default=True,
    help="The parquet file to write.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the downloader, as in a run file: --set timeout=10. Can be repeated.",
)
def command(dataset: str, config: str | None, out: Path, settings: tuple[str, ...]) -> None:
    """Fetch every image of DATASET once, and report which links are still alive.

    DATASET is a run directory, a folder of parquet files, or a name that load_dataset knows. Each
    image is downloaded completely, to see whether it is still the same: mind the traffic. The
    result, one dated row for each URL, is a file of its own; the dataset is never changed. A check
    that was stopped resumes when the command is run again.

    \b
      laion-eo check-links runs/ver-1 --out links-2025-06.parquet
      laion-eo check-links laion_eo --config ver-0
    """  # noqa: D301 - click wants the backspace itself
    from laion_eo.cli.input.contact import with_contact
    from laion_eo.cli.output.console import output_console
    from laion_eo.cli.output.progress import reporting
    from laion_eo.dataset.links import check_links
    from laion_eo.overrides import apply_override
    from laion_eo.registry import Registry

    options: dict[str, object] = {}
    for setting in settings:
        apply_override(options, setting)
    registry = Registry.discover()

    def work() -> LinkReport:
        with reporting(registry):
            return check_links(dataset, out, config, options, registry)

    _print(with_contact(work), output_console())


def _print(report: LinkReport, console: Console) -> None:
    from rich.table import Table

    table = Table("status", "HTTP", "links", "for example")
    table.columns[2].justify = "right"
    for outcome in report.outcomes:
        code = "" if outcome.http_code is None else str(outcome.http_code)
        table.add_row(outcome.status, code, f"{outcome.links:,}", outcome.example)
    console.print(table)
    if report.changed:
        console.print(f"{report.changed:,} of the links that are alive now show another image.")
    console.print(f"Each link: {report.path}", highlight=False, soft_wrap=True)
