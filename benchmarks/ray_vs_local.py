"""Two Ray workers of one thread against one such worker: the scan's shards, and the same bytes.

    python benchmarks/ray_vs_local.py [--rows 400000] [--anchors 1024]

The one worker is the local engine on one thread. Starting Ray is not counted: a first small search
does that. Starting the workers is: the engine starts them anew for each search.
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

from laion_eo.builtin.exact_scan import ExactScan
from laion_eo.component import Context
from laion_eo.kinds import merge_neighbors, no_neighbors
from laion_eo.pipeline.engine import Engine, LocalEngine
from laion_eo.pipeline.ray_engine import RayEngine
from laion_eo.testing import random_unit, write_pool
from laion_eo.types import Neighbors

K, SHARDS = 100, 16


def search(pool: str, rows: int, anchors: int, shard: int) -> Neighbors:
    """Search one shard, anywhere."""
    options = {"pool": pool, "shard_rows": rows}
    scan = ExactScan(ExactScan.Config.model_validate(options), Context())
    floor = np.full(anchors, -np.inf, np.float32)
    return scan.search_shard(random_unit(anchors, scan_data.DIM, seed=1), K, shard, floor)


def whole(engine: Engine, task: partial[Neighbors], anchors: int) -> Neighbors:
    """Search all shards and join what they found."""
    best = no_neighbors(anchors, K)
    for _, found in engine.merge(task, merge_neighbors, range(SHARDS)):
        best = merge_neighbors(best, found)
    return best


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--anchors", type=int, default=1024)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        vectors = random_unit(args.rows, scan_data.DIM).astype(np.float16)
        pool = write_pool(Path(folder), vectors, shards=SHARDS)
        task = partial(search, str(pool), -(-args.rows // SHARDS), args.anchors)
        found: dict[str, Neighbors] = {}

        def run(engine: Engine) -> None:
            found[type(engine).__name__] = whole(engine, task, args.anchors)

        local, ray = LocalEngine(), RayEngine(None, 2, 1)
        list(ray.map(task, range(2)))
        alone, together = scan_data.best_of(1, partial(run, local), partial(run, ray))
    left, right = found.values()
    same = np.array_equal(left.ids, right.ids) and np.array_equal(left.scores, right.scores)
    detail = {"rows": args.rows, "anchors": args.anchors, "shards": SHARDS, "same_bytes": same}
    scan_data.report("ray_vs_local", alone, together, "s", workers=2, **detail)


if __name__ == "__main__":
    main()
