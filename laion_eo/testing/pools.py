"""Pools in the layout of clip-retrieval, made from vectors at hand."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray


def write_pool(
    folder: Path, vectors: NDArray[np.floating], shards: int = 1, shift: int = 0
) -> Path:
    """Write ``img_emb/*.npy`` and ``metadata/*.parquet``; row i has the URL ``http://pool/i``.

    Args:
        folder: Where to; created if it is not there.
        vectors: (rows, dim); stored in their own dtype.
        shards: Number of files, about equally long.
        shift: Moves the bounds of the metadata's files by so many rows against the vectors'.

    Returns:
        The folder.
    """
    bounds = np.linspace(0, len(vectors), shards + 1).astype(int)
    for name in ("img_emb", "metadata"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number, (start, stop) in enumerate(pairwise(bounds)):
        np.save(folder / "img_emb" / f"img_emb_{number:03d}.npy", vectors[start:stop])
        first = start + shift * (number > 0)
        last = stop + shift * (number < shards - 1)
        rows = range(first, last)
        table = pa.table(
            {
                "url": pa.array([f"http://pool/{row}" for row in rows], pa.string()),
                "caption": pa.array([f"row {row}" for row in rows], pa.string()),
            }
        )
        pq.write_table(table, folder / "metadata" / f"metadata_{number:03d}.parquet")
    return folder


def random_unit(rows: int, dim: int, seed: int = 0) -> NDArray[np.float32]:
    """Return float32 (rows, dim), each row of length 1, in random directions."""
    values = np.random.default_rng(seed).standard_normal((rows, dim), dtype=np.float32)
    unit: NDArray[np.float32] = values / np.linalg.norm(values, axis=1, keepdims=True)
    return unit
