"""Near-duplicates: precision and recall of the groups, and the time for a million hashes.

Precision and recall: miniweb's flickr8k photographs against flickr8k-224 (the same photographs,
squashed to 224 x 224), grouped by the filter `duplicates`; the truth is identical sets of human
captions. Time: the filter groups a million rows by their hashes, a fifth of them copies of others
with up to 4 bits changed, including everything that a run does, from the table to the verdicts
and the groups' file. The reference compares all pairs with numpy, on the same hashes and in the
same run: a random sample of rows is compared with all others and must find the same pairs, and
the time is extrapolated to half of n x n pairs, which would take hours.

    python benchmarks/near_duplicates.py --shared ../shared
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from laion_eo.builtin.filters.duplicates import Duplicates
from laion_eo.builtin.filters.hamming import Rows, bit_count, near_pairs
from laion_eo.builtin.scorers.perceptual_hash import perceptual_hash
from laion_eo.component import Context
from laion_eo.images import read_image
from laion_eo.kinds import FitData
from laion_eo.types import Verdict

RADIUS = 4
ROWS = 1_000_000
SAMPLE = 1024
"""Rows that are compared with all others, for the reference."""
BLOCK = (32, 8192)
"""Rows and others that numpy compares at a time: the fastest here, because it fits the cache."""

Pairs = set[tuple[int, int]]
Hashes = NDArray[np.uint64]


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
    sizes = [np.array([int(row[side]) for row in rows]) for side in ("width", "height")]
    verdict = judge(np.array(hashes, dtype=np.uint64), *sizes)
    groups = defaultdict(list)
    for place, (kept, reason) in enumerate(zip(verdict.mask, verdict.reasons, strict=True)):
        groups[place if kept else int(reason.rsplit(" ", 1)[1])].append(place)
    return {(a, b) for group in groups.values() for a in group for b in group if a < b}


def judge(hashes: Hashes, widths: Rows, heights: Rows) -> Verdict:
    """Run the filter over a table of these rows, its groups' file included."""
    table = pa.table(
        {
            "id": np.arange(len(hashes)),
            "width": widths,
            "height": heights,
            "fast_similarity": np.zeros(len(hashes), np.float32),
            "perceptual_hash": hashes,
        }
    )
    options = Duplicates.Config(by=("perceptual_hash",), bits=RADIUS)
    with TemporaryDirectory() as folder:
        filter_ = Duplicates(options, Context(work_dir=Path(folder)))
        filter_.fit(FitData(table))
        return filter_.keep(table)


def make_hashes(rng: np.random.Generator) -> Hashes:
    """Return distinct hashes in random order, a fifth of them near copies of others."""
    fresh = rng.integers(0, 2**64, ROWS, dtype=np.uint64)
    copies = fresh[: ROWS // 5].copy()
    for _ in range(RADIUS):
        copies ^= np.uint64(1) << rng.integers(0, 64, len(copies), dtype=np.uint64)
    fresh[-len(copies) :] = copies
    return np.asarray(rng.permutation(np.unique(fresh)))


def compare(rows: Rows, hashes: Hashes) -> Pairs:
    """Compare some rows with all others in numpy, and return the pairs, the lower index first."""
    found: Pairs = set()
    for some in range(0, len(rows), BLOCK[0]):
        here = rows[some : some + BLOCK[0]]
        for start in range(0, len(hashes), BLOCK[1]):
            others = hashes[start : start + BLOCK[1]]
            row, other = np.nonzero(bit_count(hashes[here][:, None] ^ others[None, :]) <= RADIUS)
            pairs = zip(here[row].tolist(), (start + other).tolist(), strict=True)
            found |= {(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]}
    return found


def check(found: Pairs, rows: Rows, hashes: Hashes) -> None:
    """Exit if the filter finds other pairs for these rows."""
    low, high, _ = near_pairs(hashes, RADIUS)
    some = np.isin(low, rows) | np.isin(high, rows)
    if set(zip(low[some].tolist(), high[some].tolist(), strict=True)) != found:
        raise SystemExit("the pairs differ from those of all pairs")


def main() -> None:
    """Measure, and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    detail: dict[str, object] = dict(quality(parser.parse_args().shared))
    rng = np.random.default_rng(7)
    hashes = make_hashes(rng)
    sizes = rng.integers(200, 2000, (2, len(hashes)))
    started = time.perf_counter()
    verdict = judge(hashes, *sizes)
    ours = time.perf_counter() - started
    rows = rng.choice(len(hashes), SAMPLE, replace=False)
    started = time.perf_counter()
    found = compare(rows, hashes)
    measured = time.perf_counter() - started
    check(found, rows, hashes)
    theirs = measured * len(hashes) / SAMPLE / 2
    detail |= {
        "rows": len(hashes),
        "dropped": int((~verdict.mask).sum()),
        "radius_bits": RADIUS,
        "reference": f"extrapolated from {measured:.1f} s for {SAMPLE} rows against all, by "
        f"{len(hashes)} / {SAMPLE} rows / 2, as each pair counts once",
    }
    line = {"name": "near_duplicates", "ours": round(ours, 1), "reference": round(theirs, 1)}
    line |= {"ratio": round(theirs / ours, 1), "unit": "seconds to group 1,000,000 hashes"}
    print(json.dumps({**line, "detail": detail}))


if __name__ == "__main__":
    main()
