"""What a run costs once another one was there: which images are embedded, and the seconds.

``python benchmarks/rerun_cost.py [--shared DIR] [--out DIR]``

A pool of 1,600 pictures of miniweb, whose vectors somebody else made (it says no hashes), searched
with real anchors. Then, in the same run directory: another prompt, another k that brings about 100
new candidates, one more scorer, one more anchor. Each time the images that the model is given are
counted, and have to be the new ones alone. At last ``index`` and ``run`` over the same pictures:
each is to be embedded once.

The reference is the first run; the last line is JSON.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import quality_components
from quality_components import TinyOnce

from laion_eo.pipeline import run
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.pools import index
from laion_eo.registry import Registry
from laion_eo.types import JSON

PICTURES = 1600
K, MORE_K, MORE_CANDIDATES = 15, range(16, 40), 100
EMBEDDER: dict[str, JSON] = {"use": TinyOnce.name}


def choose_pictures(miniweb: Path, folder: Path) -> None:
    """Copy some pictures, drawn at random, and their captions, to a folder."""
    with (miniweb / "pairs.csv").open(newline="", encoding="utf-8") as stream:
        rows = {row["file"]: row for row in csv.DictReader(stream)}
    files = np.random.default_rng(0).choice(sorted(rows), PICTURES, replace=False).tolist()
    (folder / "images").mkdir(parents=True)
    for file in files:
        shutil.copy(miniweb / file, folder / file)
    write_rows(folder / "pairs.csv", [rows[file] for file in files])


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    """Write a CSV file."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def as_if_from_elsewhere(pool: Path, folder: Path) -> None:
    """Copy a pool without its record and without the hashes of its pictures."""
    shutil.copytree(pool / "img_emb", folder / "img_emb")
    (folder / "metadata").mkdir()
    for part in (pool / "metadata").iterdir():
        table = pq.read_table(part).select(["image_path", "caption", "url"])
        pq.write_table(table, folder / "metadata" / part.name)


@dataclass(frozen=True)
class Cost:
    """What one call took.

    Attributes:
        seconds: Wall clock.
        embedded: Images that the model was given.
        wanted: Those that were new: candidates and anchors.
        candidates: Of the run, if it is one.
    """

    seconds: float
    embedded: int
    wanted: int
    candidates: int = 0

    def told(self) -> dict[str, float]:
        """Return it for the JSON line."""
        counts = {"embedded": self.embedded, "new": self.wanted, "candidates": self.candidates}
        return {"seconds": round(self.seconds, 2), **counts}


def measured(work: Callable[[], object]) -> tuple[float, int]:
    """Return how long a call takes, and how many images the model is given."""
    before, started = TinyOnce.embedded, time.monotonic()
    work()
    return time.monotonic() - started, TinyOnce.embedded - before


