"""``laion-eo pull``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("config")
@click.option("--repo", metavar="ORG/NAME", help="Dataset repository, if not the published one.")
@click.option(
    "--revision",
    metavar="v1.0.0",
    help="Tag, branch or commit. [default: main; of the published one, its publication]",
)
def command(config: str, repo: str | None, revision: str | None) -> None:
    """Fetch the configuration CONFIG, so that load_dataset("laion_eo", CONFIG) works anywhere.

    The rows are checked and stored in the cache of the datasets library under the bare name, from
    where they load in any directory, also offline. In a checkout of laion-eo, the bare name means a
    folder and not the cache; so the command, if it is run there, also keeps the published files in
    the checkout.

    \b
      laion-eo pull ver-1
      laion-eo pull ver-1 --repo ORG/laion_eo --revision v1.0.0
    """  # noqa: D301 - click wants the backspace itself
    from laion_eo.dataset.checkout import find_checkout
    from laion_eo.dataset.pull import pull

    checkout = find_checkout(Path.cwd())
    pulled = pull(config, repo, revision, checkout)
    click.echo(f"{pulled.config}: {pulled.rows:,} rows of commit {pulled.commit}.")
    if pulled.kept is not None:
        click.echo(f"Also kept in this checkout: {pulled.kept}")
    elif checkout is not None:
        click.echo(
            "In this checkout laion_eo still means the published dataset; elsewhere, this one."
        )
    click.echo(f'Load it with load_dataset("laion_eo", "{pulled.config}")')
