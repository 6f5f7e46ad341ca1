from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from laion_eo_stac.source import StacAnchors

from laion_eo import run
from laion_eo.component import Context
from laion_eo.errors import ConfigError, DataError
from laion_eo.testing.suites import AnchorSourceTests
from laion_eo.types import Anchor, SkippedAnchor

ROOT = Path(__file__).parent
SHARED = ROOT.resolve().parents[3] / "shared" / "anchors" / "l2a_full"


def source(catalog: object, **options: Any) -> StacAnchors:
    options = {"side": 256, "allow_hosts": ["127.0.0.1"], **options}
    return StacAnchors(StacAnchors.Config(catalog=str(catalog), **options), Context())


def anchors(catalog: object, **options: Any) -> list[Anchor]:
    found = list(source(catalog, **options).anchors())
    assert all(isinstance(one, Anchor) for one in found), found
    return [one for one in found if isinstance(one, Anchor)]


class TestStacAnchors(AnchorSourceTests):
    component_cls = StacAnchors

    @classmethod
    def make_options(cls, folder: Path) -> dict[str, Any]:
        from importlib.util import module_from_spec, spec_from_file_location

        spec = spec_from_file_location("stac_conftest", ROOT / "conftest.py")
        assert spec
        assert spec.loader
        made = module_from_spec(spec)
        spec.loader.exec_module(made)
        (folder / "stac").mkdir(exist_ok=True)
        return {"catalog": str(made.write_catalog(folder / "stac")), "side": 256, "per_item": 3}


def test_an_anchor_says_where_when_and_how_fine(server: Any) -> None:
    (cloudy, clear) = anchors(f"{server.url}/catalog.json")
    assert (cloudy.id, clear.id) == ("S2_05/0", "S2_07/0")
    assert clear.acquired == datetime(2023, 7, 3, 10, 11, tzinfo=UTC)
    assert clear.gsd == 10.0
    assert clear.bands == ("B04", "B03", "B02")
    assert clear.pixels is not None
    assert clear.pixels.shape == (3, 256, 256)
    assert cloudy.lon == pytest.approx(11.40, abs=0.02)
    assert cloudy.lat == pytest.approx(46.43, abs=0.02)


def test_only_the_bytes_of_the_window_are_read(server: Any, catalog: Path) -> None:
    anchors(f"{server.url}/catalog.json", max_cloud_cover=10)
    assert not any(name.startswith("S2_05_") for name in server.sent)
    for asset in ("B04", "B03", "B02"):
        name = f"S2_07_{asset}.tif"
        whole = (catalog.parent / name).stat().st_size
        # A window of 256 x 256 touches at most four of the file's sixteen blocks of that size.
        assert 0 < server.sent[name] < 0.5 * whole


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"max_cloud_cover": 10}, ["S2_07/0"]),
        ({"datetime": "2023-05-03"}, ["S2_05/0"]),
        ({"datetime": "2023-06-01/.."}, ["S2_07/0"]),
        ({"datetime": "../2023-06-01T00:00:00Z"}, ["S2_05/0"]),
        ({"bbox": [11.3, 46.3, 11.6, 46.6]}, ["S2_05/0"]),
        ({"collections": ["sentinel-2-l2a"], "limit": 1}, ["S2_05/0"]),
        ({"max_cloud_cover": 10, "per_item": 2}, ["S2_07/0", "S2_07/1"]),
    ],
)
def test_a_static_catalogue_is_searched(
    server: Any, options: dict[str, Any], expected: list[str]
) -> None:
    assert [one.id for one in anchors(f"{server.url}/catalog.json", **options)] == expected


def test_an_api_is_searched(api: Any) -> None:
    (clear,) = anchors(api.url, max_cloud_cover=10, datetime="2023", collections=["sentinel-2-l2a"])
    assert clear.id == "S2_07/0"
    asked = api.asked[0]
    assert asked["collections"] == ["sentinel-2-l2a"]
    assert asked["query"] == {"eo:cloud_cover": {"lte": 10.0}}
    assert asked["sortby"] == [{"field": "id", "direction": "asc"}]
    assert asked["datetime"].startswith("2023-01-01T00:00:00Z/2023-12-31")


def test_windows_stay_in_the_box(server: Any) -> None:
    box = [11.38, 46.44, 11.44, 46.48]
    found = anchors(f"{server.url}/catalog.json", bbox=box, side=64, per_item=100)
    assert len(found) > 10
    for one in found:
        assert one.lon is not None
        assert one.lat is not None
        assert box[0] <= one.lon <= box[2]
        assert box[1] <= one.lat <= box[3]