class Runs:
    """Runs over one pool, one after the other in the same run directory.

    Args:
        shared: The real data.
        pool: The pool.
        out: The folder of the run directory, and of the list of anchors.
        registry: Where the embedder is found.
    """

    def __init__(self, shared: Path, pool: Path, out: Path, registry: Registry) -> None:
        self._shared, self._pool, self._out, self._registry = shared, pool, out, registry
        out.mkdir(exist_ok=True)
        with (shared / "anchors" / "manifest.csv").open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        self._rows = [row for row in rows if row["cloud_free_visual"] in ("yes", "mostly")]
        self.anchors = len(self._rows) - 1
        self.k, self.prompt = K, "a satellite image"
        self.scorers: list[JSON] = [{"use": "image-similarity"}]
        self._had: set[str] = set()
        self._had_anchors = 0

    def run(self) -> Cost:
        """Run with what is set now, and check that only what is new was embedded."""
        table = self._out / "anchors.csv"
        write_rows(table, self._rows[: self.anchors])
        anchors = str(self._shared / "anchors")
        prompt: JSON = {"use": "text-similarity", "prompt": self.prompt}
        run_file: dict[str, JSON] = {
            "anchors": {"use": "images", "root": anchors, "table": str(table)},
            "embedder": EMBEDDER,
            "retriever": {"use": "exact-scan", "pool": str(self._pool), "k": self.k},
            "downloader": {"use": "http", "allow_files": True},
            "scorers": [*self.scorers, prompt],
            "filters": [{"use": "similarity-threshold"}, {"use": "duplicates"}],
            "language_tagger": {"use": "fasttext"},
            "dataset": {"config": "rerun-cost"},
        }
        folder = self._out / "run"
        seconds, embedded = measured(lambda: run(run_file, folder, registry=self._registry))
        candidates = RunDir(folder).read("downloads", ["sha256"])["sha256"].to_pylist()
        new = len(set(candidates) - self._had) + self.anchors - self._had_anchors
        self._had |= set(candidates)
        self._had_anchors = self.anchors
        return Cost(seconds, embedded, new, len(candidates))

    def more_k(self) -> int:
        """Return the k that brings about as many new candidates as are wanted."""
        paths = sorted((self._pool / "img_emb").glob("*.npy"))
        vectors = np.concatenate([np.load(path) for path in paths]).astype(np.float32)
        queries = RunDir(self._out / "run").read("anchors")["embedding"].to_pylist()
        ranked = np.argsort(-(np.array(queries, np.float32) @ vectors.T), axis=1)
        had = len(np.unique(ranked[:, :K]))
        return min(MORE_K, key=lambda k: abs(len(np.unique(ranked[:, :k])) - had - MORE_CANDIDATES))


def main() -> None:
    """Run everything, and print the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    beside = Path(__file__).resolve().parents[2] / "shared"
    parser.add_argument("--shared", type=Path, default=beside, help="folder of the real data")
    parser.add_argument("--out", type=Path, help="folder for results; a temporary one by default")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("laion_eo").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as temporary:
        costs = measure(arguments.shared.resolve(), (arguments.out or Path(temporary)).resolve())
    for name, cost in costs.items():
        print(f"{name}: {cost.told()}")
        if cost.embedded != cost.wanted:
            raise SystemExit(f"{name}: {cost.embedded} images embedded, {cost.wanted} are new")
    first, again = costs["first run"].seconds, costs["another prompt"].seconds
    summary = {"name": "rerun_cost", "ours": round(again, 2), "reference": round(first, 2)}
    about = {"ratio": round(again / first, 3), "unit": "s, another prompt against the first run"}
    detail = {name: cost.told() for name, cost in costs.items()}
    print(json.dumps({**summary, **about, "detail": detail}))


def measure(shared: Path, out: Path) -> dict[str, Cost]:
    """Index, run, and run again with one thing changed at a time."""
    registry = Registry.discover([quality_components])
    pictures, pool = out / "pictures", out / "pool"
    choose_pictures(shared / "miniweb", pictures)
    costs: dict[str, Cost] = {}
    seconds, embedded = measured(lambda: index(pictures, pool, EMBEDDER, registry=registry))
    costs["index"] = Cost(seconds, embedded, PICTURES)
    as_if_from_elsewhere(pool, out / "elsewhere")
    runs = Runs(shared, out / "elsewhere", out / "one", registry)
    costs["first run"] = runs.run()
    runs.prompt = "an aerial photo"
    costs["another prompt"] = runs.run()
    runs.k = runs.more_k()
    costs["another k"] = runs.run()
    runs.scorers.append({"use": "perceptual-hash"})
    costs["a scorer added"] = runs.run()
    runs.anchors += 1
    costs["an anchor added"] = runs.run()
    indexed = Runs(shared, pool, out / "two", registry)
    cost = indexed.run()
    # The anchors are new here, and none of the pictures.
    costs["run after index"] = Cost(cost.seconds, cost.embedded, indexed.anchors, cost.candidates)
    return costs


if __name__ == "__main__":
    main()
