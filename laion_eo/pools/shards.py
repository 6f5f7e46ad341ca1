"""The shards of a pool: three files each, and a record of what they were made from."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from laion_eo.builtin.retrievers.pool_record import DONE, FOLDERS
from laion_eo.file_record import FileRecord, checksum_of, record_file
from laion_eo.files import sync_folder, write_atomically
from laion_eo.pools.pieces import encode_table
from laion_eo.pools.sources import Listed

logger = logging.getLogger("laion_eo")

METADATA = pa.schema(
    [
        ("image_path", pa.string()),
        ("caption", pa.string()),
        ("url", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("sha256", pa.string()),
    ]
)
OLD_METADATA = METADATA.remove(METADATA.get_field_index("sha256"))
"""Of pools made before a run could take over their vectors for the same images."""
SKIPPED = pa.schema([("image_path", pa.string()), ("reason", pa.string())])
SUFFIXES = {"img_emb": ".npy", "metadata": ".parquet", "skipped": ".parquet"}


@dataclass(frozen=True)
class Shard:
    """Some of a pool's images.

    Attributes:
        number: From 0.
        stem: The number, as the names of its files have it.
        start: Its first image, counted over all shards.
        entries: Its images.
    """

    number: int
    stem: str
    start: int
    entries: Sequence[Listed]

    @property
    def stop(self) -> int:
        """The image after its last, counted over all shards."""
        return self.start + len(self.entries)


def split(listed: Sequence[Listed], rows: int) -> list[Shard]:
    """Cut the images of a pool into shards.

    Args:
        listed: At least one image.
        rows: Images of a shard.
    """
    starts = range(0, len(listed), rows)
    width = len(str(len(starts) - 1))
    return [
        Shard(number, f"{number:0{width}d}", start, listed[start : start + rows])
        for number, start in enumerate(starts)
    ]


class ShardRecord(BaseModel):
    """What vouches for a finished shard, and tells whether it has to be made again.

    Attributes:
        made_from: Fingerprint of the model and of its images' names, captions and URLs.
        stamps: Digest of its images' sizes and times.
        contents: Digest of its images' bytes.
        files: Its files in ``img_emb/``, ``metadata/`` and ``skipped/``, in this order.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    made_from: str
    stamps: str
    contents: str
    files: tuple[FileRecord, FileRecord, FileRecord]

    @property
    def stem(self) -> str:
        """The shard's number, as the names of its files have it."""
        return self.files[0].path.rpartition("_")[2].removesuffix(SUFFIXES["img_emb"])

    @property
    def rows(self) -> int:
        """Number of images embedded."""
        return self.files[0].rows or 0

    @property
    def skipped(self) -> int:
        """Number of images that could not be read."""
        return self.files[2].rows or 0


def shard_path(folder: str, stem: str) -> str:
    """Return the path below the pool of one of a shard's files.

    Examples:
        >>> shard_path("img_emb", "07")
        'img_emb/img_emb_07.npy'
    """
    return f"{folder}/{folder}_{stem}{SUFFIXES[folder]}"


def find_stem(path: str) -> str | None:
    """Return the number of the shard that a file of vectors is of; ``None`` for other paths.

    Examples:
        >>> find_stem("img_emb/img_emb_07.npy"), find_stem("metadata/metadata_07.parquet")
        ('07', None)
    """
    folder = FOLDERS[0]
    stem = path.removeprefix(f"{folder}/{folder}_").removesuffix(SUFFIXES[folder])
    return stem if stem.isdecimal() and path == shard_path(folder, stem) else None


def record_path(stem: str) -> str:
    """Return the path below the pool of a shard's record."""
    return f"{DONE}/{stem}.json"


def read_shard_record(path: Path) -> ShardRecord | None:
    """Return the record of a finished shard; ``None`` if it is damaged, or not a shard's."""
    try:
        found = json.loads(path.read_bytes())
        checksum = found.pop("checksum")
        record = ShardRecord.model_validate(found) if checksum == checksum_of(found) else None
    except (OSError, ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return None
    stem = path.stem
    paths = [shard_path(folder, stem) for folder in FOLDERS]
    return record if record and [file.path for file in record.files] == paths else None


def find_shard_records(pool: Path) -> dict[str, ShardRecord]:
    """Return the records of a pool's finished shards by stem; one log line for each damaged one."""
    found = {}
    for path in sorted((pool / DONE).glob("*.json")):
        if path.is_file() and (record := read_shard_record(path)):
            found[path.stem] = record
        else:
            logger.warning("%s: damaged; the images of its shard are embedded again", path)
    return found


def write_shard_record(pool: Path, stem: str, record: ShardRecord) -> None:
    """Write the record of a shard, whose files are on the disk."""
    content = record.model_dump(mode="json")
    sealed = {**content, "checksum": checksum_of(content)}
    write_atomically(pool / record_path(stem), json.dumps(sealed).encode())


def remove_shard_record(pool: Path, stem: str) -> None:
    """Remove the record of a shard, before its files are touched."""
    path = pool / record_path(stem)
    if path.exists():
        path.unlink()
        sync_folder(path.parent)


def write_shard(
    pool: Path, stem: str, pieces: Sequence[pa.Table], dim: int
) -> tuple[FileRecord, FileRecord, FileRecord]:
    """Join pieces into a shard's three files, and return their records.

    Args:
        pool: The pool.
        stem: The shard's number, as its files' names have it.
        pieces: With the columns of :data:`laion_eo.pools.pieces.PIECE`, in order.
        dim: Length of the vectors.
    """
    table = pa.concat_tables(pieces)
    embedded = table.filter(table["reason"].is_null())
    skipped = table.filter(table["reason"].is_valid())
    vectors = b"".join(embedded["vector"].to_pylist())
    contents = {
        "img_emb": _npy(np.frombuffer(vectors, np.float16).reshape(len(embedded), dim)),
        "metadata": encode_table(embedded.select(METADATA.names).combine_chunks()),
        "skipped": encode_table(skipped.select(SKIPPED.names).combine_chunks()),
    }
    rows = {"img_emb": len(embedded), "metadata": len(embedded), "skipped": len(skipped)}
    for folder in FOLDERS:
        write_atomically(pool / shard_path(folder, stem), contents[folder])
    first, second, third = (
        record_file(pool, pool / shard_path(folder, stem), rows[folder]) for folder in FOLDERS
    )
    return first, second, third


def move_shard(pool: Path, record: ShardRecord, stem: str) -> ShardRecord:
    """Give a shard's files another number of digits, and return its new record."""
    moved = []
    for folder, file in zip(FOLDERS, record.files, strict=True):
        path = shard_path(folder, stem)
        (pool / file.path).rename(pool / path)
        sync_folder(pool / folder)
        moved.append(file.model_copy(update={"path": path}))
    found = record.model_copy(update={"files": tuple(moved)})
    write_shard_record(pool, stem, found)
    remove_shard_record(pool, record.stem)
    return found


def skipped_reasons(pool: Path, records: Iterable[ShardRecord]) -> list[str]:
    """Return why images were skipped."""
    files = [pool / record.files[2].path for record in records]
    return [reason for file in files for reason in pq.read_table(file)["reason"].to_pylist()]


def _npy(matrix: np.ndarray[tuple[int, ...], np.dtype[np.float16]]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, matrix, allow_pickle=False)
    return stream.getvalue()
