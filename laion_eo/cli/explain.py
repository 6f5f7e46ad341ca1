"""``laion-eo explain``."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("image", metavar="ID|URL")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, and nothing else.")
def command(run: Path, image: str, as_json: bool) -> None:
    """Say why one image is in the dataset of the run directory RUN, or why not.

    The image is named by its id, which is its row in the pool, or by its URL. Stage by stage: which
    anchors found it, and how near it is to them; how its download ended; its scores; the language
    of its caption; what each filter compared, and by how much the image passed or failed; of which
    image it is a copy, and which are copies of it; where it is in the dataset. A run that has not
    ended is explained as far as it has come.

    \b
    `--json` prints an object with
      run, asked             the run directory, and what was asked for
      finished, unfinished   the names of the steps that are complete, and of the others
      images                 a list: of one URL, a pool can have several rows. Each has id, url,
                             caption; anchors, hits, best, chosen; fetched; scores, image_error;
                             lang, lang_score; filters; kept, dropped_by, reason; duplicate_of,
                             copies; row. What is not known yet is null.

    \b
      laion-eo explain runs/ver-1 4711
      laion-eo explain runs/ver-1 https://example.org/fields.jpg --json
    """  # noqa: D301 - click wants the backspace itself
    from laion_eo.cli.output.explanation import lines
    from laion_eo.integrity.explain import explain

    found = explain(run, image)
    if as_json:
        click.echo(json.dumps(found.dump(), indent=1))
        return
    for line in lines(found):
        click.echo(line)
