"""Common parts of the benchmarks of the search: vectors, brute force, and the line they print."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from laion_eo.builtin.retrievers.exact_scan import ExactScan
from laion_eo.component import Context

Vectors = NDArray[np.float32]
DIM = 768
ANCHORS = 3456
"""The number of the paper's anchors (section 2.1)."""
NOISE = 0.02
"""Standard deviation a number; the vectors' own numbers are about 0.036."""


def real_like(pool: Path, rows: int, seed: int = 0) -> tuple[Vectors, Vectors]:
    """Return (rows, 768) and (3456, 768): real embeddings, lifted, repeated with noise.

    Args:
        pool: An index folder, as ``laion-eo index ../shared/miniweb --out POOL --embedder tiny``
            makes it; the rows nearest to its first row serve as anchors.
        rows: Rows wanted.
        seed: Of the lift and the noise.
    """
    rng = np.random.default_rng(seed)
    files = sorted((pool / "img_emb").glob("*.npy"))
    real = np.concatenate([np.load(file) for file in files]).astype(np.float32)
    dim = real.shape[1]
    lift = np.linalg.qr(rng.standard_normal((DIM, dim)))[0].T.astype(np.float32)
    # One domain, as anchors are: the pictures nearest to one of them.
    anchors = real[np.argsort(-(real @ real[0]))[:160]]
    return _repeat(real @ lift, rows, rng), _repeat(anchors @ lift, ANCHORS, rng)


def random(rows: int) -> tuple[Vectors, Vectors]:
    """Return (rows, 768) and (3456, 768) in random directions."""
    from laion_eo.testing import random_unit

    return random_unit(rows, DIM), random_unit(ANCHORS, DIM, seed=1)


def arguments(description: str, rounds: int) -> argparse.Namespace:
    """Parse what the benchmarks of the scan take: POOL, ``--rows``, ``--rounds``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("pool", nargs="?", type=Path)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=rounds)
    return parser.parse_args()


@contextmanager
def scanned(args: argparse.Namespace) -> Iterator[tuple[ExactScan, NDArray[np.float16], Vectors]]:
    """Yield a scan over a pool on disk, its vectors in float16, and the anchors.

    Args:
        args: With a pool the vectors are real-like, without one random.
    """
    from laion_eo.testing import write_pool

    wide, anchors = real_like(args.pool, args.rows) if args.pool else random(args.rows)
    vectors = wide.astype(np.float16)
    with tempfile.TemporaryDirectory() as folder:
        pool = write_pool(Path(folder), vectors)
        config = ExactScan.Config.model_validate({"pool": str(pool), "device": "cpu"})
        yield ExactScan(config, Context()), vectors, anchors


def _repeat(values: Vectors, rows: int, rng: np.random.Generator) -> Vectors:
    many = np.resize(values, (rows, DIM))
    many += NOISE * rng.standard_normal((rows, DIM), dtype=np.float32)
    many /= np.linalg.norm(many, axis=1, keepdims=True)
    return many


def seconds(work: Callable[[], object]) -> float:
    """Return the wall time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def best_of(rounds: int, *works: Callable[[], object]) -> list[float]:
    """Return the shortest time of each, measured in turns so that a busy moment affects all alike.

    Each works twice in its turn: the first time it may wait for memory that another gave back.
    """
    times = [[min(seconds(work), seconds(work)) for work in works] for _ in range(rounds)]
    return [min(column) for column in zip(*times, strict=True)]


def report(name: str, ours: float, reference: float, unit: str, **detail: object) -> None:
    """Print the one JSON line; the ratio is ours / reference."""
    values = {"ours": round(ours, 3), "reference": round(reference, 3)}
    ratio = round(ours / reference, 3)
    detail["cores"] = len(os.sched_getaffinity(0))
    print(json.dumps({"name": name, **values, "ratio": ratio, "unit": unit, "detail": detail}))
