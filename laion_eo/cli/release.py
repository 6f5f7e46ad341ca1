"""``laion-eo release``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from laion_eo.hub.releasing import HubPlan


@click.command()
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.option("--repo", required=True, metavar="ORG/NAME", help="Dataset repository on the Hub.")
@click.option("--config", metavar="NAME", help="Refuse a run whose configuration has another name.")
@click.option("--tag", metavar="v1.0.0", help="Tag the release; an existing tag is never moved.")
@click.option(
    "--private/--public",
    default=None,
    help="By default, an existing repository stays as it is, and a new one is private.",
)
@click.option(
    "--pull-request", is_flag=True, help="Open a pull request instead of committing to main."
)
@click.option(
    "--default", is_flag=True, help="Make this the configuration that is loaded when none is named."
)
@click.option(
    "--drop-unpublishable",
    is_flag=True,
    help="Leave out the rows whose URL may not be published, which stop a release otherwise.",
)
@click.option("--dry-run", is_flag=True, help="Show the card and the files; change nothing.")
def command(run: Path, repo: str, config: str | None, dry_run: bool, **options: object) -> None:
    """Release the dataset of the run directory RUN to the Hugging Face Hub.

    The parquet files, the card and the report's pictures are uploaded in one commit. Other
    configurations in the repository stay as they are. Log in first with `hf auth login`, or set
    HF_TOKEN. The same command again, after it was stopped, finishes the release.

    The run is verified first, as by `laion-eo verify`. Only files that the manifest names are
    published, unchanged. A row whose URL is not a public http(s) address, or carries a password or
    a token, stops the release before the Hub is asked anything, that of a dry run too: see
    docs/releasing.md.

    \b
      laion-eo release runs/ver-1 --repo ORG/laion_eo --config ver-1 --dry-run
      laion-eo release runs/ver-1 --repo ORG/laion_eo --config ver-1 --tag v1.0.0 --public
    """  # noqa: D301 - click wants the backspace itself
    from laion_eo.cli.output.progress import counting_bytes
    from laion_eo.hub.history import RELEASES
    from laion_eo.hub.releasing import HubPlan
    from laion_eo.integrity.release import release

    with counting_bytes("verify") as progress:
        done = release(run, repo, config, dry_run=dry_run, progress=progress, **options)
    if isinstance(done, HubPlan):
        _show(done)
        return
    click.echo(f"{'Released already' if done.already else 'Released'}: {done.url}")
    if done.dropped:
        click.echo(f"Left out: {_rows(done.dropped)}; {run / RELEASES} says which.")
    revision = f', revision="{done.tag}"' if done.tag else ""
    click.echo(f'Load it with load_dataset("{repo}", ...{revision})')


def _show(plan: HubPlan) -> None:
    click.echo(plan.card)
    state = f"on top of {plan.parent}" if plan.parent else "which does not exist yet"
    if plan.released:
        click.echo(f"--- is released already: {plan.released}")
    else:
        click.echo(f"--- would go to {plan.repo}, {state}:")
    click.echo("  README.md  (the card above)")
    for name, record in plan.uploads.items():
        click.echo(f"  {name}  {record.bytes:,} bytes")
    for name in plan.deletions:
        click.echo(f"  {name}  deleted")
    if plan.dropped:
        click.echo(f"--- left out: {_rows(plan.dropped)}")


def _rows(count: int) -> str:
    return f"{count:,} {'row' if count == 1 else 'rows'} whose URL may not be published"
