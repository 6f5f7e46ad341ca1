"""A complete extraction on pictures from PyPI packages: no network, no account."""

from __future__ import annotations

from pathlib import Path

from laion_eo.demo.pictures import lay_out, rot
from laion_eo.pipeline import RunResult, run
from laion_eo.pools import index
from laion_eo.registry import Registry
from laion_eo.serving import serve_folder
from laion_eo.types import JSON

K = 8


def demo(out: Path, registry: Registry | None = None) -> RunResult:
    """Write a small web to disk, index it, serve it on loopback, and extract its satellite images.

    Args:
        out: Folder for everything that the demo writes; files of an earlier demo are replaced.
        registry: Where components are found; the installed plugins by default.
    """
    registry = registry or Registry.discover()
    sources = out / "sources"
    lay_out(sources)
    with serve_folder(sources / "web") as url:
        index(sources / "web", out / "pool", {"use": "tiny"}, url, registry)
        rot(sources / "web")
        return run(run_file(sources / "anchors", out / "pool"), out / "run", (), registry)


def run_file(anchors: Path, pool: Path) -> dict[str, JSON]:
    """Return the demo's run file."""
    return {
        "anchors": {"use": "images", "root": str(anchors)},
        "embedder": {"use": "tiny"},
        "retriever": {"use": "exact-scan", "pool": str(pool), "k": K},
        "downloader": {"use": "http", "allow_hosts": ["127.0.0.1"], "retries": 0, "delay": 0.0},
        "language_tagger": {"use": "fasttext"},
        "dataset": {
            "config": "ver-0",
            "pretty_name": "LAION-EO demo",
            "tags": ["climate", "earth-observation"],
        },
    }
