"""Embeds the images of a pool into the layout of clip-retrieval, so that runs can search it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from laion_eo.blame import naming_culprits
from laion_eo.component import Component, Context
from laion_eo.errors import DataError
from laion_eo.files import WORKING, write_atomically
from laion_eo.fingerprint import fingerprint
from laion_eo.kinds import Downloader, Embedder
from laion_eo.kinds.contract import check_embeddings
from laion_eo.pools.sources import Listed, PoolSource, open_source, public_url
from laion_eo.redaction import redacted_json
from laion_eo.registry import Registry
from laion_eo.types import JSON, Embeddings, Picture

logger = logging.getLogger("laion_eo")
C = TypeVar("C", bound=Component)

SHARD_ROWS = 4096
"""Images of a shard: what a killed indexing repeats at most."""
BATCH_ROWS = 32
"""Images that are decoded and embedded together."""
METADATA = pa.schema(
    [
        ("image_path", pa.string()),
        ("caption", pa.string()),
        ("url", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
    ]
)
SKIPPED = pa.schema([("image_path", pa.string()), ("reason", pa.string())])


@dataclass(frozen=True, slots=True)
class IndexResult:
    """The outcome of an indexing.

    Attributes:
        folder: The pool: ``img_emb/``, ``metadata/``, ``skipped/``, ``index.json``.
        rows: Number of images embedded.
        skipped: Number of images that could not be read; ``skipped/`` gives the reasons.
        model_id: The model that embedded them.
    """

    folder: Path
    rows: int
    skipped: int
    model_id: str


def index(
    pool: str | Path,
    out: str | Path,
    embedder: Mapping[str, JSON] | None = None,
    url_prefix: str | None = None,
    registry: Registry | None = None,
    *,
    downloader: Mapping[str, JSON] | None = None,
) -> IndexResult:
    """Embed the images of a pool: ``laion-eo index`` in Python.

    The pool is a folder of images, a folder of webdataset tars, or a Parquet file of URLs (or a
    folder of such files), which are fetched. In a folder of images captions come from a table
    (``metadata.csv``, ``metadata.parquet`` or ``pairs.csv``; columns ``file`` or ``file_name``, and
    ``caption`` or ``text``), or from a text file beside each image. A stopped indexing resumes.

    Args:
        pool: The folder, or the Parquet file.
        out: Folder for the vectors and their metadata.
        embedder: As a run file's ``[embedder]`` table; open-clip by default.
        url_prefix: Prefix that turns the images' paths into URLs; a ``file:`` URL by default.
        registry: Where components are found; the installed plugins by default.
        downloader: As a run file's ``[downloader]`` table; http by default.

    Raises:
        ConfigError: The embedder or the downloader is misconfigured, or lacks a package, weights or
            a contact.
        DataError: The pool has no images, its table is unusable, or ``out`` holds other files.
    """
    registry = registry or Registry.discover()
    after_batch = registry.manager.hook.laion_eo_after_batch
    context = Context(
        progress=lambda done, total: after_batch(stage="index", done=done, total=total),
        purpose="indexes image-text pairs",
    )
    with naming_culprits(registry), ExitStack() as stack:
        model = registry.build(Embedder, embedder or {"use": "open-clip"}, "index", context)
        fetch = registry.build(Downloader, downloader or {"use": "http"}, "index", context)
        model.check()
        source = open_source(Path(pool), lambda: _ready(fetch, stack))
        listed = source.entries()  # before the model is loaded: an empty pool needs none
        prefix = url_prefix or f"{Path(pool).resolve().as_uri()}/"
        return Indexer(source, Path(out), _ready(model, stack), prefix).run(listed)


def _ready(component: C, stack: ExitStack) -> C:
    """Set a component up, to be closed with the stack."""
    component.setup()
    stack.callback(component.close)
    return component


@dataclass(frozen=True)
class Indexer:
    """One indexing, which resumes after the last finished shard.

    Attributes:
        source: Lists and loads the images.
        out: Folder for the vectors and their metadata.
        model: An embedder that is set up.
        prefix: Prefix that turns the images' paths into URLs.
        shard_rows: Images of a shard; a resumed indexing needs the same number.
        batch_rows: Images that are decoded and embedded together.
    """

    source: PoolSource
    out: Path
    model: Embedder
    prefix: str
    shard_rows: int = SHARD_ROWS
    batch_rows: int = BATCH_ROWS

    def run(self, listed: Sequence[Listed]) -> IndexResult:
        """Embed all images that are listed, but for the shards that are finished.

        Args:
            listed: What the source lists.

        Raises:
            DataError: ``out`` holds files that are not of an indexing.
        """
        starts = range(0, len(listed), self.shard_rows)
        shards = [listed[start : start + self.shard_rows] for start in starts]
        rows = [(entry.path, entry.caption, entry.url) for entry in listed]
        identity = [self.model.model_id, self.prefix, rows]
        self._begin(fingerprint(identity))
        width = len(str(len(shards) - 1))
        done = embedded = skipped = 0
        for number, shard in enumerate(shards):
            stem = f"{number:0{width}d}"
            marker = self.out / ".done" / f"{stem}.json"
            if marker.is_file():
                counts = json.loads(marker.read_text("utf-8"))
            else:
                counts = self._write(stem, shard, done, len(listed))
                write_atomically(marker, json.dumps(counts).encode())
            embedded, skipped = embedded + counts["rows"], skipped + counts["skipped"]
            done += len(shard)
            self.model.context.progress(done, len(listed))
        return self._finish(embedded, skipped)

    def _begin(self, wanted: str) -> None:
        """Remove what an indexing of other images, or with another model, left behind."""
        marker = self.out / ".done" / "fingerprint"
        if marker.is_file() and marker.read_text("utf-8") == wanted:
            return
        known = {".done", "img_emb", "metadata", "skipped", "index.json", "image.index"}
        stale = [*self.out.glob("image.index*"), *self.out.glob("index.json.*")]  # killed ones too
        known |= {path.name for path in stale if path.suffix == WORKING}
        if not marker.parent.is_dir():
            known = set()  # it could be a third-party pool, which is never cleared
        if self.out.exists() and (other := {path.name for path in self.out.iterdir()} - known):
            raise DataError(
                f"{self.out}: holds {sorted(other)[0]!r}; an index needs its own folder."
            )
        for path in stale:
            path.unlink()
        for name in (".done", "img_emb", "metadata", "skipped"):
            for path in (self.out / name).glob("*"):
                path.unlink()
            (self.out / name).mkdir(parents=True, exist_ok=True)
        write_atomically(marker, wanted.encode())

    def _write(self, stem: str, shard: Sequence[Listed], before: int, total: int) -> dict[str, int]:
        """Embed one shard, write its three files, and return its counts."""
        metadata: list[dict[str, JSON]] = []
        skipped: list[dict[str, JSON]] = []
        vectors: list[Embeddings] = [np.zeros((0, self.model.dim), np.float32)]
        for start in range(0, len(shard), self.batch_rows):
            stop = min(start + self.batch_rows, len(shard))
            batch = []
            for entry, picture in self.source.load(shard[start:stop]):
                if isinstance(picture, str):
                    logger.warning("%s: skipped: %s", entry.path, picture)
                    skipped.append({"image_path": entry.path, "reason": picture})
                else:
                    batch.append((entry, picture))
            metadata += [self._row(entry, picture) for entry, picture in batch]
            if batch:
                found = self.model.embed_images([picture for _, picture in batch])
                vectors.append(check_embeddings(self.model, found, len(batch), self.model.dim))
            self.model.context.progress(before + stop, total)
        matrix = np.concatenate(vectors).astype(np.float16)
        write_atomically(self.out / "img_emb" / f"img_emb_{stem}.npy", _npy(matrix))
        _write_table(self.out / "metadata" / f"metadata_{stem}.parquet", metadata, METADATA)
        _write_table(self.out / "skipped" / f"skipped_{stem}.parquet", skipped, SKIPPED)
        return {"rows": len(metadata), "skipped": len(skipped)}

    def _row(self, entry: Listed, picture: Picture) -> dict[str, JSON]:
        height, width = picture.shape[:2]
        url = public_url(self.prefix, entry)
        about = {"image_path": entry.path, "caption": entry.caption, "url": url}
        return {**about, "width": width, "height": height}

    def _finish(self, rows: int, skipped: int) -> IndexResult:
        about = {"model_id": self.model.model_id, "dim": self.model.dim, "rows": rows}
        facts = {**about, "skipped": skipped, **redacted_json(self.model.facts())}
        write_atomically(self.out / "index.json", (json.dumps(facts, indent=1) + "\n").encode())
        return IndexResult(self.out, rows, skipped, self.model.model_id)


def _npy(matrix: np.ndarray[tuple[int, ...], np.dtype[np.float16]]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, matrix, allow_pickle=False)
    return stream.getvalue()


def _write_table(path: Path, rows: list[dict[str, JSON]], schema: pa.Schema) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink)
    write_atomically(path, sink.getvalue().to_pybytes())
