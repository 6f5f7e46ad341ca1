"""Small pools of ours: of a few shards, whole or stopped in the middle."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from interrupted import Interrupted

from laion_eo.builtin.retrievers.pool_record import IndexArguments
from laion_eo.pools.indexing import Indexer
from laion_eo.pools.sources import open_source
from laion_eo.testing.web import GREEN, RED, picture

SHARD, BATCH, SAVED = 10, 2, 4
"""Images of a shard, of a batch, and of what is saved of a shard in progress."""


def write_pictures(folder: Path, count: int = 25, broken: tuple[int, ...] = ()) -> Path:
    """Write small pictures, ``00.png`` and so on; the broken ones are none."""
    folder.mkdir()
    for number in range(count):
        path = folder / f"{number:02d}.png"
        if number in broken:
            path.write_text(f"no picture {number}")
        else:
            picture(number, RED if number % 3 else GREEN, 30).save(path)
    return folder


def indexed(pictures: Path, out: Path, limit: int = 10_000, **options: Any) -> Interrupted:
    """Index a folder into shards of ten, until so many pictures are embedded.

    Returns:
        The embedder, which has counted the pictures.
    """

    def fetch() -> Any:
        raise AssertionError("nothing is fetched")

    model = options.pop("model", None) or Interrupted(limit)
    asked = IndexArguments(pool=str(pictures), embedder={"use": "colours"})
    sizes = {"shard_rows": SHARD, "batch_rows": BATCH, "save_rows": SAVED, "asked": asked}
    source = open_source(pictures, fetch)
    with suppress(KeyboardInterrupt):
        Indexer(source, out, model, "http://h/", **{**sizes, **options}).run(source.entries())
    found: Interrupted = model
    return found


def content_of(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder by their path, but for the lock."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(files)}
