"""``laion-eo evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from laion_eo.dataset.receipt import Receipt
    from laion_eo.evaluation.evaluating import Purpose


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--labels",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The labels.csv; by default that of the run directory, if there is one.",
)
@click.option(
    "--seeds",
    type=click.Path(path_type=Path, file_okay=False),
    help="A folder of pictures of the domain that are neither anchors nor in the pool.",
)
@click.option(
    "--confidence", type=float, default=0.9, show_default=True, help="Of the intervals: 0..1."
)
@click.option(
    "--width",
    type=float,
    help="Say how many more labels or seeds an interval of this width takes, such as 0.05.",
)
@click.option("--plan", "count", type=int, metavar="N", help="Choose N images to be labelled.")
@click.option(
    "--for",
    "purpose",
    type=click.Choice(["estimate", "fit"]),
    default="estimate",
    show_default=True,
    help="With --plan: a random sample, for unbiased estimates; or what teaches a filter most.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --plan: the file to write; where it is that of --labels, images are added to it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, and nothing else.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    run: Path,
    labels: Path | None,
    seeds: Path | None,
    confidence: float,
    width: float | None,
    count: int | None,
    purpose: str,
    out: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Say how right and how complete the dataset of the run directory RUN is, with intervals.

    \b
    --labels   precision, recall among the candidates, and average precision of the scores, over
               all and for each kind of image that the labels name
    --seeds    recall of the whole search: each seed goes the way that a row of the pool went, and
               none gets into the dataset
    --plan     what to label: a labels.csv whose column `label` is to be filled, 1 or 0

    The result is the receipt: receipt.json in the run directory, a section of the dataset's card,
    and its Croissant metadata. Labels for `--for fit` teach the filter of `laion-eo run --labels`;
    they are no random sample, so nothing is estimated from them.

    \b
    `--json` prints the receipt; with --plan, an object with
      planned        how many images there are to label
      out            the file

    \b
      laion-eo evaluate runs/ver-1 --plan 10 --for fit --out teach.csv
      laion-eo run ver-1.toml --out runs/ver-1 --labels teach.csv
      laion-eo evaluate runs/ver-1 --plan 60 --out sample.csv
      laion-eo evaluate runs/ver-1 --labels sample.csv --seeds more-satellites --width 0.05
    """  # noqa: D301 - click wants the backspace itself
    if count is not None:
        _plan(run, count, purpose, labels, out, None if quiet else as_json)
        return
    if out is not None:
        raise click.UsageError("--out goes with --plan N.")
    from laion_eo.evaluation import evaluate

    receipt = evaluate(run, labels, seeds, confidence=confidence, width=width)
    if as_json:
        click.echo(json.dumps(receipt.dump(), indent=1))
    elif not quiet:
        _print(run, receipt)


def _plan(
    run: Path,
    count: int,
    purpose: str,
    labels: Path | None,
    out: Path | None,
    as_json: bool | None,
) -> None:
    """Plan what to label; say so as JSON, in words, or not at all (``None``)."""
    from laion_eo.cli.output.console import visible
    from laion_eo.evaluation import plan_labels

    if out is None:
        raise click.UsageError("--plan wants --out FILE: where the labels.csv goes.")
    use: Purpose = "fit" if purpose == "fit" else "estimate"
    planned = plan_labels(run, count, out, purpose=use, labels=labels)
    if as_json:
        click.echo(json.dumps({"planned": planned, "out": str(out)}, indent=1))
    elif as_json is not None:
        click.echo(visible(f"{out}: {planned:,} images to label, 1 or 0 in the column `label`."))


def _print(run: Path, receipt: Receipt) -> None:
    from laion_eo.cli.output.console import visible
    from laion_eo.dataset.receipt import RECEIPT, receipt_table

    lines = [line for line in receipt_table(receipt) if not line.startswith("|---")]
    labels, seeds = receipt.labels, receipt.seeds
    if labels is not None and labels.width is not None:
        lines += [
            f"For intervals {labels.width:g} wide: {_more(labels.more_for_precision)} labels of "
            f"kept images, {_more(labels.more_for_recall)} of dropped ones."
        ]
    if seeds is not None and seeds.width is not None:
        lines += [f"For an interval {seeds.width:g} wide: {_more(seeds.more)} seeds."]
    for line in lines:
        click.echo(visible(line))
    click.echo(visible(f"Written: {run / RECEIPT}, and the card of the dataset."))


def _more(count: int | None) -> str:
    return "no number of further" if count is None else f"{count:,} further"
