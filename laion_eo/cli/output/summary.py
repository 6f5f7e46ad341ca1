"""What a command says when its work is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pyarrow.compute as pc
from pydantic import JsonValue
from rich.console import Console
from rich.table import Table

from laion_eo.component import WARNINGS
from laion_eo.pipeline import RunResult
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.schema import DOWNLOAD_STATUSES
from laion_eo.types import DownloadStatus


def print_run(result: RunResult, console: Console) -> None:
    """Print what each stage kept and dropped and why, and how to load the dataset."""
    table = Table("stage", "what", "count", title=str(result.folder), title_justify="left")
    table.columns[2].justify = "right"
    for name, stage in result.manifest["stages"].items():
        for place, (what, count) in enumerate(stage["counts"].items()):
            table.add_row(name if place == 0 else "", what, f"{count:,}")
    console.print(table)
    print_downloads(result.folder, console)
    print_drops(result.folder, console)
    _print_anchors(result.folder, console)
    if line := yield_line(result.manifest["stages"]["candidates"]["facts"].get("yield", {})):
        console.print(line)
    for name, facts in result.manifest["stages"]["verdicts"]["facts"].items():
        told = {what: fact for what, fact in facts.items() if what != WARNINGS}
        plain = {what: fact for what, fact in told.items() if not isinstance(fact, dict)}
        if plain:
            console.print(f"{name}: {as_text(plain)}")
        for what, fact in told.items():
            if what not in plain:
                console.print(f"{name}: {what} {as_text(fact)}")
    if not result.ran:
        console.print("Everything was up to date: nothing was run.")
    config = next(path.name for path in sorted(result.dataset.iterdir()) if path.is_dir())
    console.print("\nLoad the dataset with")
    call = f'load_dataset("{result.dataset}", "{config}", split="train")'
    console.print(f"  from datasets import load_dataset; {call}", soft_wrap=True)


def yield_line(facts: Mapping[str, JsonValue]) -> str:
    """Return what the anchors brought as one line; empty where nothing is recorded.

    Args:
        facts: ``yield`` of the stage ``candidates``.
    """
    if not facts.get("hubs"):
        return ""
    anchors, hubs, silent = facts["anchors"], facts["hubs"], facts["silent"]
    own = "owns" if hubs == 1 else "own"
    return f"{hubs} of {anchors} anchors {own} a third of the candidates; {silent} own none."


def as_text(fact: JsonValue) -> str:
    """Return what a component records of its work as one line, whatever its shape.

    Args:
        fact: A value of the manifest's ``facts``.
    """
    if isinstance(fact, dict):
        return ", ".join(f"{key} {as_text(value)}" for key, value in fact.items())
    if isinstance(fact, list):
        return ", ".join(map(as_text, fact))
    return "none" if fact is None else str(fact)


def print_downloads(folder: Path, console: Console) -> None:
    """Print how many URLs failed and why, names that no longer resolve apart.

    Args:
        folder: The run directory.
        console: Where to.
    """
    downloads = RunDir(folder).read("downloads", ["status", "http_code", "reason"])
    rows = [row for row in downloads.to_pylist() if not DownloadStatus(row["status"]).has_image]
    if not rows:
        return
    table = Table("download", "HTTP", "URLs", "share", "meaning", "for example")
    table.title, table.title_justify = "Not downloaded, and why", "left"
    # A code says more only where the status is about codes.
    kinds = [(row["status"], row["http_code"] if "http" in row["status"] else None) for row in rows]
    examples = dict(zip(reversed(kinds), (row["reason"] for row in reversed(rows)), strict=True))
    for (status, code), count in Counter(kinds).most_common():
        share = f"{count / downloads.num_rows:.1%}"
        example = examples[status, code]
        meaning = DOWNLOAD_STATUSES.get(status, "")
        table.add_row(status, str(code or ""), f"{count:,}", share, meaning, example)
    console.print(table)
    dead = sum(status == DownloadStatus.DNS_ERROR for status, _ in kinds)
    console.print(
        f"Names that no longer resolve: {dead:,} of {downloads.num_rows:,} URLs; "
        f"everything else that failed: {len(rows) - dead:,}."
    )


def print_drops(folder: Path, console: Console) -> None:
    """Print how many rows each filter dropped, with an example of why.

    Args:
        folder: The run directory.
        console: Where to.
    """
    verdicts = RunDir(folder).read("verdicts", ["filter", "reason"])
    reasons = verdicts["reason"].drop_null().to_pylist()
    droppers = verdicts["filter"].drop_null().to_pylist()
    if not reasons:
        return
    table = Table(
        "dropped by", "rows", "for example", title="Dropped, and why", title_justify="left"
    )
    table.columns[1].justify = "right"
    examples = dict(zip(reversed(droppers), reversed(reasons), strict=True))
    for dropper, rows in Counter(droppers).most_common():
        table.add_row(dropper, f"{rows:,}", examples[dropper])
    console.print(table)


def _print_anchors(folder: Path, console: Console) -> None:
    run_dir = RunDir(folder)
    verdicts = run_dir.read("verdicts", ["id", "kept"])
    kept = verdicts.filter(verdicts["kept"])["id"].combine_chunks()
    hits = run_dir.read("neighbors", ["source", "id"])
    found = len(hits.filter(pc.is_in(hits["id"], kept))["source"].unique())
    anchors = len(run_dir.read("anchors", ["source"])["source"].unique())
    share = found / anchors if anchors else 0.0
    console.print(f"{found} of {anchors} anchors ({share:.1%}) found an image that was kept.")
