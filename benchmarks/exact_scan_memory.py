"""Peak memory of the exact scan over a pool on disk, at 1,000,000 rows against 100,000.

    python benchmarks/exact_scan_memory.py [--folder DIR] [--anchors 256] [--memory-mb 128]

The limit must be below the size of 100,000 rows (154 MB); otherwise, the small pool fits in memory.
The detail also has the peak at the default limit, which the small pool does not reach.
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
import sys
from pathlib import Path
from laion_eo.builtin.retrievers.exact_scan import ExactScan
from laion_eo.component import Context
from laion_eo.testing import random_unit
queries = random_unit(int(sys.argv[2]), 768, seed=1)
limit = {"memory_mb": int(sys.argv[3])} if len(sys.argv) > 3 else {}
config = ExactScan.Config.model_validate({"pool": sys.argv[1], "k": 100, **limit})
assert (ExactScan(config, Context()).search(queries, 100).ids >= 0).all()
# Not ru_maxrss, which a new process takes over from the one that started it.
status = Path("/proc/self/status").read_text().split()
print(status[status.index("VmHWM:") + 1])
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


def peak(pool: Path, anchors: int, *memory_mb: int) -> float:
    """Return the megabytes of a fresh process that scans the pool."""
    command = [sys.executable, "-c", SCAN, str(pool), str(anchors), *map(str, memory_mb)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1]) / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--anchors", type=int, default=256)
    parser.add_argument("--memory-mb", type=int, default=128)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        pool = Path(folder)
        peaks = []
        for shards in (1, 10):
            grow(pool, shards)
            peaks.append(peak(pool, args.anchors, args.memory_mb))
        default = peak(pool, args.anchors)
    detail = {"rows": [SHARD, 10 * SHARD], "anchors": args.anchors, "memory_mb": args.memory_mb}
    detail |= {"at_the_default_limit": round(default)}
    scan_data.report("exact_scan_memory", peaks[1], peaks[0], "MB", **detail)


if __name__ == "__main__":
    main()
