"""``knn-service`` against clip-retrieval's own client in a loop, on the real server on loopback.

    python benchmarks/knn_service_vs_clipclient.py [--rows 20000] [--anchors 500] [--k 100]

Both return neighbours and their metadata. clip-retrieval gets an environment of its own, made by
this script; its client's time is that of its loop alone.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import clip_server
import numpy as np
import scan_data

from laion_eo.builtin.retrievers.knn_service import KnnService
from laion_eo.component import Context
from laion_eo.testing import random_unit
from laion_eo.types import Neighbors

ROUNDS = 3


def by_us(url: str, anchors: scan_data.Vectors, k: int) -> tuple[float, Neighbors]:
    """Return the seconds of our search and look-up, and the neighbours."""
    config = KnnService.Config.model_validate({"url": url, "index": clip_server.INDEX, "k": k})
    found: list[Neighbors] = []

    def ask() -> None:
        service = KnnService(config, Context())
        found[:] = [service.search(anchors, k)]
        table = service.lookup(np.unique(found[0].ids))
        assert not table["url"].null_count

    return scan_data.seconds(ask), found[0]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--anchors", type=int, default=500)
    parser.add_argument("--k", type=int, default=100)
    args = parser.parse_args()
    anchors = random_unit(args.anchors, clip_server.DIM, seed=1)
    ours, reference = [], []
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        pool = clip_server.make_pool(work / "pool", args.rows)
        with clip_server.serve(pool, work) as url:
            for _ in range(ROUNDS):  # in turns, so that a busy moment hits both
                mine, found = by_us(url, anchors, args.k)
                theirs, ids = clip_server.ask_by_client(url, anchors, args.k, work)
                ours.append(mine)
                reference.append(theirs)
    same = float(np.mean([set(a) == set(b) for a, b in zip(ids, found.ids, strict=True)]))
    detail = {"rows": args.rows, "anchors": args.anchors, "k": args.k, "same_neighbours": same}
    scan_data.report("knn_service_vs_clipclient", min(ours), min(reference), "s", **detail)


if __name__ == "__main__":
    main()
