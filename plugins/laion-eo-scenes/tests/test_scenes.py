from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from laion_eo_scenes.diverse import k_centre
from laion_eo_scenes.layouts import class_name, find_scenes, recognise
from laion_eo_scenes.source import SceneAnchors
from PIL import Image

from laion_eo import run
from laion_eo.component import Context
from laion_eo.errors import ConfigError, DataError
from laion_eo.testing.suites import AnchorSourceTests
from laion_eo.testing.web import GREEN, RED, picture
from laion_eo.types import Anchor, SkippedAnchor

EUROSAT = (
    "AnnualCrop", "Forest", "HerbaceousVegetation", "Highway", "Industrial", "Pasture",
    "PermanentCrop", "Residential", "River", "SeaLake",
)  # fmt: skip
RSSCN7 = ("aGrass", "bField", "cIndustry", "dRiverLake", "eForest", "fResident", "gParking")
NAMES = {
    "eurosat": (EUROSAT, "EuroSAT_RGB/{0}/{0}_{1}.jpg"),
    "eurosat-13": (EUROSAT, "EuroSAT_MS/{0}/{0}_{1}.tif"),
    "uc-merced": ([f"class{chr(97 + n)}" for n in range(21)], "Images/{0}/{0}{1:02d}.tif"),
    "aid": ([f"Class{'a' * n}" for n in range(1, 31)], "{0}/{0}_{1}.jpg"),
    "rsscn7": (RSSCN7, "{0}/{0[0]}{1:03d}.jpg"),
    "resisc45": ([f"class_{'a' * (n + 1)}" for n in range(45)], "{0}/{0}_{1:03d}.jpg"),
}


def write(path: Path, seed: int, colour: tuple[int, int, int], bands: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = picture(seed, colour, 60)
    if bands == 3:
        made.save(path)
        return
    values = np.zeros((bands, 60, 60), np.uint16)
    values[[3, 2, 1]] = np.moveaxis(np.asarray(made, np.uint16), -1, 0) * 20
    profile = {"driver": "GTiff", "dtype": "uint16", "count": bands, "height": 60, "width": 60}
    place = rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)
    with rasterio.open(path, "w", **profile, transform=place, crs="EPSG:32632") as raster:
        raster.write(values)


def lay_out(root: Path, name: str, scenes: int = 3) -> Path:
    """A dataset's tree, all scenes green but for the last of each class."""
    classes, pattern = NAMES[name]
    for folder in classes:
        for number in range(1, scenes + 1):
            colour = RED if number == scenes else GREEN
            bands = 13 if name == "eurosat-13" else 3
            write(root / pattern.format(folder, number), number, colour, bands)
    return root


def source(root: Path, **options: Any) -> SceneAnchors:
    return SceneAnchors(SceneAnchors.Config(root=root, **options), Context())


def anchors(root: Path, **options: Any) -> list[Anchor]:
    return [one for one in source(root, **options).anchors() if isinstance(one, Anchor)]


class TestScenes(AnchorSourceTests):
    component_cls = SceneAnchors

    @classmethod
    def make_options(cls, folder: Path) -> dict[str, Any]:
        lay_out(folder, "rsscn7")
        (folder / "aGrass" / "a001.jpg").write_bytes(b"no picture")
        return {"root": str(folder), "per_class": 2}


class TestThirteenBands(AnchorSourceTests):
    component_cls = SceneAnchors

    @classmethod
    def make_options(cls, folder: Path) -> dict[str, Any]:
        return {"root": str(lay_out(folder, "eurosat-13")), "per_class": 2}


@pytest.mark.parametrize("name", NAMES)
def test_each_layout_is_recognised(name: str, tmp_path: Path) -> None:
    lay_out(tmp_path, name, 1)
    assert recognise(find_scenes(tmp_path)) == name
    found = anchors(tmp_path, per_class=1)
    assert len(found) == len(NAMES[name][0])
    expected = {"eurosat": 10.0, "eurosat-13": 10.0, "uc-merced": 0.3048}.get(name)
    assert {one.gsd for one in found} == {expected}
    for one in found:
        assert one.pixels is not None
        red, green, blue = (float(band.mean()) / one.scale for band in one.pixels)
        assert red > 2 * green > 0.05
        assert red > 2 * blue > 0.05
    assert {one.scale for one in found} == {10_000.0 if name == "eurosat-13" else 255.0}


