"""Recall and precision of a search with one round and with two, over pictures with known truth.

``python benchmarks/second_hop.py [--shared DIR] [--pool DIR] [--keys FILE] [--k K]``

The pool is miniweb, embedded with ``tiny``: satellite images among web-like pictures; the anchors
are the cloud-free ones of ``anchors/manifest.csv``, normalised as in the examples. ``--keys`` names
a file with the keys of the pictures that count, one a line, such as those that the model was not
trained on; the pool is made of these alone. Prevalences below that of the pictures are drawn, with
eight seeds, from the satellite images; other pictures all stay.

Recall is of the pool's satellite images among the candidates, and precision that of the candidates.
``accepted`` is the same of the candidates that the anchors accept: their best cosine to an anchor
reaches the first percentile of the anchors' own. Downloads and filters play no part.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from laion_eo.builtin.retrievers.exact_scan import ExactScan
from laion_eo.component import Context
from laion_eo.config import Choice
from laion_eo.kinds import KINDS, AnchorSet, AnchorSource, Embedder, Normalizer
from laion_eo.pipeline.stages.search.rounds import search_pool
from laion_eo.pipeline.stages.search.standard import Standard
from laion_eo.pools import index
from laion_eo.registry import Registry
from laion_eo.schema import ANCHORS
from laion_eo.testing import write_pool
from laion_eo.types import Anchor, Embeddings

SEEDS = 8
PREVALENCES = (0.05, 0.01)
GOAL = 0.95


class Web:
    """The labelled pictures and their vectors.

    Args:
        miniweb: The pictures.
        pool: Made of them with ``laion-eo index``.
        keys: Those that count; ``None`` for all.
    """

    def __init__(self, miniweb: Path, pool: Path, keys: set[str] | None) -> None:
        with (miniweb / "pairs.csv").open(newline="", encoding="utf-8") as stream:
            rows = {row["file"].rsplit("/", 1)[1]: row for row in csv.DictReader(stream)}
        files = sorted((pool / "metadata").glob("*.parquet"))
        urls = [url for file in files for url in pq.read_table(file)["url"].to_pylist()]
        mine = [rows[url.rsplit("/", 1)[1]] for url in urls]
        vectors = np.concatenate([np.load(f) for f in sorted((pool / "img_emb").glob("*.npy"))])
        counts = np.array([keys is None or row["key"] in keys for row in mine])
        truth = np.array([row["is_satellite"] == "1" for row in mine])
        self.vectors, self.truth = vectors[counts], truth[counts]

    def draw(self, prevalence: float, seed: int) -> NDArray[np.int64]:
        """Return the rows of a pool in which satellite images have about this share."""
        satellites, others = np.flatnonzero(self.truth), np.flatnonzero(~self.truth)
        wanted = round(prevalence * len(others) / (1 - prevalence))
        chosen = np.random.default_rng(seed).choice(satellites, wanted, replace=False)
        return np.sort(np.concatenate([chosen, others]))


def embed_anchors(folder: Path) -> AnchorSet:
    """Return the cloud-free anchors, embedded as in a run."""
    options = {
        "anchors": {
            "use": "images",
            "root": str(folder),
            "table": str(folder / "manifest.csv"),
            "where": {"cloud_free_visual": ["yes", "mostly"]},
        },
        "normalizer": {"use": "reflectance-gain"},
        "embedder": {"use": "tiny"},
    }
    registry = Registry.discover()
    source, normalizer, embedder = (
        registry.create(kind, Choice.model_validate(options[kind.table]), Context(), "here", folder)
        for kind in KINDS
        if kind.table in options
    )
    assert isinstance(source, AnchorSource) and isinstance(normalizer, Normalizer)
    assert isinstance(embedder, Embedder)
    embedder.setup()
    anchors = [anchor for anchor in source.anchors() if isinstance(anchor, Anchor)]
    vectors = embedder.embed_images(normalizer.normalize(anchors))
    rows = [{"source": i, "anchor_id": one.id, "view": 0} for i, one in enumerate(anchors)]
    table = (
        ANCHORS.remove(len(ANCHORS) - 1)
        .empty_table()
        .from_pylist(rows, schema=ANCHORS.remove(len(ANCHORS) - 1))
    )
    return AnchorSet(table, vectors)


def measure(
    vectors: Embeddings, truth: NDArray[np.bool_], anchors: AnchorSet, options: dict[str, object]
) -> dict[str, float]:
    """Search a pool, and return recall and precision of what is found and of what is accepted."""
    with tempfile.TemporaryDirectory() as folder:
        write_pool(Path(folder), vectors)
        config = ExactScan.Config.model_validate({"pool": folder, **options})
        scan = ExactScan(config, Context())
        hits, _ = search_pool(scan.search, scan.vectors, anchors, config)
    found = np.unique(hits.ids)
    standard = Standard.fitted(anchors, 1.0)
    unit = vectors.astype(np.float32)
    accepted = found[standard.nearest(unit[found])[1] >= standard.threshold]
    return {
        "candidates": float(len(found)),
        "recall": truth[found].sum() / truth.sum(),
        "precision": float(truth[found].mean()),
        "accepted_recall": truth[accepted].sum() / truth.sum(),
        "accepted_precision": float(truth[accepted].mean()),
    }


def both(web: Web, rows: NDArray[np.int64], anchors: AnchorSet, k: int) -> list[dict[str, float]]:
    """Return the figures of one round and of two, over some rows as the pool."""
    return [
        measure(web.vectors[rows], web.truth[rows], anchors, {"k": k, "hops": hops})
        for hops in (1, 2)
    ]


def averaged(drawn: list[list[dict[str, float]]]) -> list[dict[str, float]]:
    """Return the means over draws, of one round and of two."""
    return [
        {name: float(np.mean([draw[hop][name] for draw in drawn])) for name in drawn[0][hop]}
        for hop in (0, 1)
    ]


def main() -> None:
    """Measure, print a table, and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    beside = Path(__file__).resolve().parents[2] / "shared"
    parser.add_argument("--shared", type=Path, default=beside, help="folder of the real data")
    parser.add_argument("--pool", type=Path, default=Path("runs/second_hop"), help="made if absent")
    parser.add_argument("--keys", type=Path, help="keys of the pictures that count, one a line")
    parser.add_argument("--k", type=int, default=30)
    arguments = parser.parse_args()
    miniweb = arguments.shared / "miniweb"
    if not (arguments.pool / "img_emb").is_dir():
        index(miniweb, arguments.pool, {"use": "tiny"})
    keys = set(arguments.keys.read_text().split()) if arguments.keys else None
    web = Web(miniweb, arguments.pool, keys)
    anchors = embed_anchors(arguments.shared / "anchors")
    whole = np.arange(len(web.truth))
    pools = {f"{web.truth.mean():.0%}": both(web, whole, anchors, arguments.k)}
    for prevalence in PREVALENCES:
        drawn = [
            both(web, web.draw(prevalence, seed), anchors, arguments.k) for seed in range(SEEDS)
        ]
        pools[f"{prevalence:.0%}"] = averaged(drawn)
    for name, hops in pools.items():
        for hop, figures in enumerate(hops, 1):
            print(f"| {name} | {hop} | " + ", ".join(f"{k} {v:.3f}" for k, v in figures.items()))
    first, second = next(iter(pools.values()))
    print(
        json.dumps(
            {
                "name": "second_hop",
                "ours": round(second["recall"], 4),
                "reference": round(first["recall"], 4),
                "ratio": round(second["recall"] / first["recall"], 4),
                "unit": "recall of the pool's satellite images among the candidates, two rounds "
                f"against one (goal {GOAL})",
                "detail": {
                    "k": arguments.k,
                    "anchors": len(anchors.embeddings),
                    "pictures": len(web.truth),
                    "satellites": int(web.truth.sum()),
                    "pools": {
                        name: [{k: round(v, 4) for k, v in hop.items()} for hop in hops]
                        for name, hops in pools.items()
                    },
                },
            }
        )
    )


if __name__ == "__main__":
    main()
