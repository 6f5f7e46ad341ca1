"""The exact scan's time against faiss.IndexFlatIP, searched in one batch.

python benchmarks/exact_scan_vs_faiss_flat.py [POOL] [--rows 100000] [--rounds 1]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import faiss
import numpy as np
import scan_data

from laion_eo.builtin.exact_scan.scan import Counts, Piece, Scanner
from laion_eo.types import Neighbors

K = 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pool", nargs="?", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    make = scan_data.real_like(args.pool, args.rows) if args.pool else scan_data.random(args.rows)
    pool, anchors = make[0].astype(np.float16), make[1]
    index = faiss.IndexFlatIP(scan_data.DIM)
    index.add(pool.astype(np.float32))
    found: list[Neighbors] = []
    theirs: list[np.ndarray] = []

    def scan() -> None:
        scanner = Scanner(anchors, K, "cpu", Counts())
        floor = np.full(len(anchors), -np.inf, np.float32)
        found[:] = [scanner.scan(Piece(pool, 0, "pool", 0), floor)]
        scanner.close()

    def flat() -> None:
        theirs[:] = [index.search(anchors, K)[1]]

    ours, reference = scan_data.best_of(args.rounds, scan, flat)
    pairs = zip(found[0].ids, theirs[0], strict=True)
    shared = float(np.mean([len(np.intersect1d(mine, other)) / K for mine, other in pairs]))
    detail = {"rows": len(pool), "k": K, "faiss": faiss.__version__, "shared_neighbours": shared}
    detail |= {"vectors": "real-like" if args.pool else "random"}
    scan_data.report("exact_scan_vs_faiss_flat", ours, reference, "s", **detail)


if __name__ == "__main__":
    main()
