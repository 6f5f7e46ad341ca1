"""How often the receipt's intervals hold: precision from 60 labels, recall from 40 seeds.

    python benchmarks/receipt_coverage.py --shared ../shared --pools pools

Satellite pictures among web-like ones and hard negatives, at a fifth of them: 50 draws. In each, 40
satellites are taken out of the pool as seeds, and the rest is searched with the anchors, scored and
cut by a threshold that keeps some wrong images and drops some right ones. A stratified sample of 60
candidates, drawn and weighed by the product, is labelled with the truth. The figure is the share of
draws in which the stated 90 % interval holds the truth: of precision, of recall among the
candidates, and of recall of the whole search. It must be 0.85 at least, of each.

The pools are `laion-eo index` of miniweb and of hardset; ``--unseen FILE`` names the keys of
miniweb's pictures that the model was not trained on, one a line. Only numpy works here, so that 50
draws take a minute.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from laion_eo.evaluation.estimates import Sample, weigh
from laion_eo.evaluation.sampling import draw_sample
from laion_eo.intervals import share_interval
from laion_eo.kinds import Embedder
from laion_eo.labels import Label
from laion_eo.registry import Registry

DRAWS, LABELS, SEEDS, K = 50, 60, 40, 100
PREVALENCE = 0.2
CONFIDENCE = 0.9
WANTED = 0.85
PROMPT = "a satellite image"

Vectors = NDArray[np.float32]


@dataclass
class Judged:
    """What the product's sampling needs to know of candidates."""

    ids: list[int]
    kept: NDArray[np.bool_]
    sums: NDArray[np.float64]
    seed: int
    digest: str = "benchmark"
    places: dict[int, int] = field(default_factory=dict)


def read_pool(folder: Path, pairs: Path, unseen: Path | None) -> tuple[Vectors, NDArray[np.bool_]]:
    """Return the vectors of the pictures, and whether each is a satellite's."""
    with (pairs / "pairs.csv").open(newline="", encoding="utf-8") as stream:
        rows = {row["file"]: row for row in csv.DictReader(stream)}
    shards = sorted((folder / "img_emb").glob("*.npy"), key=_number)
    tables = sorted((folder / "metadata").glob("*.parquet"), key=_number)
    vectors = np.concatenate([np.load(shard) for shard in shards]).astype(np.float32)
    paths = [path for table in tables for path in pq.read_table(table)["image_path"].to_pylist()]
    listed = [rows[path] for path in paths]
    keys = {row["key"] for row in listed}
    if unseen:
        keys &= set(unseen.read_text().split())
    chosen = np.array([row["key"] in keys and row.get("kind") != "planet" for row in listed])
    truth = np.array([row["is_satellite"] == "1" for row in listed])
    return vectors[chosen], truth[chosen]


def _number(path: Path) -> int:
    return int(path.stem.rpartition("_")[2])


def draw(
    vectors: Vectors, truth: NDArray[np.bool_], anchors: Vectors, prompt: Vectors, seed: int
) -> dict[str, tuple[float, float, float]]:
    """Make one pool and one run; return the truth and the bounds of each estimate."""
    rng = np.random.default_rng(seed)
    right = rng.permutation(np.flatnonzero(truth))
    others = np.flatnonzero(~truth)
    wanted = round(PREVALENCE / (1 - PREVALENCE) * len(others))
    seeds, right = right[:SEEDS], right[SEEDS : SEEDS + wanted]
    pool = np.sort(np.concatenate([right, others]))
    cosines = vectors[pool] @ anchors.T
    last = -np.partition(-cosines, K - 1, axis=0)[K - 1]
    found = (cosines >= last).any(axis=1)
    sums = _sum(cosines.max(axis=1), vectors[pool] @ prompt, found)
    # Between the two: some of what is dropped is right, some of what is kept is wrong.
    cut = np.quantile(sums[truth[pool] & found], 0.08)
    kept = sums[found] >= cut
    answers = truth[pool][found]
    result = _from_labels(sums[found], kept, answers, seed)
    every = vectors[seeds] @ anchors.T
    mine = _sum(every.max(axis=1), vectors[seeds] @ prompt, found, cosines, vectors[pool] @ prompt)
    back = (every >= last).any(axis=1) & (mine >= cut)
    share = float(back.mean())
    true_recall = float((found & (sums >= cut) & truth[pool]).sum() / truth[pool].sum())
    result["recall_of_the_search"] = (true_recall, *share_interval(share, SEEDS, CONFIDENCE))
    return result


