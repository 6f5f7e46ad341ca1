from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laion_eo.pipeline.vectors.stored import StoredVectors, to_bytes
from laion_eo.schema import EMBEDDINGS
from laion_eo.types import Embeddings

DRAW = np.random.default_rng(0).normal(size=(30, 48)).astype(np.float32)
UNIT: Embeddings = DRAW / np.linalg.norm(DRAW, axis=1, keepdims=True)
NAMES = [f"{row:064x}" for row in range(30)]


def stored(folder: Path, dtype: str) -> StoredVectors:
    """Three parts of ten vectors; the last one's image is damaged."""
    vectors: list[bytes | None] = [*to_bytes(UNIT, dtype)]
    vectors[-1] = None
    for part in range(3):
        here = slice(10 * part, 10 * part + 10)
        errors = [None if vector else "truncated" for vector in vectors[here]]
        columns = [["m"] * 10, NAMES[here], errors, ["embedded"] * 10, vectors[here]]
        pq.write_table(pa.table(columns, schema=EMBEDDINGS), folder / f"{part}.parquet")
    parts = [folder / f"{part}.parquet" for part in range(3)]
    return StoredVectors(parts, lambda path, names: pq.read_table(path, columns=names), dtype)


@pytest.mark.parametrize(("dtype", "atol"), [("float32", 0.0), ("float16", 3e-4)])
def test_vectors_come_in_the_order_asked_for(tmp_path: Path, dtype: str, atol: float) -> None:
    order = np.random.default_rng(1).permutation(29)
    found = stored(tmp_path, dtype).read("m", [NAMES[row] for row in order])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, UNIT[order], rtol=0, atol=atol)


def test_what_float16_rounds_has_length_1_again(tmp_path: Path) -> None:
    found = stored(tmp_path, "float16").read("m", NAMES[:29])
    assert (
        np.abs(np.linalg.norm(UNIT.astype(np.float16).astype(np.float64), axis=1) - 1).max() > 1e-6
    )
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, rtol=0, atol=3e-7)


def test_an_image_without_a_vector(tmp_path: Path) -> None:
    vectors = stored(tmp_path, "float32")
    assert vectors.errors == {("m", NAMES[29]): "truncated"}
    assert not vectors.has("m", NAMES[29])
    with pytest.raises(KeyError):
        vectors.read("m", NAMES[28:])


def test_nothing_is_asked_for(tmp_path: Path) -> None:
    assert stored(tmp_path, "float32").read("m", []).shape[0] == 0
