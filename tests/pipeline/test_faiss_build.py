from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from laion_eo.builtin.faiss_index import FaissIndex
from laion_eo.component import Context
from laion_eo.pipeline.faiss_build import build_faiss, choose_factory
from laion_eo.testing import random_unit, write_pool

VECTORS = random_unit(4000, 32)


@pytest.mark.parametrize(
    ("rows", "factory"),
    [
        (50_000, "Flat"),
        (1_000_000, "IVF4000,SQ8"),
        (100_000_000, "OPQ64_384,IVF40000,PQ64x8"),
    ],
)
def test_the_form_fits_the_size(rows: int, factory: str) -> None:
    assert choose_factory(rows, 768) == factory


@pytest.mark.parametrize("factory", [None, "IVF16,SQ8", "OPQ16_16,IVF16,PQ16x8"])
def test_what_is_built_is_found_in(tmp_path: Path, factory: str | None) -> None:
    faiss: Any = pytest.importorskip("faiss", reason="the extra `faiss` is not installed")
    pool = write_pool(tmp_path, VECTORS.astype(np.float16), shards=3)
    assert build_faiss(pool, factory) == (factory or "Flat")
    assert faiss.read_index(str(pool / "image.index")).ntotal == 4000
    nprobe = 16 if factory else None
    config = FaissIndex.Config.model_validate({"index": str(pool), "nprobe": nprobe})
    mine = FaissIndex(config, Context())
    mine.search(VECTORS[:50], 10)
    assert float(mine.facts()["recall_at_k"]) > (0.2 if factory and "PQ" in factory else 0.9)
