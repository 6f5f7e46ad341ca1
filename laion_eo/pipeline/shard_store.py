"""Where a search keeps its finished shards until it is complete."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import numpy as np

from laion_eo.kinds import merge_neighbors
from laion_eo.pipeline.run_dir import write_atomically
from laion_eo.types import Neighbors

_NAME = re.compile(r"(\d+)-(\d+)\.npz")


class ShardStore:
    """Hits of consecutive shards, one file each: ``START-STOP.npz``, written whole or not at all.

    Args:
        folder: Where; created with the first file.
        fingerprint: Of the search: files of any other are of no use.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._folder = folder
        self._mine = folder / fingerprint

    def save(self, start: int, stop: int, found: Neighbors) -> None:
        """Keep the hits of the shards ``start`` to ``stop``."""
        query, rank = np.nonzero(found.ids >= 0)
        stream = io.BytesIO()
        ids, scores = found.ids[query, rank], found.scores[query, rank]
        np.savez(stream, query=query, rank=rank, ids=ids, scores=scores)
        write_atomically(self._mine / f"{start:06d}-{stop:06d}.npz", stream.getvalue())

    def load(self, best: Neighbors) -> tuple[Neighbors, int]:
        """Merge what is kept into ``best``; return that, and the first shard still to do."""
        done = 0
        for path in sorted(self._mine.glob("*.npz")):
            match = _NAME.fullmatch(path.name)
            if match is None or int(match[1]) != done:
                break
            try:
                found = _read(path, best)
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
                break  # cut short with the machine itself: that shard is done again
            best, done = merge_neighbors(best, found), int(match[2])
        return best, done

    def clear(self) -> None:
        """Delete all that is kept, of other searches too."""
        for path in sorted(self._folder.glob("*/*")):
            path.unlink()
        for path in self._folder.glob("*"):
            path.rmdir()
        if self._folder.is_dir():
            self._folder.rmdir()


def _read(path: Path, like: Neighbors) -> Neighbors:
    scores, ids = np.full_like(like.scores, -np.inf), np.full_like(like.ids, -1)
    with np.load(path, allow_pickle=False) as kept:
        scores[kept["query"], kept["rank"]] = kept["scores"]
        ids[kept["query"], kept["rank"]] = kept["ids"]
    return Neighbors(scores, ids)
