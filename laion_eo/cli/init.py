"""``laion-eo init``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from laion_eo.scaffold.inspection import Inspection

LICENSE = "cc-by-4.0"
"""The licence that is proposed; it has to be confirmed."""


@click.command()
@click.option(
    "--anchors",
    type=click.Path(path_type=Path),
    help="Folder of what you search for: some 20 to 500 JPEG, PNG, WebP or GeoTIFF files of every "
    "kind of it.",
)
@click.option(
    "--text", "texts", multiple=True, help="Instead of a folder: a text as an anchor. Repeat it."
)
@click.option(
    "--prompt",
    required=True,
    metavar="TEXT",
    help='What the images show, as one would say it: "a photo of a dog".',
)
@click.option("--pool", metavar="DIR", help="The pool to search, made by `laion-eo index`.")
@click.option("--title", metavar="TEXT", help="Title of the dataset.")
@click.option(
    "--license",
    "license_",
    metavar="NAME",
    help="Licence of your list of links, by the Hub's name of it: cc-by-4.0, cc0-1.0, ...",
)
@click.option("--tag", "tags", multiple=True, help="What the Hub finds the dataset by. Repeat it.")
@click.option("--embedder", metavar="NAME", help="The model; by default, that of the pool.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The run file; by default, the title with the ending .toml, in the current folder.",
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def command(
    anchors: Path | None, texts: tuple[str, ...], out: Path | None, force: bool, **given: object
) -> None:
    """Write a run file for a domain of your own.

    The anchors are inspected first: how they have to be normalized, and the least size of an image
    follow from them. The model follows from the pool. On a terminal, what is missing is asked for:
    title, licence, tags. Elsewhere they have defaults, and the licence is "unknown" until you
    choose one: a release is refused before. The file explains each table; change what you like.

    \b
      laion-eo index photos --out pools/photos
      laion-eo init --anchors my-dogs --prompt "a photo of a dog" --pool pools/photos
      laion-eo plan my-dogs.toml
      laion-eo run my-dogs.toml
    """  # noqa: D301 - click wants the backspace itself
    from laion_eo.config import validate
    from laion_eo.scaffold.domain import DomainOptions, title_of, write_run_file
    from laion_eo.scaffold.inspection import inspect_folder, inspect_texts

    if (anchors is None) == (not texts):
        raise click.UsageError("give either --anchors, a folder, or --text, once or more often")
    found = inspect_texts(texts) if anchors is None else inspect_folder(anchors)
    click.echo(described(found))
    given["license"] = given.pop("license_")
    options = {name: value for name, value in given.items() if value}
    chosen = validate(DomainOptions, options, "init")
    if sys.stdin.isatty() and sys.stderr.isatty():
        options |= _asked(options, title_of(anchors, chosen.prompt))
        chosen = validate(DomainOptions, options, "init")
    written = write_run_file(found, chosen, out, force=force)
    for note in written.notes:
        click.echo(f"Note: {note}")
    click.echo(f"{written.path}: a run file for {written.domain.title!r}. Read it, then:")
    click.echo(f"  laion-eo plan {written.path}")


def described(found: Inspection) -> str:
    """Return in a line what the anchors are."""
    if found.sizes is None:
        return f"Anchors: {found.count:,} texts."
    least, most = found.sizes
    sides = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    inspected = f" ({found.inspected:,} of them read)" if found.inspected < found.count else ""
    return (
        f"Anchors: {found.count:,} images{inspected}, sides of {sides} pixels; "
        f"normalizer {found.normalization.use}: {found.normalization.why}."
    )


def _asked(options: dict[str, object], title: str) -> dict[str, object]:
    """Return the answers to what was not given, from whoever sits at the terminal."""
    from laion_eo.scaffold.domain import slug

    answers: dict[str, object] = {}
    try:
        if "title" not in options:
            answers["title"] = title = click.prompt("Title", default=title, err=True)
        if "tags" not in options:
            said = click.prompt("Tags, with commas", default=slug(title), err=True)
            answers["tags"] = tuple(tag.strip() for tag in said.split(",") if tag.strip())
        if "license" not in options:
            answers["license"] = click.prompt(
                "Licence of your list of links (the images keep their own)",
                default=LICENSE,
                err=True,
            )
    except click.Abort:
        raise KeyboardInterrupt from None  # as everywhere else
    return answers