@pytest.mark.parametrize(
    ("properties", "fields", "options", "expected"),
    [
        ({"s2:processing_baseline": "05.09"}, {}, {}, 0.2),
        ({"s2:processing_baseline": "04.00"}, {}, {}, 0.2),
        ({"s2:processing_baseline": "03.01"}, {}, {}, 0.3),
        ({"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": True}, {}, {}, 0.3),
        ({"s2:processing_baseline": "05.09", "platform": "landsat-8"}, {}, {}, 0.3),
        ({}, {"raster:bands": [{"scale": 0.0001, "offset": -0.1}]}, {}, 0.2),
        ({}, {"bands": [{"name": "red", "raster:scale": 0.0002}]}, {}, 0.6),
        ({}, {"raster:scale": 0.0001, "raster:offset": 0.05}, {}, 0.35),
        ({"s2:processing_baseline": "05.09"}, {}, {"offset": 0.0}, 0.3),
        ({}, {}, {"scale": 0.00005}, 0.15),
    ],
)
def test_scale_and_offset_are_honoured(
    tmp_path: Path,
    catalog: Path,
    properties: dict[str, Any],
    fields: dict[str, Any],
    options: dict[str, Any],
    expected: float,
) -> None:
    """The digital number 3,000 is a reflectance of 0.3, or of 0.2 since the baseline 04.00."""
    shutil.copytree(catalog.parent, tmp_path / "copy")
    (path,) = (tmp_path / "copy").glob("sentinel-2-l2a/S2_07/*.json")
    item = pystac.Item.from_file(str(path))
    del item.properties["s2:processing_baseline"]
    item.properties |= properties
    item.assets["B04"].extra_fields |= fields
    item.save_object(include_self_link=False, dest_href=str(path))
    chosen = {"assets": ["B04"], "max_cloud_cover": 10, **options}
    (anchor,) = anchors(tmp_path / "copy" / "catalog.json", **chosen)
    assert anchor.pixels is not None
    assert anchor.scale == 1.0
    assert float(np.median(anchor.pixels)) == pytest.approx(expected, abs=0.005)


def test_a_window_without_data_is_skipped(server: Any) -> None:
    options = {"max_cloud_cover": 10, "side": 64, "per_item": 1000}
    found = list(source(f"{server.url}/catalog.json", **options).anchors())
    (skipped,) = (one for one in found if isinstance(one, SkippedAnchor))
    assert skipped.reason == "only 0% of the window has data"


def test_a_missing_asset_is_named(server: Any) -> None:
    (one, _) = source(f"{server.url}/catalog.json", assets=["red"]).anchors()
    assert isinstance(one, SkippedAnchor)
    assert "no asset 'red'; it has B02, B03, B04" in one.reason


def test_private_addresses_are_refused(server: Any) -> None:
    with pytest.raises(DataError, match=r"127\.0\.0\.1 is not a public address.*allow_hosts"):
        list(source(f"{server.url}/catalog.json", allow_hosts=[]).anchors())


def test_a_served_catalogue_cannot_name_local_files(
    tmp_path: Path, catalog: Path, own_server: Any
) -> None:
    shutil.copytree(catalog.parent, tmp_path / "copy")
    for path in (tmp_path / "copy").glob("sentinel-2-l2a/*/*.json"):
        item = pystac.Item.from_file(str(path))
        for name, asset in item.assets.items():
            asset.href = (catalog.parent / f"{item.id}_{name}.tif").as_uri()
        item.save_object(include_self_link=False, dest_href=str(path))
    for one in source(f"{own_server.url}/copy/catalog.json").anchors():
        assert isinstance(one, SkippedAnchor)
        assert "not an http or https URL" in one.reason


def test_a_redirect_leads_nowhere_else(server: Any) -> None:
    moved = f"{server.url}/moved/catalog.json"
    with pytest.raises(DataError, match=r"localhost is not a public address.*allow_hosts"):
        list(source(moved).anchors())
    assert len(anchors(moved, allow_hosts=["127.0.0.1", "localhost"])) == 2


