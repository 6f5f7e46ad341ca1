"""Runs the four example domains from their run files, and measures what each publishes.

``python benchmarks/examples_end_to_end.py [--shared DIR] [--out DIR] [--pool DIR]``

Dogs, clip art, rivers and parking lots with 20 anchors of their own each, drawn at random, parking
lots with the 20 texts of its run file, too, among 8,353 labelled web-like pictures, served on
loopback. The run files are those of ``examples/``; only the paths of anchors and pool are set. A
published picture is right if it belongs to the domain; unclear pictures and the anchors do not
count.

The reference is the precision of a random choice: the domain's share of the pool.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pyarrow.parquet as pq
from domains import ANCHORS, DOMAINS, Domain, Row, average_precision, read_captions, read_rows

from laion_eo.pipeline import RunResult, run
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.pools import index
from laion_eo.testing import serve_folder

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
PORT = 8641  # a fixed one: URLs are part of the pool, and a second run must find them again


class Web:
    """The labelled pictures."""

    def __init__(self, miniweb: Path) -> None:
        self.folder = miniweb
        self.rows = {row["file"]: row for row in read_rows(miniweb / "pairs.csv")}
        self.captions = read_captions(miniweb)

    def belongs(self, row: Row, domain: Domain) -> bool | None:
        """Return whether a picture is of the domain; ``None`` if it is unclear."""
        captions = self.captions.get(row["key"], [])
        if domain.unknown(row, captions):
            return None
        return domain.belongs(row, captions)

    def draw(self, domain: Domain, folder: Path) -> set[str]:
        """Copy the anchors of a domain to a folder, and return the files."""
        own = sorted(file for file, row in self.rows.items() if self.belongs(row, domain))
        drawn = np.random.default_rng(0).choice(own, ANCHORS, replace=False).tolist()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for file in drawn:
            shutil.copy(self.folder / file, folder)
        return set(drawn)

    def judge(self, urls: list[str], domain: Domain, anchors: set[str]) -> list[bool | None]:
        """Return for each URL whether its picture is right; ``None`` if it does not count."""
        files = [unquote(urlsplit(url).path).lstrip("/") for url in urls]
        return [
            None if file in anchors else self.belongs(self.rows[file], domain) for file in files
        ]


def measure(web: Web, name: str, anchors: set[str], result: RunResult) -> dict[str, float]:
    """Return precision and recall of the dataset, and average precision over the candidates."""
    domain = DOMAINS[name]
    everything = web.judge(list(web.rows), domain, anchors)
    published = pq.read_table(result.dataset / name)["url"].to_pylist()
    right = [one for one in web.judge(published, domain, anchors) if one is not None]
    folder = RunDir(result.folder)
    urls = folder.read("candidates")["url"].to_pylist()
    found = web.judge(urls, domain, anchors)
    counted = np.array([one is not None for one in found])
    scores = folder.read("scores")["image_similarity"].to_numpy()
    truth = np.array([bool(one) for one in found])
    return {
        "rows": len(published),
        "precision": sum(right) / max(len(right), 1),
        "recall": sum(right) / sum(one is True for one in everything),
        "candidates_ap": average_precision(truth[counted], scores[counted]),
        "chance": sum(one is True for one in everything)
        / sum(one is not None for one in everything),
    }


def main() -> None:
    """Index if there is no pool yet, run the four, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    beside = Path(__file__).resolve().parents[2] / "shared"
    parser.add_argument("--shared", type=Path, default=beside, help="folder of the real data")
    parser.add_argument("--out", type=Path, default=Path("runs/examples"), help="for results")
    parser.add_argument("--pool", type=Path, help="one that was indexed at this port before")
    arguments = parser.parse_args()
    web = Web(arguments.shared / "miniweb")
    pool = arguments.pool or arguments.out / "pool"
    detail = {}
    with serve_folder(web.folder, PORT) as url:
        if not (pool / "img_emb").is_dir():
            index(web.folder, pool, {"use": "tiny"}, url)
        for name, domain in DOMAINS.items():
            options = [
                f"retriever.pool={pool.resolve()}",
                'downloader.allow_hosts=["127.0.0.1"]',
                "downloader.delay=0",
            ]
            folder = arguments.out.resolve() / "anchors" / name
            anchors = web.draw(domain, folder)
            options.append(f"anchors.root={folder}")
            result = run(EXAMPLES / f"{name}.toml", arguments.out / name, options)
            detail[name] = measure(web, name, anchors, result)
            print(name, {what: round(value, 4) for what, value in detail[name].items()})
    ours = float(np.mean([figures["precision"] for figures in detail.values()]))
    reference = float(np.mean([figures["chance"] for figures in detail.values()]))
    summary = {"name": "examples_end_to_end", "ours": ours, "reference": reference}
    print(json.dumps({**summary, "ratio": ours / reference, "unit": "precision", "detail": detail}))


if __name__ == "__main__":
    main()