def test_classes_are_balanced(tmp_path: Path) -> None:
    lay_out(tmp_path, "rsscn7", 4)
    for number in range(20):
        write(tmp_path / "aGrass" / f"more{number:02d}.jpg", number, GREEN, 3)
    counted = Counter(one.id.partition("/")[0] for one in anchors(tmp_path, per_class=3))
    assert counted == dict.fromkeys(RSSCN7, 3)


@pytest.mark.parametrize(("embedder", "odd"), [(None, "checks"), ({"use": "colours"}, "tint")])
def test_the_odd_one_is_chosen(
    tmp_path: Path, embedder: Any, odd: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which of 32 scenes is the odd one is for the model to say.

    Checks of an eighth of the side are plain on the source's own grid of 8 x 8 and nowhere on that
    of ``colours``, 4 x 4; a tint is on both, but fainter than the checks.
    """
    from laion_eo.registry import Registry
    from laion_eo.testing import colours

    for number in range(30):
        write(tmp_path / "land" / f"{number:02d}.png", number, GREEN, 3)
    checks = np.kron(np.indices((8, 8)).sum(axis=0) % 2 * 80 - 40, np.ones((8, 8)))
    field = np.array(GREEN) + checks[..., None]
    Image.fromarray(field.clip(0, 255).astype(np.uint8)).save(tmp_path / "land" / "checks.png")
    write(tmp_path / "land" / "tint.png", 99, (GREEN[0] + 40, *GREEN[1:]), 3)
    if embedder:
        discover = Registry.discover
        monkeypatch.setattr(Registry, "discover", lambda: discover([colours]))
    chosen = [one.id for one in anchors(tmp_path, per_class=2, embedder=embedder)]
    assert f"land/{odd}.png" in chosen


def test_classes_are_named_in_plain_words(tmp_path: Path) -> None:
    lay_out(tmp_path, "rsscn7")
    found = anchors(tmp_path, classes=["river lake", "parking"], per_class=1)
    assert [one.id.partition("/")[0] for one in found] == ["dRiverLake", "gParking"]
    with pytest.raises(DataError, match=r"no class 'rivers'.*Classes: grass, field"):
        anchors(tmp_path, classes=["rivers"])


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("aGrass", "grass"),
        ("AnnualCrop", "annual crop"),
        ("sea_ice", "sea ice"),
        ("beach", "beach"),
    ],
)
def test_class_names(folder: str, name: str) -> None:
    assert class_name(folder) == name


def test_k_centre_covers_what_is_there() -> None:
    """Five clusters, five centres: one in each; a random choice misses one almost always."""
    draw = np.random.default_rng(0)
    places = np.repeat(np.eye(5, dtype=np.float32) * 10, [200, 5, 5, 5, 5], axis=0)
    vectors = places + draw.normal(0, 0.1, places.shape).astype(np.float32)
    chosen = k_centre(vectors, 5)
    assert sorted(places[chosen].argmax(axis=1).tolist()) == [0, 1, 2, 3, 4]
    assert k_centre(vectors[:3], 5) == [0, 1, 2]


def test_a_damaged_scene_keeps_its_place(tmp_path: Path) -> None:
    lay_out(tmp_path, "rsscn7", 2)
    (tmp_path / "aGrass" / "a001.jpg").write_bytes(b"no picture")
    first = next(source(tmp_path, per_class=2).anchors())
    assert isinstance(first, SkippedAnchor)
    assert "a001.jpg" in first.id


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"root": Path("no-such-folder")}, DataError, "no such folder"),
        ({"layout": "eurosta"}, ConfigError, "Did you mean 'eurosat'"),
        ({"bands": (1, 3, 9), "layout": "aid"}, DataError, "no band 9, it has 3"),
    ],
)
def test_faults_are_one_line(
    tmp_path: Path, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    write(tmp_path / "land" / "a.tif", 1, GREEN, 3)
    root = options.pop("root", tmp_path)
    found = source(root, **options)
    if error is DataError and "bands" in options:
        (skipped,) = found.anchors()
        assert isinstance(skipped, SkippedAnchor)
        assert message in skipped.reason
    else:
        with pytest.raises(error, match=message):
            list(found.anchors())


def test_a_run_uses_it(run_data: Any, registry: Any, tmp_path: Path) -> None:
    root = lay_out(tmp_path / "scenes", "rsscn7")
    run_data["anchors"] = {"use": "scenes", "root": str(root), "classes": ["forest"]}
    manifest = run(run_data, tmp_path / "run", registry=registry).manifest
    assert manifest["stages"]["anchors"]["counts"]["anchors"] == 3
    assert manifest["stages"]["dataset"]["counts"]["rows"] > 0
