"""The exact scan's time, over a pool on disk, against faiss.IndexFlatIP searched in one batch.

    python benchmarks/exact_scan_vs_faiss_flat.py [POOL] [--rows 200000] [--rounds 2]

Without POOL (an index folder of real pictures; see scan_data.py) the vectors are random. faiss has
its vectors in memory as float32 beforehand; the scan reads them from disk in each round.
"""

from __future__ import annotations

import faiss
import numpy as np
import scan_data

from laion_eo.types import Neighbors

K = 1000


def main() -> None:
    """Measure and print."""
    args = scan_data.arguments(__doc__, rounds=2)
    with scan_data.scanned(args) as (scan, pool, anchors):
        index = faiss.IndexFlatIP(scan_data.DIM)
        index.add(pool.astype(np.float32))
        found: list[Neighbors] = []
        theirs: list[np.ndarray] = []

        def ours() -> None:
            found[:] = [scan.search(anchors, K)]

        def flat() -> None:
            theirs[:] = [index.search(anchors, K)[1]]

        mine, reference = scan_data.best_of(args.rounds, ours, flat)
    pairs = zip(found[0].ids, theirs[0], strict=True)
    shared = float(np.mean([len(np.intersect1d(row, other)) / K for row, other in pairs]))
    detail = {"rows": len(pool), "k": K, "faiss": faiss.__version__, "shared_neighbours": shared}
    detail |= {"vectors": "real-like" if args.pool else "random"}
    scan_data.report("exact_scan_vs_faiss_flat", mine, reference, "s", **detail)


if __name__ == "__main__":
    main()
