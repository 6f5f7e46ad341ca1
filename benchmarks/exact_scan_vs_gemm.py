"""The exact scan's time, over a pool on disk, against the bare float32 product of the same size.

    python benchmarks/exact_scan_vs_gemm.py [POOL] [--rows 200000] [--rounds 2]

Without POOL (an index folder of real pictures; see scan_data.py) the vectors are random. The bare
product is torch's; it has its vectors in memory beforehand, the scan reads them in each round.
"""

from __future__ import annotations

import numpy as np
import scan_data
import torch
from numpy.typing import NDArray

from laion_eo.types import Neighbors

K, BLOCK, CHECKED = 1000, 16_384, 64


def main() -> None:
    """Measure, compare with brute force, print."""
    args = scan_data.arguments(__doc__, rounds=2)
    with scan_data.scanned(args) as (scan, pool, anchors):
        wide, left = torch.from_numpy(pool).float(), torch.from_numpy(anchors)
        found: list[Neighbors] = []

        def gemm() -> None:
            for start in range(0, len(wide), BLOCK):
                left @ wide[start : start + BLOCK].T

        def ours() -> None:
            found[:] = [scan.search(anchors, K)]

        reference, mine = scan_data.best_of(args.rounds, gemm, ours)
        facts = scan.facts()
    kind = "real-like" if args.pool else "random"
    detail = {"rows": len(pool), "anchors": len(anchors), "k": K, "vectors": kind}
    detail |= {"identical_to_brute_force": identical(found[0], pool, anchors)}
    detail |= {"anchors_checked": CHECKED, "pairs_pruned_share": facts["pairs_pruned_share"]}
    scan_data.report("exact_scan_vs_gemm", mine, reference, "s", **detail)


def identical(found: Neighbors, pool: NDArray[np.float16], anchors: scan_data.Vectors) -> bool:
    """Return whether a sample of the anchors has the neighbours and scores of brute force."""
    sample = np.linspace(0, len(anchors) - 1, CHECKED).astype(int)
    scores = (anchors[sample].astype(np.float64) @ pool.astype(np.float64).T).astype(np.float32)
    ids = np.argsort(-scores, axis=1, kind="stable")[:, :K]
    best = np.take_along_axis(scores, ids, axis=1)
    return np.array_equal(found.ids[sample], ids) and np.array_equal(found.scores[sample], best)


if __name__ == "__main__":
    main()
