"""The exact scan against a clip-retrieval server of the same pool, for the paper's 3,456 anchors.

    python benchmarks/exact_scan_vs_service.py [--rows 20000] [--k 100]

Both return neighbours and their metadata. The server is queried as in the paper: by its own client,
with one anchor after the other. It gets an environment of its own, made by this script.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import clip_server
import numpy as np
import scan_data

from laion_eo.builtin.retrievers.exact_scan import ExactScan
from laion_eo.component import Context
from laion_eo.testing import random_unit
from laion_eo.types import Neighbors


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--k", type=int, default=100)
    args = parser.parse_args()
    anchors = random_unit(scan_data.ANCHORS, clip_server.DIM, seed=1)
    found: list[Neighbors] = []
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        pool = clip_server.make_pool(work / "pool", args.rows)
        with clip_server.serve(pool, work) as url:
            reference, ids = clip_server.ask_by_client(url, anchors, args.k, work)

        def whole() -> None:
            options = {"pool": str(pool), "k": args.k}
            scan = ExactScan(ExactScan.Config.model_validate(options), Context())
            found[:] = [scan.search(anchors, args.k)]
            scan.lookup(np.unique(found[0].ids))

        (ours,) = scan_data.best_of(3, whole)
    same = float(np.mean([set(a) == set(b) for a, b in zip(ids, found[0].ids, strict=True)]))
    detail = {"rows": args.rows, "anchors": len(anchors), "k": args.k, "same_neighbours": same}
    detail["times_faster"] = round(reference / ours, 1)
    scan_data.report("exact_scan_vs_service", ours, reference, "s", **detail)


if __name__ == "__main__":
    main()
