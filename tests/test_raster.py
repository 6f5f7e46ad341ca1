from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from fakes.odd_pictures import encoded
from numpy.typing import NDArray
from PIL import Image
from rasterio.crs import CRS
from rasterio.transform import Affine

from laion_eo.errors import DataError
from laion_eo.images import MAX_SIDE
from laion_eo.raster import default_scale, open_raster, read_anchor, read_bands

RGB = (1, 2, 3)


def from_origin(west: float, north: float, width: float, height: float) -> Affine:
    return Affine(width, 0, west, 0, -height, north)


PLACE: dict[str, Any] = {"crs": "EPSG:32631", "transform": from_origin(500_000, 5_000_000, 10, 10)}


def write(
    path: Path, pixels: NDArray[Any], names: tuple[str, ...] = (), **profile: Any
) -> NDArray[Any]:
    count, height, width = pixels.shape
    shape = {"count": count, "height": height, "width": width, "dtype": pixels.dtype}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of files without a place
        with rasterio.open(path, "w", driver="GTiff", **shape, **profile) as raster:
            raster.write(pixels)
            for number, name in enumerate(names, 1):
                raster.set_band_description(number, name)
    return pixels


def noise(*shape: int, dtype: Any = np.uint16) -> NDArray[Any]:
    return np.random.default_rng(0).integers(0, 5000, shape).astype(dtype)


