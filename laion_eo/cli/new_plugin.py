"""``laion-eo new-plugin``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("name")
@click.option(
    "--kind",
    required=True,
    help="Kind of the component: anchor-source, normalizer, augmenter, embedder, retriever, "
    "downloader, scorer, filter, language-tagger or publisher.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Folder in which the package's folder is created; by default, the current one.",
)
def command(name: str, kind: str, out: Path) -> None:
    """Create a package called NAME with one working component, to start from.

    It has an entry point, tests with the kind's conformance suite, a README and a tox.ini; its
    tests pass without a change. The guide is docs/plugins.

    \b
      laion-eo new-plugin beaches --kind anchor-source
      pip install -e 'beaches[test]' && pytest beaches
      laion-eo plugins beaches
    """  # noqa: D301 - click wants the backspace itself
    from laion_eo.scaffold import new_plugin

    folder = new_plugin(name, kind, out)
    click.echo(f"{folder}: a package of the kind {kind}. Install and test it with")
    click.echo(f"  pip install -e '{folder}[test]' && pytest {folder}")
