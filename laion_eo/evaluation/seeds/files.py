"""The pictures of a folder of seeds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from laion_eo.errors import ConfigError, DataError
from laion_eo.images import EXTENSIONS, ImageError, decode_image, inspect_image
from laion_eo.raster import PICTURES
from laion_eo.texts import clean
from laion_eo.types import DownloadStatus, Picture

MOST = 100_000
"""Seeds of a folder: far more than any estimate needs."""
LARGEST = 256 << 20
"""Bytes of a picture that are read."""


@dataclass(frozen=True)
class SeedFile:
    """A seed that can be read.

    Attributes:
        name: Its path below the folder.
        path: Where it is.
        row: What a download of it would be known by: its size, format and status.
    """

    name: str
    path: Path
    row: dict[str, str | int | None]

    @property
    def kind(self) -> str:
        """The folder that it lies in, if it lies in one."""
        folder, slash, _ = self.name.partition("/")
        return folder if slash else ""

    def picture(self) -> Picture:
        """Return the picture, decoded."""
        return decode_image(self.path.read_bytes())


def read_seeds(folder: Path) -> tuple[list[SeedFile], int]:
    """Return the pictures in a folder and those below it, and how many files cannot be read.

    Raises:
        ConfigError: There is no such folder.
        DataError: It has no picture, or too many.
    """
    if not folder.is_dir():
        raise ConfigError(f"--seeds: {folder}: no such folder of pictures.")
    paths = [p for p in sorted(folder.rglob("*")) if p.suffix.lower() in PICTURES and p.is_file()]
    if len(paths) > MOST:
        raise DataError(f"{folder}: {len(paths):,} seeds; {MOST:,} are enough for any estimate.")
    found = [one for path in paths if (one := _read(folder, path)) is not None]
    if not found:
        raise DataError(f"{folder}: no JPEG, PNG or WebP picture that can be read, so no seed.")
    return found, len(paths) - len(found)


def _read(folder: Path, path: Path) -> SeedFile | None:
    try:
        if path.stat().st_size > LARGEST:
            return None
        content = path.read_bytes()
        info = inspect_image(content)
        decode_image(content)
    except (ImageError, OSError):
        return None
    digest = hashlib.sha256(content).hexdigest()
    name = clean(path.relative_to(folder).as_posix())[0] or digest
    extension = EXTENSIONS.get(info.format, info.format.lower())
    row: dict[str, str | int | None] = {
        "status": DownloadStatus.OK.value,
        "filename": f"{digest}.{extension}",
        "bytes": len(content),
        "sha256": digest,
        "width": info.width,
        "height": info.height,
        "format": info.format,
    }
    return SeedFile(name, path, row)
