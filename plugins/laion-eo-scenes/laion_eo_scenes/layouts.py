"""The layouts of scene datasets: all have one folder per class, and differ in other ways."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from laion_eo.errors import DataError

FILES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class Layout:
    """How one dataset lays out its scenes.

    Attributes:
        classes: How many classes it has; the layout is recognised by it.
        folder: Pattern of the names of its class folders, likewise.
        gsd: Metres per pixel, where all scenes have the same.
        bands: 1-based numbers of red, green and blue, in files of more than three bands.
    """

    classes: int
    folder: re.Pattern[str]
    gsd: float | None = None
    bands: tuple[int, int, int] = (1, 2, 3)


LAYOUTS: Mapping[str, Layout] = {
    # EuroSAT: Sentinel-2, 64 px; the 13-band files are B01, B02, B03, B04, ... in this order.
    "eurosat": Layout(10, re.compile(r"[A-Z][A-Za-z]+"), 10.0),
    "eurosat-13": Layout(10, re.compile(r"[A-Z][A-Za-z]+"), 10.0, (4, 3, 2)),
    # UC Merced Land Use: USGS aerial pictures, 256 px, one foot.
    "uc-merced": Layout(21, re.compile(r"[a-z]+"), 0.3048),
    # AID: Google Earth, 600 px, 0.5 to 8 m.
    "aid": Layout(30, re.compile(r"[A-Z][A-Za-z]+")),
    # RSSCN7: Google Earth, 400 px; folders have a letter before the class: aGrass.
    "rsscn7": Layout(7, re.compile(r"[a-g][A-Z][A-Za-z]+")),
    # NWPU-RESISC45: Google Earth, 256 px, 0.2 to 30 m.
    "resisc45": Layout(45, re.compile(r"[a-z]+(_[a-z]+)*")),
}


def find_scenes(root: Path) -> dict[str, list[Path]]:
    """Return the scenes of each class folder, both sorted; the folders may be at any depth.

    Raises:
        DataError: There is no folder, or no picture in a folder below it.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; anchors.root names a folder of class folders.")
    found: dict[str, list[Path]] = {}
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in FILES and path.parent != root and path.is_file():
            found.setdefault(path.parent.name, []).append(path)
    if not found:
        raise DataError(f"{root}: no class folders with {', '.join(FILES)} files.")
    return dict(sorted(found.items()))


def recognise(folders: Mapping[str, list[Path]]) -> str | None:
    """Return the name of the layout that the class folders have, or ``None``."""
    for name, layout in LAYOUTS.items():
        if name == "eurosat-13" or len(folders) != layout.classes:
            continue
        if all(layout.folder.fullmatch(folder) for folder in folders):
            first = next(iter(folders.values()))[0]
            many = name == "eurosat" and first.suffix.lower() in (".tif", ".tiff")
            return "eurosat-13" if many else name
    return None


def class_name(folder: str) -> str:
    """Return a class in plain words: ``aGrass``, ``AnnualCrop``, ``annual_crop``.

    Examples:
        >>> [class_name(name) for name in ("aGrass", "AnnualCrop", "baseball_diamond")]
        ['grass', 'annual crop', 'baseball diamond']
    """
    bare = folder[1:] if LAYOUTS["rsscn7"].folder.fullmatch(folder) else folder
    return re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", bare).lower()
