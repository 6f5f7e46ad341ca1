"""Two Ray workers of one thread against one such worker: the scan's shards, and the same bytes.

    python benchmarks/ray_vs_local.py [--rows 800000] [--anchors 3456] [--rounds 1]

The one worker is the local engine on one thread. The time is that of searching all shards: opening
the pool, reading, searching, sending and merging. It excludes starting Ray and its workers, which a
run does once for all stages; the detail has that time as `start_s`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from functools import partial
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import scan_data

from laion_eo.builtin.retrievers.exact_scan import ExactScan
from laion_eo.component import Context
from laion_eo.kinds import merge_neighbors, no_neighbors
from laion_eo.pipeline.engines.local import Engine, LocalEngine
from laion_eo.pipeline.engines.ray import RayEngine
from laion_eo.testing import random_unit, write_pool
from laion_eo.types import Neighbors

K, SHARDS = 100, 16


class Search:
    """Searches one shard, anywhere; each process opens the pool once, as in a run."""

    def __init__(self, pool: str, rows: int, anchors: int) -> None:
        self._places = (pool, rows, anchors)
        self._opened: list[tuple[ExactScan, scan_data.Vectors]] = []

    def __reduce__(self) -> tuple[object, ...]:
        return Search, self._places

    def __call__(self, shard: int) -> Neighbors:
        """Return what a shard has."""
        if not self._opened:
            pool, rows, anchors = self._places
            config = ExactScan.Config.model_validate({"pool": pool, "shard_rows": rows})
            queries = random_unit(anchors, scan_data.DIM, seed=1)
            self._opened.append((ExactScan(config, Context()), queries))
        scan, queries = self._opened[0]
        floor = np.full(len(queries), -np.inf, np.float32)
        return scan.search_shard(queries, K, shard, floor)


def whole(engine: Engine, task: Search, anchors: int) -> Neighbors:
    """Search all shards and join what they found."""
    best = no_neighbors(anchors, K)
    for _, found in engine.merge(task, merge_neighbors, range(SHARDS)):
        best = merge_neighbors(best, found)
    return best


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=800_000)
    parser.add_argument("--anchors", type=int, default=3456)
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        vectors = random_unit(args.rows, scan_data.DIM).astype(np.float16)
        pool = write_pool(Path(folder), vectors, shards=SHARDS)
        found: dict[str, Neighbors] = {}

        def run(engine: Engine) -> None:
            # A new task, so that neither engine has opened the pool before.
            task = Search(str(pool), -(-args.rows // SHARDS), args.anchors)
            found[type(engine).__name__] = whole(engine, task, args.anchors)

        local, ray = LocalEngine(), RayEngine(None, 2, 1)
        start = scan_data.seconds(lambda: list(ray.map(abs, range(4))))
        alone, together = scan_data.best_of(args.rounds, partial(run, local), partial(run, ray))
        ray.close()
    left, right = found.values()
    same = np.array_equal(left.ids, right.ids) and np.array_equal(left.scores, right.scores)
    detail = {"rows": args.rows, "anchors": args.anchors, "shards": SHARDS, "same_bytes": same}
    detail |= {"workers": 2, "start_s": round(start, 1)}
    detail |= {"times_as_fast": round(alone / together, 2)}
    scan_data.report("ray_vs_local", together, alone, "s", **detail)


if __name__ == "__main__":
    main()
