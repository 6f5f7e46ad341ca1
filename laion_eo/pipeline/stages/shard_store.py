"""The hits of some shards of a search, and where they are kept until all are searched."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from laion_eo.files import write_atomically
from laion_eo.kinds import merge_neighbors
from laion_eo.types import Neighbors

_NAME = re.compile(r"(\d+)-(\d+)\.npz")


@dataclass(frozen=True)
class Searched:
    """The hits of consecutive shards, and what the retriever counted on the way."""

    neighbors: Neighbors
    counts: Mapping[str, int] = field(default_factory=dict)


def join(lower: Searched, higher: Searched) -> Searched:
    """Return what neighbouring parts of a pool have together, the lower row indices first."""
    counts = Counter(lower.counts)
    counts.update(higher.counts)
    return Searched(merge_neighbors(lower.neighbors, higher.neighbors), dict(counts))


class ShardStore:
    """Hits of consecutive shards, one file each: ``START-STOP.npz``, written atomically.

    Args:
        folder: Where; created with the first file.
        fingerprint: Of the search: files of any other are of no use.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._mine = folder / fingerprint

    def save(self, start: int, stop: int, found: Searched) -> None:
        """Keep the hits of the shards ``start`` to ``stop``."""
        hits = found.neighbors
        query, rank = np.nonzero(hits.ids >= 0)
        stream = io.BytesIO()
        ids, scores = hits.ids[query, rank], hits.scores[query, rank]
        counts = np.array(json.dumps(dict(found.counts)))
        np.savez(stream, query=query, rank=rank, ids=ids, scores=scores, counts=counts)
        write_atomically(self._mine / f"{start:06d}-{stop:06d}.npz", stream.getvalue())

    def load(self, like: Neighbors) -> tuple[Searched, int]:
        """Return all that is kept, and the first shard still to do.

        Args:
            like: No neighbours, of the shape wanted.
        """
        best, done = Searched(like), 0
        for path in sorted(self._mine.glob("*.npz")):
            match = _NAME.fullmatch(path.name)
            if match is None or int(match[1]) != done:
                break
            try:
                found = _read(path, like)
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
                break  # truncated by a power failure: that shard is done again
            best, done = join(best, found), int(match[2])
        return best, done


def _read(path: Path, like: Neighbors) -> Searched:
    scores, ids = np.full_like(like.scores, -np.inf), np.full_like(like.ids, -1)
    with np.load(path, allow_pickle=False) as kept:
        scores[kept["query"], kept["rank"]] = kept["scores"]
        ids[kept["query"], kept["rank"]] = kept["ids"]
        return Searched(Neighbors(scores, ids), json.loads(str(kept["counts"])))
