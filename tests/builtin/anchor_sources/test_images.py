from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from fakes.odd_pictures import encoded

from laion_eo.builtin.anchor_sources.images import FolderAnchors
from laion_eo.component import Context
from laion_eo.config import validate
from laion_eo.errors import ConfigError, DataError
from laion_eo.types import Anchor, SkippedAnchor


def source(root: Path, **options: Any) -> FolderAnchors:
    config = validate(FolderAnchors.Config, {"root": str(root), **options}, "run.toml: [anchors]")
    return FolderAnchors(config, Context())


def images(found: FolderAnchors) -> list[Anchor]:
    samples = list(found.anchors())
    assert found.count() == len(samples)
    assert all(isinstance(sample, Anchor) for sample in samples)
    return [sample for sample in samples if isinstance(sample, Anchor)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures, one of them below, and files of other kinds."""
    root = tmp_path / "anchors"
    (root / "below").mkdir(parents=True)
    for seed, name in enumerate(("b.png", "a.PNG", "below/c.png")):
        (root / name).write_bytes(encoded("PNG", seed=seed))
    (root / "notes.txt").write_text("not a picture")
    (root / "folder.png").mkdir()
    return root


def table(folder: Path, *rows: tuple[str, ...], columns: str = "file,sky") -> Path:
    path = folder / "table.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([columns.split(","), *rows])
    return path


def test_pictures_of_the_folder_in_order(folder: Path) -> None:
    first = images(source(folder))
    assert [anchor.id for anchor in first] == ["a.PNG", "b.png", "below/c.png"]
    again = images(source(folder))
    for one, other in zip(first, again, strict=True):
        assert one.pixels is not None
        assert other.pixels is not None
        assert np.array_equal(one.pixels, other.pixels)


def test_pattern_and_scale(folder: Path) -> None:
    found = images(source(folder, pattern="*.png", scale=1000))
    assert [(anchor.id, anchor.scale) for anchor in found] == [("b.png", 1000)]


def test_a_damaged_file_keeps_its_number(folder: Path) -> None:
    for name in ("a0.tif", "b0.jpg"):
        (folder / name).write_text("just some text")
    samples = list(source(folder).anchors())
    assert [sample.id for sample in samples] == [
        "a.PNG",
        "a0.tif",
        "b.png",
        "b0.jpg",
        "below/c.png",
    ]
    skipped = [sample for sample in samples if isinstance(sample, SkippedAnchor)]
    assert [sample.id for sample in skipped] == ["a0.tif", "b0.jpg"]
    assert all(str(folder / sample.id) in sample.reason for sample in skipped)
    assert not any("\n" in sample.reason for sample in skipped)
    assert "GeoTIFF" in skipped[0].reason
    assert "no known image format" in skipped[1].reason


def test_a_missing_and_an_empty_folder_are_named(folder: Path) -> None:
    with pytest.raises(DataError, match=r"gone: no such folder; anchors\.root"):
        source(folder / "gone").count()
    with pytest.raises(DataError, match=r"no GeoTIFF, JPEG, PNG or WebP file matches '\*\.tif'"):
        source(folder, pattern="*.tif").count()


def test_identity_changes_with_the_files_and_only_then(folder: Path) -> None:
    before = source(folder).identity()
    assert source(folder).identity() == before
    (folder / "notes.txt").write_text("other notes")
    assert source(folder).identity() == before
    (folder / "b.png").write_bytes(encoded("PNG", size=(61, 40)))
    assert source(folder).identity() != before


def test_the_table_chooses_files_in_its_order(folder: Path) -> None:
    rows = [("below/c.png", "clear"), ("b.png", "clear"), ("a.PNG", "cloudy"), ("gone.png", "hazy")]
    path = str(table(folder, *rows))
    assert [a.id for a in images(source(folder, table=path, where={"sky": ["clear"]}))] == [
        "below/c.png",
        "b.png",
    ]
    everything = list(source(folder, table=path).anchors())
    assert [sample.id for sample in everything] == [row[0] for row in rows]
    assert isinstance(everything[3], SkippedAnchor)
    assert "No such file" in everything[3].reason


@pytest.mark.parametrize(
    ("columns", "rows", "says"),
    [
        (
            "name,sky",
            [("a.PNG", "clear")],
            "no column 'file' or 'file_name' or 'image",
        ),
        ("file,skyy", [("a.PNG", "clear")], "no column 'sky'. Did you mean 'skyy'?"),
        ("file,sky", [("a.PNG", "cloudy")], "no row has {'sky': ('clear',)}"),
        ("file,sky", [], "no row has"),
        ("file,sky", [("", "clear")], "line 2: '' is not a file below anchors.root."),
        ("file,sky", [("../secret.png", "clear")], "line 2: '../secret.png' is not a file below"),
        ("file,sky", [("/etc/secret.png", "clear")], "is not a file below"),
    ],
)
def test_what_is_wrong_with_a_table(
    folder: Path, columns: str, rows: list[tuple[str, ...]], says: str
) -> None:
    path = table(folder, *rows, columns=columns)
    with pytest.raises(DataError) as error:
        source(folder, table=str(path), where={"sky": ["clear"]}).count()
    assert says in str(error.value)
    assert str(path) in str(error.value)


def test_a_table_that_is_none(folder: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.csv: .*No such file"):
        source(folder, table=str(folder / "gone.csv")).count()
    (folder / "latin.csv").write_bytes(b"file\nK\xf6ln.png\n")
    with pytest.raises(DataError, match=r"latin\.csv: .*utf-8"):
        source(folder, table=str(folder / "latin.csv")).count()


def test_a_table_of_a_spreadsheet_with_its_mark(folder: Path) -> None:
    (folder / "t.csv").write_text("\ufefffile\r\nb.png\r\n", encoding="utf-8")
    assert [anchor.id for anchor in images(source(folder, table=str(folder / "t.csv")))] == [
        "b.png"
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"bands": [1, 2]},
        {"bands": [0, 1, 2]},
        {"scale": 0},
        {"scale": float("inf")},
        {"pattern": "../*"},
        {"pattern": "/etc/*"},
        {"where": {"sky": ["clear"]}},
        {"table": "t.csv", "where": {"sky": "clear"}},
        {"roots": "x"},
    ],
)
def test_wrong_options_are_config_errors(folder: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"run\.toml: \[anchors\]"):
        source(folder, **options)


def test_a_file_is_read_when_its_turn_comes(folder: Path) -> None:
    samples = source(folder).anchors()
    assert isinstance(next(samples), Anchor)
    (folder / "b.png").write_text("spoilt after the first was read")
    assert isinstance(next(samples), SkippedAnchor)


def test_a_table_as_hugging_face_has_it(folder: Path) -> None:
    path = table(folder, ("b.png", "clear"), columns="file_name,sky")
    assert [anchor.id for anchor in images(source(folder, table=str(path)))] == ["b.png"]


def test_the_real_anchors_that_are_cloud_free(shared: Path) -> None:
    manifest = shared / "anchors" / "manifest.csv"
    with manifest.open() as stream:
        clear = [r for r in csv.DictReader(stream) if r["cloud_free_visual"] in ("yes", "mostly")]
    where = {"cloud_free_visual": ["yes", "mostly"]}
    found = images(source(shared / "anchors", table=str(manifest), where=where))
    assert len(found) == len(clear) == 149
    for anchor, row in zip(found, clear, strict=True):
        assert anchor.id == row["file"]
        assert anchor.pixels is not None
        assert anchor.pixels.shape == (3, int(row["height"]), int(row["width"]))
        mean = float(np.mean(anchor.pixels)) / anchor.scale
        assert mean == pytest.approx(float(row["mean_reflectance"]), abs=2e-3)


def test_the_real_scenes_with_all_their_bands(shared: Path) -> None:
    for anchor in images(source(shared / "anchors" / "l2a_full", bands=[4, 3, 2])):
        with rasterio.Env(), rasterio.open(shared / "anchors" / "l2a_full" / anchor.id) as raster:
            assert anchor.pixels is not None
            assert np.array_equal(anchor.pixels, raster.read([4, 3, 2]))
