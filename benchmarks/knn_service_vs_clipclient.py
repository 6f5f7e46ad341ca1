"""``knn-service`` against clip-retrieval's own client in a loop, on the real server on loopback.

    python benchmarks/knn_service_vs_clipclient.py [--rows 20000] [--anchors 500] [--k 100]

Both end with neighbours and their metadata. Runs where clip-retrieval is installed (tox environment
clip-retrieval). A second line compares the exact scan of the same pool with the service, for 3,456
anchors: the client's time for the anchors asked is scaled to that number.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import clip_server
import faiss
import numpy as np
import scan_data

from laion_eo.builtin.exact_scan import ExactScan
from laion_eo.builtin.knn_service import KnnService
from laion_eo.builtin.torchvision_mend import ensure_torchvision
from laion_eo.component import Context
from laion_eo.testing import random_unit, write_pool
from laion_eo.types import Neighbors

DIM = 512


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--anchors", type=int, default=500)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--work", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = args.work or Path(temporary)
        vectors = random_unit(args.rows, DIM).astype(np.float16)
        pool = write_pool(Path(temporary) / "pool", vectors, shards=2)
        index = faiss.IndexFlatIP(DIM)
        index.add(vectors.astype(np.float32))
        faiss.write_index(index, str(pool / "image.index"))
        anchors = random_unit(scan_data.ANCHORS, DIM, seed=1)
        with clip_server.serve(pool, work) as url:
            each = against_client(url, anchors[: args.anchors], args.k)
        against_scan(pool, anchors, args.k, each)


def against_client(url: str, anchors: scan_data.Vectors, k: int) -> tuple[float, float]:
    """Print the first line; return the seconds an anchor takes: our way, and the client's."""
    options = {"aesthetic_score": "", "aesthetic_weight": "", "num_images": k}
    options |= dict.fromkeys(("deduplicate", "use_safety_model", "use_violence_detector"), False)
    ensure_torchvision()
    from clip_retrieval.clip_client import ClipClient

    client = ClipClient(f"{url}/knn-service", clip_server.INDEX, **options)
    theirs: list[list[dict[str, object]]] = []
    found: list[Neighbors] = []

    def loop() -> None:
        theirs[:] = [client.query(embedding_input=anchor.tolist()) for anchor in anchors]

    def ours() -> None:
        config = KnnService.Config.model_validate({"url": url, "index": clip_server.INDEX, "k": k})
        service = KnnService(config, Context())
        found[:] = [service.search(anchors, k)]
        table = service.lookup(np.unique(found[0].ids))
        assert not table["url"].null_count

    mine, reference = scan_data.best_of(1, ours, loop)
    same = np.mean(
        [
            {hit["id"] for hit in answer} == set(row.tolist())
            for answer, row in zip(theirs, found[0].ids, strict=True)
        ]
    )
    detail = {"anchors": len(anchors), "k": k, "same_neighbours": float(same)}
    scan_data.report("knn_service_vs_clipclient", mine, reference, "s", **detail)
    return mine / len(anchors), reference / len(anchors)


def against_scan(pool: Path, anchors: scan_data.Vectors, k: int, each: tuple[float, float]) -> None:
    """Print the second line."""
    scan = ExactScan(ExactScan.Config.model_validate({"pool": str(pool), "k": k}), Context())

    def whole() -> None:
        scan.lookup(np.unique(scan.search(anchors, k).ids))

    (ours,) = scan_data.best_of(1, whole)
    by_us, by_client = (seconds * len(anchors) for seconds in each)
    detail = {
        "anchors": len(anchors),
        "k": k,
        "reference_is": "its own client, scaled from a sample",
    }
    detail |= {"ratio_to_knn_service": round(ours / by_us, 3)}
    scan_data.report("exact_scan_vs_service", ours, by_client, "s", **detail)


if __name__ == "__main__":
    main()
