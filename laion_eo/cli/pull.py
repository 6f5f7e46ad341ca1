"""``laion-eo pull``."""

from __future__ import annotations

import click


@click.command()
@click.argument("config")
@click.option("--repo", metavar="ORG/NAME", help="Another repository than the published one.")
@click.option("--revision", default="main", show_default=True, help="Tag, branch or commit.")
def command(config: str, repo: str | None, revision: str) -> None:
    """Fetch the configuration CONFIG, so that load_dataset("laion_eo", CONFIG) works anywhere.

    The rows are checked and go to the cache of the datasets library, under the bare name; from
    there they load in any directory, without a network too.

    \b
      laion-eo pull ver-1
      laion-eo pull ver-1 --repo ORG/laion_eo --revision v1.0.0
    """  # noqa: D301 - click wants the backspace itself
    from laion_eo.dataset.pull import pull

    pulled = pull(config, repo, revision)
    click.echo(f"{pulled.config}: {pulled.rows:,} rows of commit {pulled.commit}.")
    click.echo(f'Load it with load_dataset("laion_eo", "{pulled.config}")')
