"""What an indexing saves of a shard in progress, so that a kill costs little.

A piece is a Parquet file with a row for each image, embedded or not. Its name holds the rows that
it covers, what they were made from and the hash of its content, so that nothing else has to vouch
for it.
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from laion_eo.files import write_atomically

logger = logging.getLogger("laion_eo")

PIECE = pa.schema(
    [
        ("image_path", pa.string()),
        ("caption", pa.string()),
        ("url", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("reason", pa.string()),
        ("vector", pa.binary()),
        ("content", pa.string()),
        ("sha256", pa.string()),
    ]
)
"""A row for each image: why it was skipped, or else its vector (float16); the hash of its bytes.

``content`` is of the file, to notice a change; ``sha256`` of the image that the vector is of.
"""
_NAME = re.compile(r"(\d+)-(\d+)-([0-9a-f]{16})-([0-9a-f]{32})\.piece")

Identify = Callable[[int, int], str]
"""Gives the fingerprint of what the images from one row to another are made from."""


class Pieces:
    """The folder of the pieces.

    Args:
        folder: Where they are; made when the first is saved.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, start: int, stop: int, fingerprint: str, table: pa.Table) -> None:
        """Save the images from one row to another, both counted over all shards."""
        content = encode_table(table)
        name = f"{start}-{stop}-{fingerprint}-{_hash(content)}.piece"
        write_atomically(self.folder / name, content)

    def load(self, start: int, stop: int, identify: Identify) -> dict[int, pa.Table]:
        """Return the pieces of a shard that are complete and of the same images, by first row.

        Args:
            start: First row of the shard, counted over all shards.
            stop: The row after its last.
            identify: What the pieces must have been made from.
        """
        found: dict[int, pa.Table] = {}
        for path in sorted(self.folder.glob("*.piece")):
            match = _NAME.fullmatch(path.name)
            if match is None or not path.is_file():
                continue
            first, last = int(match[1]), int(match[2])
            if not start <= first < last <= stop or identify(first, last) != match[3]:
                continue
            content = path.read_bytes()
            if _hash(content) == match[4]:
                found[first] = pq.read_table(pa.BufferReader(content), schema=PIECE)
            else:
                logger.warning(
                    "%s: its content has changed; its %d images are embedded again",
                    path,
                    last - first,
                )
        return found

    def remove(self, start: int, stop: int) -> None:
        """Remove the pieces of a shard: what they held is in its files."""
        for path in self.folder.glob("*.piece"):
            match = _NAME.fullmatch(path.name)
            if match and start <= int(match[1]) < stop:
                path.unlink()

    def clear(self) -> None:
        """Remove all pieces, and their folder."""
        if self.folder.is_dir():
            shutil.rmtree(self.folder)


def encode_table(table: pa.Table) -> bytes:
    """Return a table as the bytes of a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
