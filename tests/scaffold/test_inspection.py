from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio import Affine
from rasterio.enums import ColorInterp

from laion_eo.errors import ConfigError, DataError
from laion_eo.scaffold.inspection import INSPECTED, inspect_folder, inspect_texts


def photos(folder: Path, count: int = 12, size: tuple[int, int] = (320, 240)) -> Path:
    """JPEG files with noise in them, of one size."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(count):
        noise = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{seed:03d}.jpg")
    return folder


def geotiff(
    path: Path,
    values: NDArray[np.generic],
    names: tuple[str, ...] = (),
    colours: tuple[str, ...] = (),
) -> None:
    """A GeoTIFF of (bands, height, width), with bands of these names or colours."""
    bands, height, width = values.shape
    shape = {"count": bands, "height": height, "width": width, "dtype": values.dtype.name}
    place = {"crs": "EPSG:32633", "transform": Affine(10, 0, 500_000, 0, -10, 5_500_000)}
    options = {"driver": "GTiff", "photometric": "minisblack"}
    with rasterio.open(path, "w", **options, **shape, **place) as raster:
        for band, name in enumerate(names, 1):
            raster.set_band_description(band, name)
        if colours:
            raster.colorinterp = [getattr(ColorInterp, colour) for colour in colours]
        raster.write(values)


def geotiffs(folder: Path, low: float, high: float, dtype: str, size: int = 120) -> Path:
    """Twelve of them, three bands each."""
    for seed in range(12):
        values = np.random.default_rng(seed).uniform(low, high, (3, size, size))
        geotiff(folder / f"{seed:02d}.tif", values.astype(dtype))
    return folder


def test_pictures_are_shown_as_they_are(tmp_path: Path) -> None:
    found = inspect_folder(photos(tmp_path))
    assert (found.count, found.inspected) == (12, 12)
    assert found.normalization.use == "none"
    assert found.normalization.why == "the anchors are pictures already"
    assert found.sizes == (240, 320)
    assert found.min_size == 128
    assert found.notes == ()


@pytest.mark.parametrize(
    ("sizes", "least"),
    [
        ([(500, 400)] * 12, 256),
        ([(500, 400)] * 10 + [(150, 150)] * 2, 128),  # more than a tenth is smaller
        ([(500, 400)] * 11 + [(150, 150)], 256),
        ([(150, 1000)] * 12, 128),
        ([(40, 60)] * 12, 32),
        ([(9, 9)] * 12, 16),
    ],
)
def test_the_least_size_is_one_that_most_anchors_have(
    tmp_path: Path, sizes: list[tuple[int, int]], least: int
) -> None:
    for place, size in enumerate(sizes):
        photos(tmp_path / f"{place:02d}", 1, size)
    assert inspect_folder(tmp_path).min_size == least


@pytest.mark.parametrize(
    ("values", "use", "scale", "why"),
    [
        ((0, 255, "uint8"), "none", None, "the anchors have 8 bits a band, as pictures"),
        (
            (200, 3000, "uint16"),
            "reflectance-gain",
            None,
            r"^uint16, mostly 2\d\d to 2,9\d\d, as ",
        ),
        ((200, 3000, "int16"), "reflectance-gain", None, "as reflectance times 10,000: dark ones"),
        ((200, 3000, "float32"), "reflectance-gain", 10_000.0, "^float32, .* as reflectance times"),
        ((0, 0.4, "float32"), "reflectance-gain", None, "0.00.* to 0.39, as reflectance: dark"),
        ((0, 65_535, "uint16"), "percentile", None, r"1,\d\d\d to 64,\d\d\d, no usual range: each"),
        (
            (0, 250, "uint16"),
            "percentile",
            None,
            r"^uint16, mostly [45]\S* to 24\d, no usual",
        ),
        ((0, 255, "float32"), "percentile", None, "^float32"),
        ((-25, 0, "float32"), "percentile", None, "mostly -2[45] to -0.[45]"),  # decibels
    ],
)
def test_values_of_geotiffs_say_how_to_show_them(
    tmp_path: Path, values: tuple[float, float, str], use: str, scale: float | None, why: str
) -> None:
    found = inspect_folder(geotiffs(tmp_path, *values))
    assert (found.normalization.use, found.normalization.scale) == (use, scale)
    assert re.search(why, found.normalization.why)
    assert found.min_size == 64
    assert found.notes == ()


def test_a_geotiff_of_nothing_but_nan_is_no_reason_to_fail(tmp_path: Path) -> None:
    geotiff(tmp_path / "a.tif", np.full((3, 50, 50), np.nan, np.float32))
    assert inspect_folder(tmp_path).sizes == (50, 50)


@pytest.mark.parametrize(
    ("names", "bands"),
    [
        (("B01", "B02", "B03", "B04"), (4, 3, 2)),
        (("nir", "Red", "Green", "Blue"), (2, 3, 4)),
        (("red", "green", "blue", "nir"), ()),  # those that are shown anyway
        (("b4", "b3", "b2", "b8"), ()),
    ],
)
def test_bands_are_found_by_their_names(
    tmp_path: Path, names: tuple[str, ...], bands: tuple[int, ...]
) -> None:
    geotiff(tmp_path / "a.tif", np.full((4, 50, 50), 900, np.uint16), names)
    found = inspect_folder(tmp_path)
    assert found.bands == bands
    assert not any("bands" in note for note in found.notes)


def test_bands_are_found_by_their_colours(tmp_path: Path) -> None:
    colours = ("undefined", "blue", "green", "red")
    geotiff(tmp_path / "a.tif", np.full((4, 50, 50), 900, np.uint16), colours=colours)
    assert inspect_folder(tmp_path).bands == (4, 3, 2)


@pytest.mark.parametrize(
    ("count", "bands", "note"),
    [
        (1, (), None),
        (2, (1,), "a.tif has 2 bands: the first is shown."),
        (3, (), None),
        (13, (1, 2, 3), "a.tif has 13 bands and does not say which are red, green and blue"),
    ],
)
def test_bands_without_names(
    tmp_path: Path, count: int, bands: tuple[int, ...], note: str | None
) -> None:
    geotiff(tmp_path / "a.tif", np.full((count, 50, 50), 900, np.uint16))
    found = inspect_folder(tmp_path)
    assert found.bands == bands
    said = [one for one in found.notes if "bands" in one]
    assert [one.startswith(note or "") for one in said] == [True] * (note is not None)


def test_a_mixed_folder_is_told(tmp_path: Path) -> None:
    photos(tmp_path, 12)
    geotiff(tmp_path / "x.tif", np.full((3, 300, 300), 900, np.uint16))
    found = inspect_folder(tmp_path)
    assert found.normalization.use == "none"
    assert "1 GeoTIFFs lie among 12 pictures, and one normalizer treats them all" in found.notes[0]


def test_few_anchors_and_unreadable_ones_are_told(tmp_path: Path) -> None:
    photos(tmp_path, 10)
    assert inspect_folder(tmp_path).notes == ()
    (tmp_path / "000.jpg").write_bytes(b"no picture")
    unreadable, few = inspect_folder(tmp_path).notes
    assert unreadable.startswith("1 of 10 anchors cannot be read, and will be skipped, such as ")
    assert "000.jpg: no known image format" in unreadable
    assert few.startswith("only 9 anchors that can be read: thresholds fitted to so few")


def test_what_cannot_be_anchors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no: no such folder"):
        inspect_folder(tmp_path / "no")
    with pytest.raises(DataError, match="no GeoTIFF, JPEG, PNG or WebP file"):
        inspect_folder(tmp_path)
    (tmp_path / "a.tif").write_bytes(b"no raster")
    (tmp_path / "b.tif").mkdir()
    with pytest.raises(DataError, match=r"none of 1 images can be read, such as .*a\.tif: damaged"):
        inspect_folder(tmp_path)


def test_a_large_folder_is_not_read_to_its_end(tmp_path: Path) -> None:
    picture = photos(tmp_path, 1) / "000.jpg"
    for place in range(1, INSPECTED + 5):
        (tmp_path / f"{place:03d}.jpg").hardlink_to(picture)
    found = inspect_folder(tmp_path)
    assert (found.count, found.inspected) == (INSPECTED + 5, INSPECTED)


def test_texts() -> None:
    found = inspect_texts([f"a  dog\nof kind {number}" for number in range(10)])
    assert found.texts[0] == "a dog of kind 0"
    assert (found.root, found.sizes, found.count, found.notes) == (None, None, 10, ())
    assert (found.normalization.use, found.min_size) == ("none", 128)
    (few,) = inspect_texts(["a dog"]).notes
    assert few.startswith("only 1 texts: thresholds fitted to so few are a guess")


@pytest.mark.parametrize(
    ("texts", "fault"),
    [
        ([], "an anchor is empty"),
        (["a", " "], "an anchor is empty"),
        (["a", " a "], "'a' is given"),
    ],
)
def test_texts_that_say_nothing_are_refused(texts: list[str], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        inspect_texts(texts)
