"""Near-duplicates by embedding: the time of the filter, against all pairs by matrix products.

The vectors are clusters about random centres, like those of one domain's pictures; a fifth of them
are copies of others with a little noise (cosine about 0.98). Ours is the complete filter
`duplicates`, from the table to the verdicts. The reference compares all pairs in numpy, in the same
run: some rows times all others, extrapolated to half of n x n pairs. What the filter misses is
counted on rows that it kept: those that have another kept row within the cosine.

    python benchmarks/near_duplicates_embeddings.py --rows 200000
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from laion_eo.builtin.filters.duplicates import Duplicates
from laion_eo.component import Context
from laion_eo.kinds import FitData
from laion_eo.types import Verdict

DIM = 512
COSINE = 0.96
CLUSTER = 100
"""Rows about one centre, on average."""
SAMPLE = 4096
"""Rows that are compared with all others."""

Vectors = NDArray[np.float32]


def unit(vectors: Vectors) -> Vectors:
    """Return the vectors with length 1."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def make_vectors(rows: int, rng: np.random.Generator) -> NDArray[np.float16]:
    """Return clusters and copies in random order: cosines of 0.6 in a cluster, 0.98 of a copy."""
    centres = unit(rng.standard_normal((max(1, rows // CLUSTER), DIM), dtype=np.float32))
    vectors = np.empty((rows, DIM), np.float16)
    for start in range(0, rows, SAMPLE):
        some = vectors[start : start + SAMPLE]
        noise = unit(rng.standard_normal(some.shape, dtype=np.float32))
        some[:] = unit(centres[rng.integers(0, len(centres), len(some))] + 0.8 * noise)
    for start in range(0, rows // 5, SAMPLE):
        copies = vectors[start : min(start + SAMPLE, rows // 5)].astype(np.float32)
        noise = unit(rng.standard_normal(copies.shape, dtype=np.float32))
        vectors[rows - start - len(copies) : rows - start] = unit(copies + 0.2 * noise)
    return np.asarray(vectors[rng.permutation(rows)])


def judge(vectors: NDArray[np.float16]) -> Verdict:
    """Run the filter over a table of these embeddings."""
    rows = len(vectors)
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * DIM)
    table = pa.table(
        {
            "id": np.arange(rows),
            "width": np.full(rows, 300),
            "height": np.full(rows, 300),
            "fast_similarity": np.zeros(rows, np.float32),
            "embedding": pa.ListArray.from_arrays(offsets, pa.array(vectors.ravel())),
        }
    )
    filter_ = Duplicates(Duplicates.Config(by=("embedding",), cosine=COSINE), Context())
    filter_.fit(FitData(table))
    return filter_.keep(table)


def all_pairs(some: Vectors, vectors: NDArray[np.float16]) -> NDArray[np.int64]:
    """Return how many of the vectors are within the cosine of each of some, itself included."""
    near = np.zeros(len(some), dtype=np.int64)
    for start in range(0, len(vectors), SAMPLE):
        others = vectors[start : start + SAMPLE].astype(np.float32)
        near += (some @ others.T >= COSINE).sum(axis=1)
    return near


def main() -> None:
    """Measure, and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    rows = parser.parse_args().rows
    rng = np.random.default_rng(7)
    vectors = make_vectors(rows, rng)
    started = time.perf_counter()
    verdict = judge(vectors)
    ours = time.perf_counter() - started
    kept = vectors[verdict.mask]
    some = kept[rng.choice(len(kept), min(SAMPLE, len(kept)), replace=False)].astype(np.float32)
    started = time.perf_counter()
    near = all_pairs(some, vectors)
    theirs = (time.perf_counter() - started) * rows / len(some) / 2
    detail = {
        "rows": rows,
        "dim": DIM,
        "cosine": COSINE,
        "dropped": int((~verdict.mask).sum()),
        "kept_rows_with_a_copy": round(float((near > 1).mean()), 4),
        "kept_rows_whose_copy_is_kept": round(float((all_pairs(some, kept) > 1).mean()), 6),
        "reference": f"extrapolated from {len(some)} rows against all; each pair counts once",
    }
    line = {"name": "near_duplicates_embeddings", "ours": round(ours, 1)}
    line |= {"reference": round(theirs, 1), "ratio": round(theirs / ours, 1)}
    print(json.dumps({**line, "unit": f"seconds to group {rows} embeddings", "detail": detail}))


if __name__ == "__main__":
    main()