def _sum(
    first: Vectors,
    second: Vectors,
    found: NDArray[np.bool_],
    cosines: Vectors | None = None,
    texts: Vectors | None = None,
) -> NDArray[np.float64]:
    """Return the sum of two scores, standardised over the candidates."""
    over = (first, second) if cosines is None else (cosines.max(axis=1), texts)
    total = np.zeros(len(first))
    for values, base in zip((first, second), over, strict=True):
        total += (values - base[found].mean()) / base[found].std()
    return total


def _from_labels(
    sums: NDArray[np.float64], kept: NDArray[np.bool_], answers: NDArray[np.bool_], seed: int
) -> dict[str, tuple[float, float, float]]:
    judged = Judged(list(range(len(sums))), kept, sums, seed)
    drawn = [
        Label(one.id, bool(answers[one.id]), "", one.plan, one.stratum, one.stratum_rows)
        for one in draw_sample(judged, LABELS, ())  # type: ignore[arg-type]
    ]
    sample = sample_of(drawn, sums, kept)
    precision, recall = sample.precision(), sample.recall()
    assert precision is not None and recall is not None
    true = answers[kept].mean(), answers[kept].sum() / answers.sum()
    return {
        "precision": (float(true[0]), precision.low, precision.high),
        "recall_among_candidates": (float(true[1]), recall.low, recall.high),
    }


def sample_of(drawn: Sequence[Label], sums: NDArray[np.float64], kept: NDArray[np.bool_]) -> Sample:
    """Return labels as a sample, weighed as the product weighs them."""
    places = np.array([label.id for label in drawn])
    scale = weigh(drawn)
    return Sample(
        kept=kept[places],
        right=np.array([bool(label.label) for label in drawn]),
        weights=np.array([scale[label.id] for label in drawn]),
        strata=np.zeros(len(drawn), dtype=np.int64),
        scores=sums[places],
        kinds=[""] * len(drawn),
        kept_rows=int(kept.sum()),
        dropped_rows=int((~kept).sum()),
        confidence=CONFIDENCE,
    )


def main() -> None:
    """Draw, count how often the intervals hold, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--pools", type=Path, default=Path("pools"))
    parser.add_argument("--unseen", type=Path)
    arguments = parser.parse_args()
    shared, pools = arguments.shared, arguments.pools
    parts = [
        read_pool(pools / "miniweb", shared / "miniweb", arguments.unseen),
        read_pool(pools / "hardset", shared / "hardset", None),
    ]
    vectors, truth = (np.concatenate(part) for part in zip(*parts, strict=True))
    anchors, prompt = embed(shared / "anchors")
    found: dict[str, list[tuple[float, float, float]]] = {}
    for seed in range(DRAWS):
        for what, bounds in draw(vectors, truth, anchors, prompt, seed).items():
            found.setdefault(what, []).append(bounds)
    detail = {what: _figures(rows) for what, rows in found.items()}
    for what, figures in detail.items():
        print(what, figures)
    ours = min(figures["coverage"] for figures in detail.values())
    summary = {"name": "receipt_coverage", "ours": ours, "reference": WANTED}
    print(json.dumps({**summary, "ratio": ours / WANTED, "unit": "share", "detail": detail}))


def _figures(rows: list[tuple[float, float, float]]) -> dict[str, float]:
    true, low, high = np.array(rows).T
    holds = (low <= true) & (true <= high)
    figures = {"coverage": holds.mean(), "truth": true.mean(), "width": (high - low).mean()}
    return {what: round(float(value), 4) for what, value in figures.items()}


def embed(folder: Path) -> tuple[Vectors, Vectors]:
    """Return the anchors' vectors and the prompt's, by the embedded model."""
    from laion_eo.builtin.anchor_sources.images import FolderAnchors
    from laion_eo.builtin.normalizers import ReflectanceGain
    from laion_eo.kinds import AnchorSource, Normalizer
    from laion_eo.types import Anchor

    registry = Registry.discover()
    model = registry.build(Embedder, {"use": "tiny"}, "the benchmark")
    model.setup()
    choice = {
        "table": str(folder / "manifest.csv"),
        "where": {"cloud_free_visual": ["yes", "mostly"]},
    }
    source = registry.build(
        AnchorSource, {"use": FolderAnchors.name, "root": str(folder), **choice}, "the benchmark"
    )
    normalizer = registry.build(Normalizer, {"use": ReflectanceGain.name}, "the benchmark")
    samples = [one for one in source.anchors() if isinstance(one, Anchor)]
    vectors = model.embed_images(normalizer.normalize(samples))
    return vectors, model.embed_texts([PROMPT])[0]


if __name__ == "__main__":
    main()
