"""The exact scan's time against the bare float32 matrix product of the same size.

    python benchmarks/exact_scan_vs_gemm.py [POOL] [--rows 200000] [--rounds 2]

Without POOL (an index folder of real pictures; see scan_data.py) the vectors are random.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import scan_data
import torch

from laion_eo.builtin.exact_scan.scan import Counts, Piece, Scanner
from laion_eo.kinds import merge_neighbors, no_neighbors
from laion_eo.types import Neighbors

K, BLOCK, CHECKED = 1000, 16_384, 64


def main() -> None:
    """Measure, compare with brute force, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pool", nargs="?", type=Path)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    make = scan_data.real_like(args.pool, args.rows) if args.pool else scan_data.random(args.rows)
    pool, anchors = make[0].astype(np.float16), make[1]
    wide, left = torch.from_numpy(pool).float(), torch.from_numpy(anchors)
    found: list[Neighbors] = []
    seen: list[Counts] = []

    def gemm() -> None:
        for start in range(0, len(wide), BLOCK):
            left @ wide[start : start + BLOCK].T

    def scan() -> None:
        best = no_neighbors(len(anchors), K)
        seen[:] = [Counts()]
        scanner = Scanner(anchors, K, "cpu", seen[0])
        for start in range(0, len(pool), 1 << 18):
            piece = Piece(pool[start : start + (1 << 18)], start, "pool", start)
            best = merge_neighbors(best, scanner.scan(piece, best.scores[:, -1]))
        scanner.close()
        found[:] = [best]

    reference, ours = scan_data.best_of(args.rounds, gemm, scan)
    sample = np.linspace(0, len(anchors) - 1, CHECKED).astype(int)
    scores = (anchors[sample].astype(np.float64) @ pool.astype(np.float64).T).astype(np.float32)
    ids = np.argsort(-scores, axis=1, kind="stable")[:, :K]
    same = np.array_equal(found[0].ids[sample], ids)
    same &= np.array_equal(found[0].scores[sample], np.take_along_axis(scores, ids, axis=1))
    kind = "real-like" if args.pool else "random"
    detail = {"rows": len(pool), "anchors": len(anchors), "k": K, "vectors": kind}
    detail |= {
        "identical_to_brute_force": bool(same),
        "anchors_checked": CHECKED,
        **seen[0].facts(),
    }
    scan_data.report("exact_scan_vs_gemm", ours, reference, "s", **detail)


if __name__ == "__main__":
    main()
