"""A complete run on real pictures: index miniweb, extract with real anchors, measure the dataset.

``python benchmarks/miniweb_end_to_end.py [--shared DIR] [--out DIR]``

The pool is a folder of labelled web-like pictures (``pairs.csv`` says which are satellite images),
served on loopback; the anchors are the cloud-free Sentinel-2 patches of ``anchors/manifest.csv``.
k is larger than the pool, so that every picture becomes a candidate and counts in the average
precision.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from laion_eo.pipeline import RunResult, run
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.pools import index
from laion_eo.testing import serve_folder
from laion_eo.types import JSON

PORT = 8641  # a fixed one: URLs are part of the pool, and a second run must find them again
SATELLITE_SOURCES = ("aid", "rsscn7", "ombria")
GOAL = 0.95


def average_precision(labels: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """Return the mean of the precision at each positive, ranked by score."""
    ranked = labels[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    return float(precision[ranked].mean())


def run_file(shared: Path, pool: Path) -> dict[str, JSON]:
    """Return the run file of the check."""
    anchors = shared / "anchors"
    cloud_free = {"cloud_free_visual": ["yes", "mostly"]}
    manifest = {"table": str(anchors / "manifest.csv"), "where": cloud_free}
    return {
        "anchors": {"use": "images", "root": str(anchors), **manifest},
        "embedder": {"use": "tiny"},
        "retriever": {"use": "exact-scan", "pool": str(pool), "k": 10_000},
        # No delay: the one host that all images come from is this process itself.
        "downloader": {"use": "http", "allow_hosts": ["127.0.0.1"], "delay": 0.0},
        "filters": [
            {"use": "min-size", "width": 128, "height": 128},
            {"use": "similarity-threshold"},
            {"use": "duplicates"},
        ],
        "language_tagger": {"use": "fasttext"},
        "dataset": {"config": "ver-0"},
    }


def measure(shared: Path, result: RunResult) -> dict[str, float]:
    """Return average precision of ``image_similarity`` over all, and for each satellite source."""
    with (shared / "miniweb" / "pairs.csv").open(newline="", encoding="utf-8") as stream:
        truth = {row["file"]: row for row in csv.DictReader(stream)}
    run_dir = RunDir(result.folder)
    candidates, scores = run_dir.read("candidates"), run_dir.read("scores")
    files = [unquote(urlsplit(url).path).lstrip("/") for url in candidates["url"].to_pylist()]
    similarity = scores["image_similarity"].to_numpy().astype(np.float64)
    satellite = np.array([truth[file]["is_satellite"] == "1" for file in files])
    source = np.array([truth[file]["source"] for file in files])
    found = {"all": average_precision(satellite, similarity), "candidates": float(len(files))}
    for name in SATELLITE_SOURCES:
        rows = (source == name) | ~satellite
        found[name] = average_precision(satellite[rows], similarity[rows])
    text = scores["text_similarity"].to_numpy().astype(np.float64)
    found["prompt"] = average_precision(satellite, text)
    return found


def main() -> None:
    """Index, run, measure, and print the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    beside = Path(__file__).resolve().parents[2] / "shared"
    parser.add_argument("--shared", type=Path, default=beside, help="folder of the real data")
    parser.add_argument("--out", type=Path, default=Path("runs/miniweb"), help="folder for results")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    web = arguments.shared / "miniweb"
    with serve_folder(web, PORT) as url:
        indexed = index(web, arguments.out / "pool", {"use": "tiny"}, url)
        result = run(run_file(arguments.shared, indexed.folder), arguments.out / "run")
    table = pq.read_table(result.dataset / "ver-0")
    urls = table["url"].to_pylist()
    assert len(table.column_names) == 12
    assert len(set(urls)) == len(urls)
    found = measure(arguments.shared, result)
    detail = {**{name: round(value, 4) for name, value in found.items()}, "rows": len(urls)}
    figures = {"ours": found["all"], "reference": GOAL, "ratio": found["all"] / GOAL}
    about = {"name": "miniweb_end_to_end", "unit": "average precision of image_similarity"}
    print(json.dumps({**about, **figures, "detail": detail}))


if __name__ == "__main__":
    main()
