"""Reads the embeddings that the stage ``embeddings`` keeps, a part at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from laion_eo.pipeline.run_dir import RunDir
from laion_eo.types import Embeddings

PARTS_HELD = 4
"""Parts whose vectors are held in memory: rows that lie together are of few."""

ReadPart = Callable[[Path, list[str] | None], pa.Table]


class StoredVectors:
    """The vectors of some parts of an ``embeddings`` table.

    Args:
        parts: The files; where two have the same vector, the first counts.
        read: Reads some columns of one.
        dtype: Of the vectors: ``float16`` or ``float32``.
    """

    def __init__(self, parts: Sequence[Path], read: ReadPart, dtype: str) -> None:
        self._parts = list(parts)
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._vectors = lru_cache(PARTS_HELD)(lambda part: read(part, ["vector"])["vector"])
        self._origins = lru_cache(PARTS_HELD)(lambda part: read(part, ["origin"])["origin"])
        self._places: dict[tuple[str, str], tuple[int, int]] = {}
        self.errors: dict[tuple[str, str], str] = {}
        for number, part in enumerate(self._parts):
            table = read(part, ["model", "sha256", "image_error"])
            keys = zip(table["model"].to_pylist(), table["sha256"].to_pylist(), strict=True)
            for row, (key, error) in enumerate(
                zip(keys, table["image_error"].to_pylist(), strict=True)
            ):
                if error is None:
                    self._places.setdefault(key, (number, row))
                else:
                    self.errors.setdefault(key, error)

    @classmethod
    def of_run(cls, run_dir: RunDir, dtype: str) -> StoredVectors:
        """Return those of a run, whose stage ``embeddings`` is complete."""
        record = run_dir.record("embeddings")
        parts = [run_dir.path / file.path for file in record.files] if record else []
        return cls(parts, run_dir.read_table, dtype)

    @cached_property
    def models(self) -> list[str]:
        """The models that have vectors here."""
        return sorted({model for model, _ in self._places})

    def has(self, model: str, sha256: str) -> bool:
        """Tell whether a vector is stored."""
        return (model, sha256) in self._places

    def origin(self, model: str, sha256: str) -> str:
        """Return the origin of a vector.

        Raises:
            KeyError: It is not stored.
        """
        part, row = self._places[model, sha256]
        return str(self._origins(self._parts[part])[row].as_py())

    def raw(self, model: str, sha256: str) -> bytes:
        """Return a vector as it is stored.

        Raises:
            KeyError: It is not.
        """
        part, row = self._places[model, sha256]
        vector: bytes = self._vectors(self._parts[part])[row].as_py()
        return vector

    def read(self, model: str, sha256s: Sequence[str]) -> Embeddings:
        """Return vectors: float32, (n, dim), rows of length 1.

        Args:
            model: The fingerprint of the embedder that made them.
            sha256s: The n images.

        Raises:
            KeyError: One is not stored.
        """
        places = np.array([self._places[model, one] for one in sha256s], dtype=np.int64)
        found: Embeddings = np.zeros((len(sha256s), 0), np.float32)
        for part in np.unique(places[:, 0]) if len(places) else ():
            here = np.flatnonzero(places[:, 0] == part)
            column = self._vectors(self._parts[part]).take(pa.array(places[here, 1]))
            stored = np.frombuffer(b"".join(column.to_pylist()), self._dtype)
            some = stored.reshape(len(here), -1).astype(np.float32)
            if not found.shape[1]:
                found = np.zeros((len(sha256s), some.shape[1]), np.float32)
            found[here] = some
        if self._dtype.itemsize == np.dtype(np.float16).itemsize and len(places):
            found /= np.linalg.norm(found, axis=1, keepdims=True)  # rounding changed the length
        return found


def to_bytes(vectors: Embeddings, dtype: str) -> list[bytes]:
    """Return vectors as they are stored."""
    return [row.tobytes() for row in vectors.astype(np.dtype(dtype).newbyteorder("<"))]
