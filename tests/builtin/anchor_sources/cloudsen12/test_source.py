from __future__ import annotations

import csv
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from fakes.cloudsen12 import (
    COLUMNS,
    L2A,
    RED_GREEN_BLUE,
    holds,
    patch,
    write_raster,
)

from laion_eo.builtin.anchor_sources.cloudsen12 import CloudSEN12
from laion_eo.errors import ConfigError, DataError
from laion_eo.types import Anchor

Source = Callable[..., CloudSEN12]
Read = Callable[[CloudSEN12], list[Anchor]]


@pytest.fixture(params=["geotiff", "memmap", "mlstac"])
def dataset(request: pytest.FixtureRequest) -> tuple[Path, dict[str, Any], str]:
    """Each layout: its root, the options that it needs, its name."""
    fixture = {"geotiff": "tree", "memmap": "memmaps", "mlstac": "plus"}[request.param]
    options = {"level": "L1C"} if request.param == "mlstac" else {}
    return request.getfixturevalue(fixture), options, request.param


def test_layout_can_be_said(
    dataset: tuple[Path, dict[str, Any], str], source: Source, read: Read
) -> None:
    root, options, layout = dataset
    detected = [anchor.id for anchor in read(source(root, **options))]
    assert [anchor.id for anchor in read(source(root, layout=layout, **options))] == detected
    other = "memmap" if layout != "memmap" else "geotiff"
    with pytest.raises(DataError, match=f"no train set of the layout '{other}': .* expected"):
        source(root, layout=other, **options).count()


def test_identity_follows_the_files_without_reading_them(
    dataset: tuple[Path, dict[str, Any], str], monkeypatch: pytest.MonkeyPatch, source: Source
) -> None:
    root, options, layout = dataset
    monkeypatch.setattr(rasterio, "open", lambda *_, **__: pytest.fail("read pixels"))
    monkeypatch.setattr(np, "memmap", lambda *_, **__: pytest.fail("read pixels"))
    before = source(root, **options).identity()
    assert before == source(root, **options).identity()
    assert before["layout"] == layout
    suffix = {"geotiff": "tif", "memmap": "dat", "mlstac": "mlstac"}[layout]
    changed = sorted(root.rglob(f"*{'B4' if layout == 'memmap' else ''}.{suffix}"))[0]
    os.utime(changed, (1, 1))
    assert source(root, **options).identity() != before


def test_no_patch_of_the_cover_asked_for(
    dataset: tuple[Path, dict[str, Any], str], source: Source
) -> None:
    root, options, _ = dataset
    with pytest.raises(DataError, match="no low-cloudy patch in the train set"):
        source(root, cloud_coverage=["low-cloudy"], **options).count()


def test_no_dataset_names_all_layouts(tmp_path: Path, source: Source) -> None:
    with pytest.raises(DataError, match="gone: no such folder"):
        source(tmp_path / "gone").count()
    with pytest.raises(DataError) as error:
        next(source(tmp_path).anchors())
    for part in ("cloudsen12_metadata.csv", "L2A_B4.dat", ".mlstac", "no train set"):
        assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_metadata_of_something_else(tmp_path: Path, source: Source) -> None:
    (tmp_path / "cloudsen12_metadata.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"no column 'label_type'.*It has: a, b\."):
        source(tmp_path).count()
    (tmp_path / "cloudsen12_metadata.csv").unlink()
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "metadata.parquet").write_text("not parquet")
    with pytest.raises(DataError, match=r"metadata\.parquet: cannot be read"):
        source(tmp_path, level="L1C").count()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"bands": ["B04", "B03", "red"]}, r"no band 'red' in L2A; its bands are B1, B2, .*B12"),
        ({"bands": ["B10"]}, "no band 'B10' in L2A"),
        ({"bands": ["B04", "B03"]}, "one band or three, not 2"),
        ({"split": "training"}, "split"),
        ({"label_types": ["hihg"]}, "label_types"),
        ({"label_types": []}, "label_types"),
        ({"cloud_coverage": ["clear"]}, "cloud_coverage"),
        ({"level": "L1B"}, "level"),
        ({"layout": "zarr"}, "layout"),
    ],
)
def test_wrong_options_are_config_errors(
    tmp_path: Path, options: dict[str, Any], says: str, source: Source
) -> None:
    with pytest.raises(ConfigError, match=says):
        source(tmp_path, **options)


def test_the_real_metadata(shared: Path, tmp_path: Path, source: Source) -> None:
    real = shared / "cloudsen12" / "metadata_sample_6rows.csv"
    with real.open() as stream:
        reader = csv.DictReader(stream)
        assert tuple(reader.fieldnames or ()) == COLUMNS
        rows = list(reader)
    (tmp_path / "cloudsen12_metadata.csv").write_bytes(real.read_bytes())
    pixels = patch(0, 12, 509)
    for kept in rows:
        place = tmp_path / kept["label_type"] / kept["roi_id"] / kept["s2_id_gee"]
        write_raster(place / "S2L2A.tif", pixels, L2A)
    covers = sorted({kept["cloud_coverage"] for kept in rows})
    train = source(tmp_path, label_types=["nolabel", "scribble"], cloud_coverage=covers)
    test = source(tmp_path, label_types=["high"], cloud_coverage=covers, split="test")
    assert (train.count(), test.count()) == (5, 1)
    anchor = next(train.anchors())
    assert isinstance(anchor, Anchor)
    assert holds(anchor, pixels[RED_GREEN_BLUE])
    assert (anchor.lon, anchor.lat) == (-120.2344, 57.47218)
    assert anchor.acquired == datetime(2019, 10, 13, 19, 18, 41, tzinfo=UTC)
