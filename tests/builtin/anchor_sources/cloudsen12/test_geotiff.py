from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes.cloudsen12 import (
    KINDS,
    L1C,
    L2A,
    PAPERS,
    RED_GREEN_BLUE,
    holds,
    names,
    patch,
    row,
    write_csv,
    write_raster,
)

from laion_eo.builtin.anchor_sources.cloudsen12 import CloudSEN12
from laion_eo.errors import DataError
from laion_eo.types import Anchor, SkippedAnchor

Source = Callable[..., CloudSEN12]
Read = Callable[[CloudSEN12], list[Anchor]]


def test_geotiff_gives_the_papers_patches(tree: Path, source: Source, read: Read) -> None:
    found = read(source(tree))
    assert len(found) == len(PAPERS)
    for number, anchor in zip(PAPERS, found, strict=True):
        assert anchor.id == "/".join(names(number))
        assert holds(anchor, patch(number, 12, 509)[RED_GREEN_BLUE])
        assert anchor.bands == ("B04", "B03", "B02")
        assert (anchor.scale, anchor.gsd) == (10_000, 10)
        assert anchor.lon == pytest.approx(-120 - number / 10)
        assert anchor.lat == pytest.approx(57 + number / 10)
        assert anchor.acquired == datetime(2019, 1, number + 1, 10, 10, 31, tzinfo=UTC)


def test_the_root_may_be_the_folder_above(tree: Path, source: Source, read: Read) -> None:
    assert [a.id for a in read(source(tree.parent))] == [a.id for a in read(source(tree))]


def test_geotiff_without_folders_of_label_types(tree: Path, source: Source, read: Read) -> None:
    for label in ("high", "scribble"):
        for roi in (tree / label).iterdir():
            (tree / roi.name).mkdir(exist_ok=True)
            for patch_folder in roi.iterdir():
                patch_folder.rename(tree / roi.name / patch_folder.name)
    assert len(read(source(tree))) == len(PAPERS)


def test_geotiff_bands_are_found_by_name_or_by_order(
    tree: Path, source: Source, read: Read
) -> None:
    path = tree / "high" / "/".join(names(0)) / "S2L2A.tif"
    pixels = patch(0, 12, 509)
    write_raster(path, pixels[::-1], L2A[::-1])
    assert holds(read(source(tree, bands=["B8A"]))[0], pixels[[8]])
    path.unlink()
    write_raster(path, pixels)
    assert holds(read(source(tree, bands=["B11", "B8", "B02"]))[0], pixels[[10, 7, 1]])


def test_geotiff_of_another_level(tree: Path, source: Source, read: Read) -> None:
    pixels = patch(4, 13, 509)
    write_raster(tree / "high" / "/".join(names(4)) / "S2L1C.tif", pixels, L1C)
    options = {"split": "test", "level": "L1C", "bands": ["B10"], "label_types": ["high"]}
    (anchor,) = read(source(tree, **options))
    assert holds(anchor, pixels[[10]])


def test_v1_has_no_validation_set_unless_its_codes_say_so(tree: Path, source: Source) -> None:
    with pytest.raises(DataError, match=r"no 'val' set; v1 includes it in the training set"):
        source(tree, split="val").count()
    kinds = [*KINDS, ("high", "cloud-free", "2")]
    write_csv(tree / "cloudsen12_metadata.csv", (row(n, kind) for n, kind in enumerate(kinds)))
    for number in (4, 8):
        write_raster(tree / "high" / "/".join(names(number)) / "S2L2A.tif", patch(0, 12, 509), L2A)
    counts = {
        split: source(tree, split=split, label_types=["high"]).count()
        for split in ("train", "val", "test")
    }
    assert counts == {"train": 2, "val": 1, "test": 1}


def test_a_missing_and_a_damaged_patch_keep_their_numbers(tree: Path, source: Source) -> None:
    missing, damaged = (
        tree / KINDS[n][0] / "/".join(names(n)) / "S2L2A.tif" for n in (PAPERS[1], PAPERS[2])
    )
    missing.unlink()
    damaged.write_bytes(damaged.read_bytes()[:5000])
    samples = list(source(tree).anchors())
    assert [sample.id for sample in samples] == ["/".join(names(n)) for n in PAPERS]
    assert [isinstance(sample, SkippedAnchor) for sample in samples] == [False, True, True, False]
    reasons = [sample.reason for sample in samples if isinstance(sample, SkippedAnchor)]
    assert reasons[0] == f"{missing}: no such file."
    assert reasons[1].startswith(f"{damaged}: damaged, or not a GeoTIFF")


def test_a_tree_without_a_single_patch_is_an_error(tree: Path, source: Source) -> None:
    with pytest.raises(DataError, match=r"S2L1C\.tif: no such file, nor any other patch; .*S2L2A"):
        source(tree, level="L1C").count()


def test_metadata_cannot_lead_out_of_the_tree(tree: Path, source: Source) -> None:
    rows = [row(n, kind) for n, kind in enumerate(KINDS)]
    rows[0]["roi_id"] = "../../secret"
    write_csv(tree / "cloudsen12_metadata.csv", rows)
    with pytest.raises(DataError, match="row 1 of the metadata names no patch"):
        source(tree).count()
