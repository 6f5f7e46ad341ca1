"""Peak memory of the exact scan over a pool on disk, at 1,000,000 rows against 100,000.

python benchmarks/exact_scan_memory.py [--folder DIR] [--anchors 256]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import scan_data

SHARD = 100_000
SCAN = """
import resource, sys
from laion_eo.builtin.exact_scan import ExactScan
from laion_eo.component import Context
from laion_eo.testing import random_unit
queries = random_unit(int(sys.argv[2]), 768, seed=1)
config = ExactScan.Config.model_validate({"pool": sys.argv[1], "k": 100})
assert (ExactScan(config, Context()).search(queries, 100).ids >= 0).all()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def grow(pool: Path, shards: int) -> None:
    """Write shards until there are so many."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from laion_eo.testing import random_unit

    for name in ("img_emb", "metadata"):
        (pool / name).mkdir(parents=True, exist_ok=True)
    for number in range(len(list((pool / "img_emb").iterdir())), shards):
        vectors = random_unit(SHARD, scan_data.DIM, seed=number).astype(np.float16)
        np.save(pool / "img_emb" / f"img_emb_{number:03d}.npy", vectors)
        texts = pa.array([""] * SHARD)
        table = pa.table({"url": texts, "caption": texts})
        pq.write_table(table, pool / "metadata" / f"metadata_{number:03d}.parquet")


def peak(pool: Path, anchors: int) -> float:
    """Return the megabytes of a fresh process that scans the pool."""
    command = [sys.executable, "-c", SCAN, str(pool), str(anchors)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1]) / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--anchors", type=int, default=256)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        pool = Path(folder)
        peaks = []
        for shards in (1, 10):
            grow(pool, shards)
            peaks.append(peak(pool, args.anchors))
    detail = {"rows": [SHARD, 10 * SHARD], "anchors": args.anchors}
    scan_data.report("exact_scan_memory", peaks[1], peaks[0], "MB", **detail)


if __name__ == "__main__":
    main()
