"""Average precision of other domains than the paper's, with 20 anchors each.

``python benchmarks/domains.py [--miniweb DIR] [--pool DIR] [--keys FILE]``

Dogs, clip art, rivers and parking lots among 8,353 labelled web-like pictures. The anchors of a
domain are 20 of its own pictures, drawn at random five times; they and their copies are removed
from the pool. A picture's score is its highest cosine to any anchor, as in a run. ``--keys``
names a file with the keys of the pictures to rank, one a line, such as those that a model was not
trained on.

The reference is the domain's prompt instead of the anchors.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from laion_eo.kinds import Embedder
from laion_eo.pools import index
from laion_eo.registry import Registry

ANCHORS, DRAWS = 20, 5
DOG = {"dog", "dogs", "puppy", "puppies"}
Row = Mapping[str, str]


@dataclass(frozen=True)
class Domain:
    """One domain: its prompt, what belongs to it, and what is left out as unclear."""

    prompt: str
    belongs: Callable[[Row, list[str]], bool]
    unknown: Callable[[Row, list[str]], bool] = lambda *_: False


def _is_photo(row: Row) -> bool:
    return row["source"].startswith("flickr8k")


def _share_of_dogs(captions: list[str]) -> float:
    words = [set(caption.lower().replace(".", " ").split()) for caption in captions]
    return sum(bool(DOG & found) for found in words) / max(len(words), 1)


DOMAINS = {
    # Most of a photograph's five captions must say so. ImageNet's labels are breeds, which no
    # column marks as dogs: its pictures are not ranked, nor those with a minority of captions.
    "dogs": Domain(
        "a photo of a dog",
        lambda row, captions: _is_photo(row) and _share_of_dogs(captions) > 0.5,
        lambda row, captions: row["source"] == "imagenet" or 0 < _share_of_dogs(captions) <= 0.5,
    ),
    "clip-art": Domain(
        "clip art on a white background", lambda row, _: row["source"] == "tuxpaint"
    ),
    "rivers": Domain(
        "an aerial view of a river", lambda row, _: row["label"] in ("river", "river lake")
    ),
    "parking": Domain("a parking lot from above", lambda row, _: row["label"] == "parking"),
}


def average_precision(labels: NDArray[np.bool_], scores: NDArray[np.float32]) -> float:
    """Return the mean of the precision at each positive, ranked by score."""
    ranked = labels[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    return float(precision[ranked].mean())


class Web:
    """The labelled pictures and their vectors."""

    def __init__(self, miniweb: Path, pool: Path, keys: Path | None) -> None:
        listed = {row["file"]: row for row in read_rows(miniweb / "pairs.csv")}
        self.captions = read_captions(miniweb)
        paths = pq.read_table(pool / "metadata", columns=["image_path"])["image_path"].to_pylist()
        self.rows = [listed[path] for path in paths]
        shards = sorted((pool / "img_emb").glob("*.npy"))
        self.vectors = np.concatenate([np.load(shard) for shard in shards]).astype(np.float32)
        allowed = set(keys.read_text().split()) if keys else {row["key"] for row in self.rows}
        self.allowed = np.array([row["key"] in allowed for row in self.rows])

    def of(self, row: Row) -> list[str]:
        """Return all captions of a picture."""
        return self.captions.get(row["key"], [])

    def measure(self, domain: Domain, prompt: NDArray[np.float32]) -> dict[str, float]:
        """Return the average precision with anchors (mean and least of the draws) and prompt."""
        truth = np.array([domain.belongs(row, self.of(row)) for row in self.rows])
        known = np.array([not domain.unknown(row, self.of(row)) for row in self.rows])
        ranked = known & self.allowed
        found = []
        for draw in range(DRAWS):
            places = np.flatnonzero(truth)
            anchors = np.random.default_rng(draw).choice(places, ANCHORS, replace=False)
            rest = ranked & ~self._copies(anchors)
            scores = (self.vectors[rest] @ self.vectors[anchors].T).max(axis=1)
            found.append(average_precision(truth[rest], scores))
        by_prompt = average_precision(truth[ranked], self.vectors[ranked] @ prompt)
        return {
            "average_precision": float(np.mean(found)),
            "least": min(found),
            "prompt": by_prompt,
            "pictures": int((truth & ranked).sum()),
            "chance": float(truth[ranked].mean()),
        }

    def _copies(self, anchors: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Mark the anchors and the same photographs at another size: equal captions."""
        told = {tuple(sorted(self.of(self.rows[place]))) for place in anchors} - {()}
        marked = np.array([tuple(sorted(self.of(row))) in told for row in self.rows])
        marked[anchors] = True
        return marked


def read_captions(miniweb: Path) -> dict[str, list[str]]:
    """Return all captions of each photograph, by its key."""
    captions: dict[str, list[str]] = {}
    for row in read_rows(miniweb / "flickr8k_captions.csv"):
        captions.setdefault(row["key"], []).append(row["caption"])
    return captions


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def main() -> None:
    """Index if there is no pool yet, measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--miniweb", type=Path, default=Path("../shared/miniweb"))
    parser.add_argument("--pool", type=Path, default=Path("pools/miniweb"))
    parser.add_argument("--embedder", default="tiny")
    parser.add_argument("--keys", type=Path)
    arguments = parser.parse_args()
    registry = Registry.discover()
    if not (arguments.pool / "img_emb").is_dir():
        index(arguments.miniweb, arguments.pool, {"use": arguments.embedder}, registry=registry)
    model = registry.build(Embedder, {"use": arguments.embedder}, "--embedder")
    model.setup()
    prompts = model.embed_texts([domain.prompt for domain in DOMAINS.values()])
    web = Web(arguments.miniweb, arguments.pool, arguments.keys)
    detail = {
        name: web.measure(domain, prompt)
        for (name, domain), prompt in zip(DOMAINS.items(), prompts, strict=True)
    }
    for name, figures in detail.items():
        print(name, {what: round(value, 4) for what, value in figures.items()})
    ours = float(np.mean([figures["average_precision"] for figures in detail.values()]))
    reference = float(np.mean([figures["prompt"] for figures in detail.values()]))
    summary = {"name": "domains", "ours": ours, "reference": reference, "ratio": ours / reference}
    print(json.dumps({**summary, "unit": "average precision", "detail": detail}))


if __name__ == "__main__":
    main()
