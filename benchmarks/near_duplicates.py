"""Near-duplicates: how right the groups are, and how long a million hashes take.

Right: miniweb's flickr8k photographs against flickr8k-224 (the same photographs, squashed to
224 x 224), grouped by the filter `duplicates`; the truth is identical sets of human captions.
Fast: hashes, a fifth of them copies of others with up to 4 bits changed, against comparing all
pairs with numpy. Both are timed on the same 100,000 hashes and must find the same pairs; a million
is timed for ours alone (all pairs of it would be a hundred times the time of 100,000).

    python benchmarks/near_duplicates.py --shared ../shared
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from laion_eo.builtin.duplicates import Duplicates
from laion_eo.builtin.hamming import bit_count, near_pairs
from laion_eo.builtin.perceptual_hash import perceptual_hash
from laion_eo.component import Context
from laion_eo.images import read_image

RADIUS = 4
BOTH, OURS = 100_000, 1_000_000
BLOCK = 256

Pairs = set[tuple[int, int]]


def quality(shared: Path) -> dict[str, float]:
    """Return precision and recall of the grouped pairs, and how many there are."""
    web = shared / "miniweb"
    with (web / "pairs.csv").open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["source"].startswith("flickr8k")]
    captions = defaultdict(set)
    with (web / "flickr8k_captions.csv").open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            captions[row["key"]].add(row["caption"])
    same = defaultdict(list)
    for place, row in enumerate(rows):
        same[frozenset(captions[row["key"]])].append(place)
    truth = {(a, b) for group in same.values() for a in group for b in group if a < b}
    found = grouped(rows, web)
    right = len(found & truth)
    return {
        "images": len(rows),
        "true_pairs": len(truth),
        "precision": round(right / len(found), 4),
        "recall": round(right / len(truth), 4),
    }


def grouped(rows: list[dict[str, str]], web: Path) -> Pairs:
    """Return the pairs of rows that the filter puts into one group."""
    hashes = [perceptual_hash(read_image(web / row["file"])) for row in rows]
    table = pa.table(
        {
            "id": pa.array(range(len(rows))),
            "width": pa.array([int(row["width"]) for row in rows]),
            "height": pa.array([int(row["height"]) for row in rows]),
            "fast_similarity": pa.array(np.zeros(len(rows), np.float32)),
            "perceptual_hash": pa.array(hashes, pa.uint64()),
        }
    )
    options = Duplicates.Config(by=("perceptual_hash",), bits=RADIUS)
    judge = Duplicates(options, Context())
    judge.fit(table)
    verdict = judge.keep(table)
    groups = defaultdict(list)
    for place, (kept, reason) in enumerate(zip(verdict.mask, verdict.reasons, strict=True)):
        groups[place if kept else int(reason.rsplit(" ", 1)[1])].append(place)
    return {(a, b) for group in groups.values() for a in group for b in group if a < b}


def make_hashes(count: int) -> NDArray[np.uint64]:
    """Return distinct hashes, a fifth of them near copies of others."""
    rng = np.random.default_rng(7)
    fresh = rng.integers(0, 2**64, count, dtype=np.uint64)
    copies = fresh[: count // 5].copy()
    for _ in range(RADIUS):
        copies ^= np.uint64(1) << rng.integers(0, 64, len(copies), dtype=np.uint64)
    fresh[-len(copies) :] = copies
    return np.unique(fresh)


def all_pairs(hashes: NDArray[np.uint64]) -> Pairs:
    """Compare everything with everything, in blocks that fit the cache."""
    found: Pairs = set()
    for start in range(0, len(hashes), BLOCK):
        block = hashes[start : start + BLOCK, None]
        near = bit_count(block ^ hashes[None, start:]) <= RADIUS
        row, other = np.nonzero(near)
        found |= {
            (start + a, start + b)
            for a, b in zip(row.tolist(), other.tolist(), strict=True)
            if a < b
        }
    return found


def main() -> None:
    """Measure, and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    detail: dict[str, object] = dict(quality(parser.parse_args().shared))
    some = make_hashes(BOTH)
    started = time.perf_counter()
    low, high, _ = near_pairs(some, RADIUS)
    ours = time.perf_counter() - started
    started = time.perf_counter()
    reference = all_pairs(some)
    theirs = time.perf_counter() - started
    if set(zip(low.tolist(), high.tolist(), strict=True)) != reference:
        raise SystemExit("the pairs differ from those of all-pairs")
    many = make_hashes(OURS)
    started = time.perf_counter()
    low, _, _ = near_pairs(many, RADIUS)
    detail["million_seconds"] = round(time.perf_counter() - started, 2)
    detail["million_pairs"] = len(low)
    detail |= {"hashes": len(some), "pairs": len(reference), "radius_bits": RADIUS}
    figures = {"ours": round(ours, 3), "reference": round(theirs, 3)}
    line = {"name": "near_duplicates", **figures, "ratio": round(theirs / ours, 1)}
    print(json.dumps({**line, "unit": "seconds for 100,000 hashes", "detail": detail}))


if __name__ == "__main__":
    main()