def test_a_virtual_raster_is_not_followed(tmp_path: Path, catalog: Path, own_server: Any) -> None:
    """A file that calls itself a GeoTIFF, and names one of this disk."""
    shutil.copytree(catalog.parent, tmp_path / "copy")
    for path in (tmp_path / "copy").glob("S2_07_*.tif"):
        path.write_text(
            '<VRTDataset rasterXSize="1024" rasterYSize="1024"><SRS>EPSG:32632</SRS>'
            "<GeoTransform>680000, 10, 0, 5150000, 0, -10</GeoTransform>"
            '<VRTRasterBand dataType="UInt16" band="1"><SimpleSource>'
            f"<SourceFilename>{catalog.parent / path.name}</SourceFilename>"
            "</SimpleSource></VRTRasterBand></VRTDataset>"
        )
        with rasterio.open(path) as raster:
            assert raster.read(1).any(), "the trap is none"
    (one,) = source(f"{own_server.url}/copy/catalog.json", max_cloud_cover=10).anchors()
    assert isinstance(one, SkippedAnchor)


@pytest.mark.parametrize("name", ["no-such.json", "S2_05_B04.tif"])
def test_what_is_no_catalogue_is_one_line(server: Any, name: str) -> None:
    with pytest.raises(DataError, match="not a STAC catalogue that can be read"):
        list(source(f"{server.url}/{name}").anchors())


@pytest.mark.parametrize("options", [{"datetime": "1999-01-01"}, {"collections": ["landsat"]}])
def test_nothing_found_is_one_line(server: Any, options: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="no item matches"):
        list(source(f"{server.url}/catalog.json", **options).anchors())


def test_two_bands_are_no_picture(run_data: Any, registry: Any, tmp_path: Path) -> None:
    run_data["anchors"] = {"use": "stac", "catalog": "x", "assets": ["B04", "B03"]}
    with pytest.raises(ConfigError, match="2 bands; 1 or 3 are wanted"):
        run(run_data, tmp_path / "run", registry=registry)


def test_a_run_uses_it(run_data: Any, registry: Any, server: Any, tmp_path: Path) -> None:
    url, hosts = f"{server.url}/catalog.json", ["127.0.0.1"]
    run_data["anchors"] = {"use": "stac", "catalog": url, "allow_hosts": hosts, "side": 256}
    run_data["normalizer"] = {"use": "reflectance-gain"}
    manifest = run(run_data, tmp_path / "run", registry=registry).manifest
    assert manifest["stages"]["anchors"]["counts"]["anchors"] == 2
    who = manifest["components"]["anchor-source"]["stac"]["distribution"]
    assert who.startswith("laion-eo-stac")


def test_real_scenes_over_loopback(tmp_path: Path, own_server: Any) -> None:
    """The scenes of ../shared as a static catalogue: 12 bands in one file, other scenes in 5."""
    if not SHARED.is_dir():
        pytest.skip("no ../shared here: this test reads real scenes that are not shipped")
    catalog = pystac.Catalog("real", "real Sentinel-2 L2A scenes")
    paths = sorted(SHARED.glob("*.tif"))
    for path in paths:
        shutil.copyfile(path, tmp_path / path.name)
        moment = datetime(2020, 6, 1, tzinfo=UTC)
        item = pystac.Item(path.stem, None, None, moment, {"platform": "sentinel-2b"})
        item.add_asset("data", pystac.Asset(str(tmp_path / path.name)))
        catalog.add_item(item)
    catalog.normalize_hrefs(str(tmp_path))
    catalog.make_all_asset_hrefs_relative()
    catalog.save(pystac.CatalogType.SELF_CONTAINED)
    options = {"assets": ["data"], "bands": [4, 3, 2], "side": 224}
    found = anchors(f"{own_server.url}/catalog.json", **options)
    assert [one.id for one in found] == [f"{path.stem}/0" for path in paths]
    for one, path in zip(found, paths, strict=True):
        assert one.pixels is not None
        assert one.pixels.shape == (3, 224, 224)
        with rasterio.open(path) as raster:
            side = [(size - size // 224 * 224) // 2 for size in raster.shape]
            places = [
                (side[0] + 224 * row, side[1] + 224 * column)
                for row in range(raster.shape[0] // 224)
                for column in range(raster.shape[1] // 224)
            ]
            cuts = []
            for top, left in places:
                window = ((top, top + 224), (left, left + 224))
                cut = raster.read([4, 3, 2], window=window, masked=True)
                cuts.append(cut.filled(0) / 10_000 * ~np.ma.getmaskarray(cut).any(axis=0))
        assert any(np.allclose(one.pixels, cut, atol=1e-6) for cut in cuts), one.id
