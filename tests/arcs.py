"""Small seeded pools with a domain of their own, and anchors of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from laion_eo.builtin.retrievers.exact_scan import ExactScan
from laion_eo.component import Context
from laion_eo.kinds import AnchorSet
from laion_eo.schema import ANCHORS
from laion_eo.testing import random_unit, write_pool
from laion_eo.types import Embeddings

DIM = 16


def unit(values: NDArray[np.floating]) -> Embeddings:
    """Rows of length 1."""
    scaled: Embeddings = (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)
    return scaled


def arc(degrees: Sequence[float] | NDArray[np.floating]) -> Embeddings:
    """Vectors in one plane, at these angles: neighbours in a row."""
    angles = np.radians(np.asarray(degrees, np.float64))
    flat = np.zeros((len(angles), DIM))
    flat[:, 0], flat[:, 1] = np.cos(angles), np.sin(angles)
    return unit(flat)


def away(rows: int, seed: int = 7) -> Embeddings:
    """Vectors at right angles to the plane of :func:`arc`."""
    flat = random_unit(rows, DIM, seed)
    flat[:, :2] = 0
    return unit(flat)


def anchor_set(
    vectors: Embeddings, sources: Sequence[int] | None = None, texts: Sequence[int] = ()
) -> AnchorSet:
    """Anchors of these vectors, one view each unless a source comes twice."""
    sources = range(len(vectors)) if sources is None else sources
    rows = [
        {"source": s, "anchor_id": f"a{s}", "view": i, "text": f"t{s}" if i in texts else None}
        for i, s in enumerate(sources)
    ]
    columns = ANCHORS.remove(len(ANCHORS) - 1)
    return AnchorSet(columns.empty_table().from_pylist(rows, schema=columns), vectors)


def scan(folder: Path, vectors: Embeddings, **options: object) -> ExactScan:
    """An exact scan over a pool of these vectors."""
    write_pool(folder, vectors, shards=2)
    config = ExactScan.Config.model_validate({"pool": str(folder), **options})
    return ExactScan(config, Context())
