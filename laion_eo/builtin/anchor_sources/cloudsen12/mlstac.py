"""CloudSEN12+: one ``.mlstac`` container per split and label type.

A container consists of ``#y``, the length of the header (8 bytes, little-endian), the header (JSON:
the id of each sample, with the offset of its bytes from the header's end and their number), and the
samples one after another, each of them a raster file. The package ``mlstac`` wrote and read the
format up to version 0.1.8. Later versions are something else, and the old one unpickles from a
shared folder, so the format is read here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from laion_eo.builtin.anchor_sources.cloudsen12.layout import Layout, folders
from laion_eo.builtin.anchor_sources.cloudsen12.selection import (
    BANDS,
    NEEDED,
    Patch,
    Row,
    parquet_rows,
    short_name,
    unreadable,
)
from laion_eo.errors import ConfigError, DataError
from laion_eo.raster import open_raster, read_bands

MAGIC = b"#y"
JPEG_2000 = b"\0\0\0\x0cjP  "
MAX_HEADER = 64 * 2**20
"""Bytes; the largest container has 14,700 samples and a header of about 1 MB."""
SIDE = 509


@dataclass(frozen=True, slots=True)
class Sample:
    """Where the bytes of one sample are: ``offset`` counts from the start of ``path``."""

    path: Path
    offset: int
    length: int

    def read(self) -> bytes:
        """Return the sample's bytes.

        Raises:
            DataError: The container cannot be read, or ends before the sample does.
        """
        try:
            with self.path.open("rb") as stream:
                stream.seek(self.offset)
                content = stream.read(self.length)
        except OSError as error:
            raise unreadable(self.path, error) from None
        if len(content) < self.length:
            raise DataError(f"{self.path}: truncated within the sample; download it again.")
        return content


def read_index(path: Path) -> dict[str, Sample]:
    """Return the samples of a container by their ids, without reading them.

    Raises:
        DataError: The file is not such a container.
    """
    try:
        with path.open("rb") as stream:
            if stream.read(2) != MAGIC:
                raise DataError(f"{path}: not an .mlstac container (it does not begin with #y).")
            length = int.from_bytes(stream.read(8), "little")
            if length > MAX_HEADER:
                raise DataError(f"{path}: claims a header of {length} bytes; download it again.")
            entries = json.loads(stream.read(length))
            return {
                name: _sample(path, 10 + length, int(begin), int(size))
                for name, (begin, size) in entries.items()
            }
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise unreadable(path, error) from None


def _sample(path: Path, start: int, begin: int, size: int) -> Sample:
    if begin < 0 or size < 0:
        raise ValueError(f"a sample of {size} bytes at {begin}")
    return Sample(path, start + begin, size)


class Containers(Layout):
    """Patches of 509 pixels padded to 512, as JPEG 2000 or GeoTIFF files of 15 bands.

    The bands are the 13 of level L1C and two label layers; there is no L2A. Patches of 2,000
    pixels are left out. Containers and ``metadata.parquet`` are in ``{split}`` (as on the Hub) or
    in ``{split}/mls`` (where ``mlstac.download`` put them).
    """

    name = "mlstac"
    tree = "{split}/metadata.parquet and {split}/{split}_509_{label_type}.mlstac expected (+)"

    @property
    def _split(self) -> str:
        return "validation" if self.selection.split == "val" else self.selection.split

    @cached_property
    def metadata(self) -> list[Path]:
        """The metadata of the split."""
        splits = [folder / self._split for folder in folders(self.selection.root)]
        parents = [split / name for split in splits for name in ("", "mls")]
        return [path for parent in parents if (path := parent / "metadata.parquet").is_file()][:1]

    def rows(self, path: Path) -> Iterator[Row]:
        """Return the rows of patches of 509 pixels.

        Raises:
            ConfigError: Another level than L1C is wanted.
            DataError: The metadata cannot be read.
        """
        if self.selection.level != "L1C":
            raise ConfigError(
                "anchors.level: CloudSEN12+ .mlstac files hold L1C only; set anchors.level = "
                "'L1C', or use v1 or v1.1 for the paper's L2A."
            )
        rows = parquet_rows(path, (*NEEDED, "datapoint_id"))
        return (row for row in rows if row.get("proj_shape", SIDE) in (SIDE, str(SIDE)))

    def check(self) -> None:
        """Check that there is a container of each label type."""
        for label in dict.fromkeys(patch.label_type for patch in self.patches):
            if not self._containers(label):
                path = self._folder / f"{self._split}_{SIDE}_{label}.mlstac"
                raise DataError(f"{path}: no such file; {self.tree}.")

    def read(self, patch: Patch) -> NDArray[Any]:
        """Return the bands of one patch."""
        sample = self._index.get(patch.id)
        if sample is None:
            raise DataError(f"{self._folder}: no .mlstac container holds {patch.id!r}.")
        name = f"{sample.path}, {patch.id}"
        numbers = [BANDS["L1C"].index(short_name(b)) + 1 for b in self.selection.bands]
        content = sample.read()
        jpeg = content.startswith(JPEG_2000)
        with open_raster(content, name, "JP2OpenJPEG" if jpeg else "GTiff") as raster:
            return read_bands(raster, numbers, name)

    def data_files(self) -> Iterator[Path]:
        """Return the containers of the wanted label types."""
        return (path for label in self.selection.label_types for path in self._containers(label))

    @property
    def _folder(self) -> Path:
        return self.patches[0].folder

    @cached_property
    def _index(self) -> dict[str, Sample]:
        return {name: s for path in self.data_files() for name, s in read_index(path).items()}

    def _containers(self, label: str) -> list[Path]:
        # nolabel comes in chunks: train_509_nolabel_chunk1.mlstac, …
        return sorted(self._folder.glob(f"{self._split}_{SIDE}_{label}*.mlstac"))
