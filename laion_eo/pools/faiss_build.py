"""Builds a FAISS index of a pool's vectors, of a type that suits their number."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from laion_eo.builtin.retrievers.pool_record import FAISS
from laion_eo.errors import ConfigError
from laion_eo.file_record import record_file
from laion_eo.files import written_aside
from laion_eo.pools.pool_folder import PoolFolder

FLAT_ROWS = 50_000
"""Up to so many rows a flat index, which is exact, answers in milliseconds."""
SQ8_ROWS = 5_000_000
"""Up to so many rows one byte per number fits into memory; beyond, product quantisation."""
TRAIN_PER_CELL = 64
"""Vectors per cell that an index is trained with."""


def choose_factory(rows: int, dim: int) -> str:
    """Return faiss's name of a type of index that suits so many rows.

    Examples:
        >>> choose_factory(1_000, 768), choose_factory(1_000_000, 768)
        ('Flat', 'IVF4000,SQ8')
        >>> choose_factory(100_000_000, 768)
        'OPQ64_384,IVF40000,PQ64x8'
    """
    if rows <= FLAT_ROWS:
        return "Flat"
    cells = 4 * math.isqrt(rows)
    if rows <= SQ8_ROWS or dim % 2:
        return f"IVF{cells},SQ8"
    codes = next((count for count in (64, 48, 32, 16, 8, 4, 2) if (dim // 2) % count == 0), 1)
    return f"OPQ{codes}_{dim // 2},IVF{cells},PQ{codes}x8"


def require_faiss() -> Any:
    """Return the package faiss.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        import faiss
    except ImportError:
        raise ConfigError('index --faiss: pip install "laion-eo[faiss]" first.') from None
    return faiss


def build_faiss(pool: Path, factory: str | None = None) -> str:
    """Write ``image.index`` beside ``img_emb/``, and return its type.

    The record of a pool of ours vouches for it from then on.

    Args:
        pool: The pool's folder.
        factory: faiss's name of a type of index; chosen by the number of rows by default.

    Raises:
        ConfigError: faiss is not installed.
    """
    faiss = require_faiss()
    files = sorted((pool / "img_emb").glob("*.npy"))
    shards = [np.load(file, mmap_mode="r", allow_pickle=False) for file in files]
    rows, dim = sum(map(len, shards)), shards[0].shape[1]
    chosen = factory or choose_factory(rows, dim)
    index = faiss.index_factory(dim, chosen, faiss.METRIC_INNER_PRODUCT)
    if not index.is_trained:
        cells = faiss.extract_index_ivf(index).nlist
        step = max(1, rows // (TRAIN_PER_CELL * cells))
        index.train(np.concatenate([shard[::step] for shard in shards]).astype(np.float32))
    for shard in shards:
        index.add(np.asarray(shard, dtype=np.float32))
    record = PoolFolder(pool).read()
    others = [file for file in record.files if file.path != FAISS] if record else []
    if record:  # it must not vouch for the one that is about to be replaced
        PoolFolder(pool).write(record.changed(files=others))
    with written_aside(pool / FAISS) as aside:
        faiss.write_index(index, str(aside))
    if record:
        file = record_file(pool, pool / FAISS, rows)
        PoolFolder(pool).write(record.changed(files=[*others, file]))
    return chosen
