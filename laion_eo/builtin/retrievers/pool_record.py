"""What a pool says of itself: ``index.json``, which ``laion-eo index`` writes and every run reads.

A pool of ours says which files it has and whether it is complete, under a checksum. A third-party
pool has no such file, or one that says at most what made the vectors: nothing vouches for it.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)

from laion_eo.builtin.retrievers.storage import Folder
from laion_eo.errors import DataError
from laion_eo.file_record import FileRecord, checksum_of
from laion_eo.kinds import PoolModel
from laion_eo.overrides import parse_value

INDEX = "index.json"
DONE = ".done"
"""Folder with the records of an indexing's shards."""
FAISS = "image.index"
FOLDERS = ("img_emb", "metadata", "skipped")
"""The folders of a pool of ours; each shard has a file in all of them."""
OLD_MARKER = "fingerprint"
"""In ``.done``: made by a laion-eo whose ``index.json`` did not vouch for the files."""
MAX_BYTES = 1 << 30
"""Bytes of an ``index.json`` that are read."""
_CHECKSUM = "checksum"


class IndexArguments(BaseModel):
    """What an indexing was asked for: enough to name the command that finishes it.

    Attributes:
        pool: What was indexed; an absolute path.
        embedder: As a run file's ``[embedder]`` table.
        url_prefix: As the option of that name; ``None`` without it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    pool: str
    embedder: dict[str, JsonValue]
    url_prefix: str | None = None

    def command(self, out: str) -> str:
        """Return the command line.

        Args:
            out: The pool that it makes.
        """
        options = {key: value for key, value in self.embedder.items() if key != "use"}
        words = ["laion-eo", "index", self.pool, "--out", out]
        words += ["--embedder", str(self.embedder.get("use", ""))]
        words += [word for option in _settings("", options) for word in ("--set", option)]
        words += [] if self.url_prefix is None else ["--url-prefix", self.url_prefix]
        return " ".join(map(shlex.quote, words))


def _settings(prefix: str, options: Mapping[str, JsonValue]) -> Iterator[str]:
    """Yield options as ``--set`` takes them."""
    for key, value in options.items():
        if isinstance(value, dict):
            yield from _settings(f"{prefix}{key}.", value)
        else:
            plain = isinstance(value, str) and parse_value(value) == value
            yield f"{prefix}{key}={value if plain else json.dumps(value)}"


class PoolAbout(BaseModel):
    """What any ``index.json`` may say; all other keys are let be.

    Attributes:
        model_id: The model that made the vectors.
        dim: Their length.
        weights_sha256: Hash of the model's weights.
        before_re_laion: Whether the pool was made before Re-LAION removed links to illegal content.
    """

    model_config = ConfigDict(frozen=True, protected_namespaces=(), extra="allow")

    model_id: str | None = None
    dim: int | None = None
    weights_sha256: str | None = None
    before_re_laion: bool = False

    def model_of(self, dim: int | None = None) -> PoolModel:
        """Return what made the vectors.

        Args:
            dim: Their length, where the vectors themselves say it.
        """
        return PoolModel(self.model_id, self.dim if dim is None else dim, self.weights_sha256)


class PoolRecord(PoolAbout):
    """The ``index.json`` of a pool of ours. The embedder's own facts lie beside these keys.

    Attributes:
        model_id: The model that made the vectors.
        dim: Their length.
        rows: Number of images embedded.
        skipped: Number of images that could not be read.
        repaired_texts: Captions, names and URLs in which characters were replaced.
        complete: Whether the indexing has finished.
        index: What it was asked for; ``None`` where that is not known.
        files: Each file of the pool, those of a shard together; empty unless complete.
    """

    model_id: str
    dim: int = Field(ge=1)
    rows: int = Field(ge=0)
    skipped: int = Field(ge=0)
    repaired_texts: int = Field(default=0, ge=0)
    complete: bool
    index: IndexArguments | None = None
    files: tuple[FileRecord, ...] = ()

    @model_validator(mode="after")
    def _check_sums(self) -> Self:
        names = [record.path for record in self.files]
        if len(set(names)) != len(names):
            raise ValueError("a file is named twice")
        if self.complete:
            sums = {folder: self._sum(folder) for folder in FOLDERS}
            if sums != {"img_emb": self.rows, "metadata": self.rows, "skipped": self.skipped}:
                raise ValueError(
                    f"{self.rows} rows and {self.skipped} skipped, but files of {sums}"
                )
        return self

    def _sum(self, folder: str) -> int:
        return sum(
            record.rows or 0 for record in self.files if record.path.startswith(f"{folder}/")
        )

    def file(self, path: str) -> FileRecord | None:
        """Return the record of one file."""
        return next((record for record in self.files if record.path == path), None)

    def command(self, out: str) -> str:
        """Return the command that makes the pool.

        Args:
            out: Where it is.
        """
        return self.index.command(out) if self.index else f"laion-eo index ... --out {out}"

    def changed(self, **values: object) -> PoolRecord:
        """Return a copy with other values, checked again."""
        return PoolRecord.model_validate({**self.model_dump(), **values})

    def encode(self) -> bytes:
        """Return the content of ``index.json``, with its checksum."""
        dumped = self.model_dump(mode="json")
        content = {key: value for key, value in dumped.items() if key != _CHECKSUM}
        return (json.dumps({**content, _CHECKSUM: checksum_of(content)}, indent=1) + "\n").encode()


def decode(content: bytes) -> PoolAbout:
    """Return what an ``index.json`` says: a :class:`PoolRecord`, if it is one of ours.

    Raises:
        ValueError: It is damaged, or not a pool's; the message follows the file's name.
    """
    try:
        found = json.loads(content)
        if not isinstance(found, dict):
            raise ValueError("it is not an object of JSON")
        ours = _CHECKSUM in found or {"complete", "files"} <= found.keys()
        plain = {key: value for key, value in found.items() if key != _CHECKSUM}
        if ours and found.get(_CHECKSUM) != checksum_of(plain):
            raise ValueError("its content has changed")
        return (PoolRecord if ours else PoolAbout).model_validate(plain)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"it is not JSON: {error}") from None
    except ValidationError as error:
        fault = error.errors()[0]
        place = "".join(f"{part}: " for part in fault["loc"])
        raise ValueError(place + fault["msg"].removeprefix("Value error, ")) from None


def read_about(folder: Folder) -> PoolAbout | None:
    """Read what a pool says of itself; ``None`` if it says nothing.

    Raises:
        DataError: Its ``index.json`` is damaged, or not a pool's.
    """
    stored = folder.file(INDEX)
    if stored is None:
        return None
    try:
        return decode(stored.read(MAX_BYTES))
    except ValueError as error:
        raise DataError(f"{stored}: not a pool's index.json, or damaged: {error}.") from None
