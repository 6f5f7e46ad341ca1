"""The hits of some shards of a search, and where they are kept until all are searched."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from laion_eo.files import write_atomically
from laion_eo.kinds import merge_neighbors
from laion_eo.types import Neighbors

logger = logging.getLogger("laion_eo")

_NAME = re.compile(r"(\d+)-(\d+)-([0-9a-f]{16})\.npz")


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
    """Hits of consecutive shards, one file each: ``START-STOP-HASH.npz``, written atomically.

    The hash is that of the file's content: a damaged one is done again.

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
        content = stream.getvalue()
        name = f"{start:06d}-{stop:06d}-{_hash(content)}.npz"
        write_atomically(self._mine / name, content)

    def load(self, like: Neighbors) -> tuple[Searched, int]:
        """Return all that is kept, and the first shard still to do.

        Args:
            like: No neighbours, of the shape wanted.
        """
        best, done = Searched(like), 0
        for path in sorted(self._mine.glob("*.npz")):
            match, content = _NAME.fullmatch(path.name), path.read_bytes()
            if match is None or int(match[1]) != done or _hash(content) != match[3]:
                # Damaged, or after one that is: its shards are done again.
                logger.warning("%s: damaged, or others are missing; it is searched again", path)
                path.unlink()
                continue
            best, done = join(best, _read(content, like)), int(match[2])
        return best, done


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _read(content: bytes, like: Neighbors) -> Searched:
    scores, ids = np.full_like(like.scores, -np.inf), np.full_like(like.ids, -1)
    with np.load(io.BytesIO(content), allow_pickle=False) as kept:
        scores[kept["query"], kept["rank"]] = kept["scores"]
        ids[kept["query"], kept["rank"]] = kept["ids"]
        return Searched(Neighbors(scores, ids), json.loads(str(kept["counts"])))
