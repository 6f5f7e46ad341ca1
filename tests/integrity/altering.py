"""What can be done to the files of a run: to their bytes, rows, numbers and names."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from crash.power_loss import damaged

from laion_eo.fingerprint import file_sha256
from laion_eo.types import JSON

SHARD = "dataset/ver-0/train-00000-of-00001.parquet"
CROISSANT = "dataset/croissant-ver-0.json"
CARD = "dataset/README.md"
HOWS = ("emptied", "cut", "zeroed", "flipped", "deleted", "linked", "a folder")


# --- files ---------------------------------------------------------------------------------------


def first(run: Path, pattern: str) -> Path:
    """Return the last file of a pattern: of some parts, the newest."""
    return sorted(run.glob(pattern))[-1]


def harm(run: Path, pattern: str, how: str) -> None:
    """Damage a file."""
    path = first(run, pattern)
    content = path.read_bytes()
    if how in HOWS[:4]:
        path.write_bytes(damaged(content, how, Random(f"{pattern} {how}")))
        return
    path.unlink()
    if how == "linked":
        aside = run.with_name(f"{run.name}-aside")
        aside.write_bytes(content)
        path.symlink_to(aside)
    elif how == "a folder":
        path.mkdir()


def swap(run: Path, pattern: str) -> None:
    """Let two files change their places."""
    one, other = sorted(run.glob(pattern))[:2]
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


def put(run: Path, name: str, content: bytes = b"of somebody") -> None:
    """Put a file beside the others."""
    path = run / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def remove(run: Path, name: str) -> None:
    """Remove a folder, or a file."""
    path = run / name
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def link(run: Path, name: str) -> None:
    """Put a folder elsewhere, and a link in its place."""
    aside = run.with_name(f"{run.name}-aside")
    (run / name).rename(aside)
    (run / name).symlink_to(aside)


def rename(run: Path, pattern: str, found: str, instead: str) -> None:
    """Give a file another name."""
    path = first(run, pattern)
    path.rename(path.with_name(re.sub(found, instead, path.name, count=1)))


def copy(run: Path, pattern: str, name: str) -> None:
    """Put a copy of a file elsewhere."""
    shutil.copy(first(run, pattern), run / name)


def text(run: Path, name: str, found: str, instead: str) -> None:
    """Replace the first match of a pattern in a text file; there must be one."""
    path = run / name
    before = path.read_text("utf-8")
    after, count = re.subn(found, instead, before, count=1)
    assert count, f"{name} has no {found!r}"
    assert after != before
    path.write_text(after, "utf-8")


def link_to(run: Path, name: str) -> None:
    """Put a link to a file of the machine's."""
    (run / name).symlink_to("/etc/passwd")


def append(run: Path, pattern: str) -> None:
    """Add a byte to the end of a file."""
    path = first(run, pattern)
    path.write_bytes(path.read_bytes() + b"\0")


# --- tables --------------------------------------------------------------------------------------


def rows(run: Path, pattern: str, change: Callable[[pa.Table], pa.Table]) -> Path:
    """Write a table anew with other rows, as whoever made it would have; return its file."""
    path = first(run, pattern)
    table = pq.ParquetFile(path).read()
    pq.write_table(change(table), path, compression="zstd")
    return path


def dropped(table: pa.Table) -> pa.Table:
    return table.slice(1)


def doubled(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table, table.slice(0, 1)])


def swapped(table: pa.Table) -> pa.Table:
    return table.take([1, 0, *range(2, table.num_rows)])


def column(name: str, change: Callable[[JSON], JSON]) -> Callable[[pa.Table], pa.Table]:
    """Return what changes the first value of a column."""

    def changed(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index(name)
        field = table.schema.field(place)
        values = table[name].to_pylist()
        values[0] = change(values[0])
        return table.set_column(place, field, pa.array(values, field.type))

    return changed


def without(name: str) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.drop_columns([name])


def wider(table: pa.Table) -> pa.Table:
    return table.append_column("secret", pa.array(["x"] * table.num_rows))


def cast(name: str, kind: pa.DataType) -> Callable[[pa.Table], pa.Table]:
    def changed(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index(name)
        return table.set_column(place, name, table[name].cast(kind))

    return changed


def reordered(table: pa.Table) -> pa.Table:
    return table.select([*table.column_names[1:], table.column_names[0]])


VALUES: dict[str, Callable[[pa.Table], pa.Table]] = {
    "anchors": column("embedding", lambda vector: [*vector[1:], vector[0]]),
    "neighbors": column("fast_similarity", lambda value: value + 1e-6),
    "candidates": column("caption", lambda value: f"{value}!"),
    "downloads": column("final_url", lambda value: f"{value}?"),
    "embeddings": column("vector", lambda vector: vector[2:] + vector[:2]),
    "fitted_scores": column("combined", lambda value: value - 1e-6),
    "anchor_scores": column("image_similarity", lambda value: value - 1e-6),
    "scores": column("image_similarity", lambda value: value - 1e-6),
    "languages": column("lang", lambda _: "fr"),
    "verdicts": column("reason", lambda value: None if value else "too nice"),
}
"""A change of one value in the table of each stage."""


# --- records -------------------------------------------------------------------------------------


def edit(run: Path, name: str, change: Callable[[Any], None]) -> None:
    """Edit a JSON file."""
    path = run / name
    data = json.loads(path.read_text("utf-8"))
    change(data)
    path.write_text(json.dumps(data, indent=1), "utf-8")


def more(*keys: str | int) -> Callable[[Any], None]:
    """Return what adds one to a number, however deep, or a digit to a text."""

    def change(data: Any) -> None:
        *path, last = keys
        for key in path:
            data = data[key]
        value = data[last]
        data[last] = f"{value}0" if isinstance(value, str) else value + 1

    return change


def lacking(*keys: str | int) -> Callable[[Any], None]:
    """Return what removes a key, however deep."""

    def change(data: Any) -> None:
        *path, last = keys
        for key in path:
            data = data[key]
        del data[last]

    return change


def other_hash(*keys: str | int) -> Callable[[Any], None]:
    """Return what replaces a hash by another."""

    def change(data: Any) -> None:
        *path, last = keys
        for key in path:
            data = data[key]
        data[last] = "0" * len(data[last])

    return change


# --- a dataset alone -----------------------------------------------------------------------------


def consistent(
    run: Path, change: Callable[[pa.Table], pa.Table] | None, fit_card: bool = True
) -> None:
    """Change the dataset's table, and let Croissant and the card say what fits its bytes."""
    path = rows(run, SHARD, change or (lambda table: table))
    digest, size = file_sha256(path), path.stat().st_size
    edit(run, CROISSANT, lambda data: data["distribution"][0].update(sha256=digest))
    if fit_card:
        text(run, CARD, r"download_size: \d+", f"download_size: {size}")