def test_bands_are_chosen_by_number_and_keep_their_names(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pixels = write(path, noise(4, 30, 40), ("B2", "B3", "B4", "B8"), **PLACE)
    anchor = read_anchor(path, "a", (3, 2, 1))
    assert anchor.pixels is not None
    assert np.array_equal(anchor.pixels, pixels[[2, 1, 0]])
    assert anchor.bands == ("B4", "B3", "B2")
    assert anchor.scale == 10_000


def test_a_projected_file_has_a_place(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", noise(3, 200, 100), **PLACE)
    anchor = read_anchor(tmp_path / "a.tif", "a", RGB)
    # UTM zone 31 has its middle, 500,000 m, at 3 degrees east.
    assert anchor.lon == pytest.approx(3.0063, abs=1e-3)
    assert anchor.lat == pytest.approx(45.144, abs=1e-2)
    assert anchor.gsd == 10


def test_gsd_is_in_metres_whatever_the_unit(tmp_path: Path) -> None:
    write(tmp_path / "feet.tif", noise(3, 8, 8), crs="EPSG:2263", transform=from_origin(0, 0, 2, 2))
    write(tmp_path / "deg.tif", noise(3, 8, 8), crs="EPSG:4326", transform=from_origin(4, 60, 1, 1))
    assert read_anchor(tmp_path / "feet.tif", "a", RGB).gsd == pytest.approx(0.6096, abs=1e-4)
    degrees = read_anchor(tmp_path / "deg.tif", "a", RGB)
    assert degrees.gsd == pytest.approx(111_000, rel=0.01)
    assert (degrees.lon, degrees.lat) == (8, 56)


def test_gsd_of_a_turned_file(tmp_path: Path) -> None:
    turned = Affine(0, 10, 500_000, 10, 0, 5_000_000)
    write(tmp_path / "a.tif", noise(3, 8, 8), crs="EPSG:32631", transform=turned)
    assert read_anchor(tmp_path / "a.tif", "a", RGB).gsd == pytest.approx(10)


def test_a_plain_file_has_no_place_and_gives_no_warning(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", noise(3, 8, 8))
    anchor = read_anchor(tmp_path / "a.tif", "a", RGB)
    assert (anchor.lon, anchor.lat, anchor.gsd, anchor.acquired) == (None, None, None, None)
    assert anchor.bands == ("band 1", "band 2", "band 3")


def test_coordinates_that_lead_nowhere_are_left_out(tmp_path: Path) -> None:
    local = CRS.from_wkt('LOCAL_CS["a field",UNIT["metre",1]]')
    moon = CRS.from_proj4("+proj=longlat +R=1737400 +no_defs")
    here = from_origin(0, 0, 1, 1)
    write(tmp_path / "local.tif", noise(3, 8, 8), crs=local, transform=here)
    write(tmp_path / "moon.tif", noise(3, 8, 8), crs=moon, transform=here)
    far = from_origin(1e30, 1e30, 10, 10)
    write(tmp_path / "far.tif", noise(3, 8, 8), crs="EPSG:32631", transform=far)
    for name in ("local.tif", "moon.tif", "far.tif"):
        anchor = read_anchor(tmp_path / name, name, RGB)
        assert (anchor.lon, anchor.lat) == (None, None)
        assert anchor.pixels is not None


def test_acquisition_is_what_gdal_calls_so_and_not_the_files_date(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write(path, noise(3, 8, 8), **PLACE)
    with rasterio.open(path, "r+") as raster:
        raster.update_tags(TIFFTAG_DATETIME="2024:05:06 07:08:09")
    assert read_anchor(path, "a", RGB).acquired is None
    with rasterio.open(path, "r+") as raster:
        raster.update_tags(ns="IMAGERY", ACQUISITIONDATETIME="2017-06-13 10:10:31")
    assert read_anchor(path, "a", RGB).acquired == datetime(2017, 6, 13, 10, 10, 31, tzinfo=UTC)


def test_negative_and_missing_values(tmp_path: Path) -> None:
    pixels = noise(3, 8, 8, dtype=np.int16) - 1000
    pixels[0, 0, 0] = -9999
    write(tmp_path / "a.tif", pixels, nodata=-9999)
    read = read_anchor(tmp_path / "a.tif", "a", RGB).pixels
    assert read is not None
    assert read.dtype == np.int16
    assert read[0, 0, 0] == 0
    assert read.min() < 0
    assert np.array_equal(read[1:], pixels[1:])


def test_floats_and_single_bands(tmp_path: Path) -> None:
    write(tmp_path / "f.tif", noise(1, 8, 8, dtype=np.float32) / 10_000)
    anchor = read_anchor(tmp_path / "f.tif", "f", RGB)
    assert anchor.pixels is not None
    assert anchor.pixels.shape == (1, 8, 8)
    assert anchor.scale == 1
    assert read_anchor(tmp_path / "f.tif", "f", RGB, scale=2).scale == 2


def test_scale_by_type() -> None:
    types = (np.uint8, np.int8, np.uint16, np.int16, np.float32)
    assert [default_scale(np.dtype(t)) for t in types] == [255, 10_000, 10_000, 10_000, 1]


@pytest.mark.parametrize("bands", [(1, 2, 5), (0, 1, 2)])
def test_a_band_that_is_not_there(tmp_path: Path, bands: tuple[int, ...]) -> None:
    write(tmp_path / "a.tif", noise(4, 8, 8))
    absent = 5 if 5 in bands else 0
    with pytest.raises(DataError, match=rf"a\.tif: no band {absent}, it has 4"):
        read_anchor(tmp_path / "a.tif", "a", bands)


def test_complex_values_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", np.ones((3, 8, 8), np.complex64))
    with pytest.raises(DataError, match="complex64"):
        read_anchor(tmp_path / "a.tif", "a", RGB)


def test_a_large_file_is_scaled_down(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", np.full((3, 8, 4 * MAX_SIDE), 1234, np.uint16), **PLACE)
    anchor = read_anchor(tmp_path / "a.tif", "a", RGB)
    assert anchor.pixels is not None
    assert anchor.pixels.shape == (3, 2, MAX_SIDE)
    assert (anchor.pixels == 1234).all()
    assert anchor.gsd == 40


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    shape = {"count": 3, "height": 50_000, "width": 50_000, "dtype": "uint16"}
    tiles = {"tiled": True, "sparse_ok": True, "compress": "deflate"}
    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", **shape, **tiles, **PLACE):
        pass
    assert (tmp_path / "a.tif").stat().st_size < 10_000_000
    with pytest.raises(DataError, match="50000 x 50000 pixels"):
        read_anchor(tmp_path / "a.tif", "a", RGB)


@pytest.fixture
def silence(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fails the test where GDAL says anything of its own."""
    yield
    assert [r.message for r in caplog.get_records("call") if r.levelno >= logging.WARNING] == []
    assert "".join(capfd.readouterr()) == ""


@pytest.mark.usefixtures("silence")
@pytest.mark.parametrize("compress", ["none", "deflate"])
def test_a_truncated_file_is_one_clear_line(tmp_path: Path, compress: str) -> None:
    path = tmp_path / "a.tif"
    write(path, noise(3, 100, 100), compress=compress)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError) as error:
        read_anchor(path, "a", RGB)
    assert str(error.value).startswith(f"{path}: damaged, or not a GeoTIFF (")
    assert "\n" not in str(error.value)
    assert "previous exception" not in str(error.value)


@pytest.mark.usefixtures("silence")
@pytest.mark.parametrize("content", [b"", b"just some text\n", b"II*\0\xff\xff\xff\xff"])
def test_what_is_no_tiff(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.tif: damaged, or not a GeoTIFF"):
        read_anchor(tmp_path / "a.tif", "a", RGB)


@pytest.mark.usefixtures("silence")
@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_a_missing_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"(?i)no such file"):
        read_anchor(tmp_path / name, "a", RGB)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_vrt_named_tif_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret.tif"
    write(secret, noise(1, 8, 8))
    source = f"<SimpleSource><SourceFilename>{secret}</SourceFilename></SimpleSource>"
    band = f'<VRTRasterBand dataType="UInt16" band="1">{source}</VRTRasterBand>'
    vrt = f'<VRTDataset rasterXSize="8" rasterYSize="8">{band}</VRTDataset>'
    (tmp_path / "a.tif").write_text(vrt)
    with rasterio.open(tmp_path / "a.tif") as raster:
        assert raster.driver == "VRT"  # which is what GDAL does if it may
    with pytest.raises(DataError, match="damaged, or not a GeoTIFF"):
        read_anchor(tmp_path / "a.tif", "a", RGB)


def test_files_beside_a_tiff_have_no_say(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", noise(3, 8, 8), **PLACE)
    (tmp_path / "a.tif.aux.xml").write_text(
        '<PAMDataset><Metadata domain="IMAGERY"><MDI key="ACQUISITIONDATETIME">'
        "2001-01-01 00:00:00</MDI></Metadata></PAMDataset>"
    )
    assert read_anchor(tmp_path / "a.tif", "a", RGB).acquired is None


def test_bytes_are_read_by_the_drivers_named(tmp_path: Path) -> None:
    pixels = write(tmp_path / "a.tif", noise(2, 8, 8))
    content = (tmp_path / "a.tif").read_bytes()
    with open_raster(content, "it") as raster:
        assert np.array_equal(read_bands(raster, [2], "it"), pixels[1:])
    with (
        pytest.raises(DataError, match="it: damaged, or not a JPEG 2000"),
        open_raster(content, "it", "JP2OpenJPEG"),
    ):
        pass


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_pictures_are_red_green_blue(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    path.write_bytes(encoded(kind.upper(), (60, 40)))
    anchor = read_anchor(path, "a", (3, 2, 1))
    assert anchor.pixels is not None
    assert anchor.pixels.shape == (3, 40, 60)
    assert anchor.bands == ("red", "green", "blue")
    assert anchor.scale == 255
    if kind == "png":
        assert np.array_equal(np.moveaxis(anchor.pixels, 0, -1), np.asarray(Image.open(path)))


def test_a_palette_picture_shows_its_colours(tmp_path: Path) -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    image.save(tmp_path / "a.png")
    anchor = read_anchor(tmp_path / "a.png", "a", RGB)
    assert anchor.pixels is not None
    assert anchor.pixels[:, 0, 0].tolist() == [200, 100, 50]
