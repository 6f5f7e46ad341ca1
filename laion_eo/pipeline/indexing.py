"""Embeds a folder of images into the layout of clip-retrieval: a pool to search in."""

from __future__ import annotations

import csv
import io
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from laion_eo.component import Context
from laion_eo.config import Choice
from laion_eo.errors import DataError
from laion_eo.fingerprint import fingerprint
from laion_eo.images import ImageError, read_image
from laion_eo.kinds import KINDS, Embedder
from laion_eo.pipeline.blame import naming_culprits
from laion_eo.pipeline.contract import check_embeddings
from laion_eo.pipeline.run_dir import write_atomically
from laion_eo.registry import Registry
from laion_eo.types import JSON, Embeddings, Picture

logger = logging.getLogger("laion_eo")

IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
TABLES = ("metadata.csv", "metadata.parquet", "pairs.csv")
FILE_NAMES = ("file", "file_name", "image_path")
CAPTION_NAMES = ("caption", "text", "TEXT")
BATCH = 32
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
    """What an indexing did.

    Attributes:
        folder: The pool: ``img_emb/``, ``metadata/``, ``skipped.parquet``, ``index.json``.
        rows: Images embedded.
        skipped: Images that could not be read; ``skipped.parquet`` says why.
        model_id: The model that embedded them.
    """

    folder: Path
    rows: int
    skipped: int
    model_id: str


@dataclass(frozen=True, slots=True)
class _Listed:
    path: str
    caption: str | None


def index(
    pool: str | Path,
    out: str | Path,
    embedder: Mapping[str, JSON] | None = None,
    url_prefix: str | None = None,
    registry: Registry | None = None,
) -> IndexResult:
    """Embed a folder of images: the Python face of ``laion-eo index``.

    Captions come from a table in the folder (``metadata.csv``, ``metadata.parquet`` or
    ``pairs.csv`` with a column ``file`` or ``file_name``, and ``caption`` or ``text``), or else
    from a text file beside each image (``cat.txt`` for ``cat.jpg``). A stopped indexing goes on.

    Args:
        pool: The folder.
        out: Where the vectors go.
        embedder: As a run file's ``[embedder]`` table; open-clip by default.
        url_prefix: What the images' paths are appended to, to give URLs; ``file:`` by default.
        registry: Where components are found; the installed plugins by default.

    Raises:
        ConfigError: The embedder is wrong.
        DataError: The folder has no images, or its table does not fit.
    """
    root, target = Path(pool), Path(out)
    registry = registry or Registry.discover()
    kind = next(kind for kind in KINDS if kind.base is Embedder)
    choice = Choice.model_validate(embedder or {"use": "open-clip"})
    hook = registry.manager.hook

    def progress(done: int, total: int) -> None:
        hook.laion_eo_after_batch(stage="index", done=done, total=total)

    model = registry.create(kind, choice, Context(progress=progress), "index")
    assert isinstance(model, Embedder)
    listed = _list(root)
    with naming_culprits(registry):
        model.setup()
        try:
            return _Indexer(root, target, model, url_prefix).run(listed)
        finally:
            model.close()


def _list(root: Path) -> list[_Listed]:
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; the pool is a folder of images.")
    table = next((root / name for name in TABLES if (root / name).is_file()), None)
    if table:
        return _from_table(table)
    files = sorted(path for path in root.rglob("*") if path.suffix.lower() in IMAGES)
    if not files:
        raise DataError(f"{root}: no images; looked for {', '.join(IMAGES)}.")
    found = []
    for path in files:
        text = path.with_suffix(".txt")
        caption = text.read_text("utf-8", "replace").strip() if text.is_file() else None
        found.append(_Listed(path.relative_to(root).as_posix(), caption))
    return found


def _from_table(table: Path) -> list[_Listed]:
    if table.suffix == ".parquet":
        rows = pq.read_table(table).to_pylist()
    else:
        with table.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    if not rows:
        raise DataError(f"{table}: the table has no rows.")
    file = next((name for name in FILE_NAMES if name in rows[0]), None)
    caption = next((name for name in CAPTION_NAMES if name in rows[0]), None)
    if file is None:
        raise DataError(
            f"{table}: no column {' or '.join(FILE_NAMES)}; it has {', '.join(rows[0])}."
        )
    return [_Listed(row[file], row[caption] if caption else None) for row in rows]


class _Indexer:
    """One indexing; its unit of resumption is a shard of :data:`ROWS` listed images."""

    ROWS = 4096

    def __init__(self, root: Path, out: Path, model: Embedder, url_prefix: str | None) -> None:
        self.root = root
        self.out = out
        self.model = model
        self.prefix = url_prefix or f"{root.resolve().as_uri()}/"

    def run(self, listed: list[_Listed]) -> IndexResult:
        shards = [listed[i : i + self.ROWS] for i in range(0, len(listed), self.ROWS)]
        identity = [self.model.model_id, self.prefix, [(i.path, i.caption) for i in listed]]
        self._begin(fingerprint(identity))
        width = len(str(len(shards) - 1))
        done = rows = skipped = 0
        for number, shard in enumerate(shards):
            stem = f"{number:0{width}d}"
            marker = self.out / ".done" / f"{stem}.json"
            if marker.is_file():
                counts = json.loads(marker.read_text("utf-8"))
            else:
                counts = self._write(stem, shard, done, len(listed))
                write_atomically(marker, json.dumps(counts).encode())
            rows, skipped = rows + counts["rows"], skipped + counts["skipped"]
            done += len(shard)
            self.model.context.progress(done, len(listed))
        return self._finish(rows, skipped)

    def _begin(self, wanted: str) -> None:
        """Clear what an indexing of other images, or with another model, left."""
        marker = self.out / ".done" / "fingerprint"
        if marker.is_file() and marker.read_text("utf-8") == wanted:
            return
        known = {".done", "img_emb", "metadata", "skipped", "index.json", "skipped.parquet"}
        if self.out.exists() and (other := {path.name for path in self.out.iterdir()} - known):
            raise DataError(
                f"{self.out}: holds {sorted(other)[0]!r}; an index needs its own folder."
            )
        for name in (".done", "img_emb", "metadata", "skipped"):
            for path in (self.out / name).glob("*"):
                path.unlink()
            (self.out / name).mkdir(parents=True, exist_ok=True)
        write_atomically(marker, wanted.encode())

    def _write(self, stem: str, shard: list[_Listed], before: int, total: int) -> dict[str, int]:
        """Embed one shard and write its three files."""
        metadata: list[dict[str, JSON]] = []
        skipped: list[dict[str, JSON]] = []
        vectors: list[Embeddings] = [np.zeros((0, self.model.dim), np.float32)]
        for start in range(0, len(shard), BATCH):
            batch = []
            for entry in shard[start : start + BATCH]:
                try:
                    batch.append((entry, read_image(self.root / entry.path)))
                except (ImageError, OSError) as error:
                    logger.warning("%s: skipped: %s", entry.path, error)
                    skipped.append({"image_path": entry.path, "reason": str(error)})
            metadata += [self._row(entry, picture) for entry, picture in batch]
            if batch:
                found = self.model.embed_images([picture for _, picture in batch])
                vectors.append(check_embeddings(self.model, found, len(batch), self.model.dim))
            self.model.context.progress(before + min(start + BATCH, len(shard)), total)
        matrix = np.concatenate(vectors).astype(np.float16)
        write_atomically(self.out / "img_emb" / f"img_emb_{stem}.npy", _npy(matrix))
        _write_table(self.out / "metadata" / f"metadata_{stem}.parquet", metadata, METADATA)
        _write_table(self.out / "skipped" / f"skipped_{stem}.parquet", skipped, SKIPPED)
        return {"rows": len(metadata), "skipped": len(skipped)}

    def _row(self, entry: _Listed, picture: Picture) -> dict[str, JSON]:
        height, width = picture.shape[:2]
        url = self.prefix + quote(entry.path)
        about = {"image_path": entry.path, "caption": entry.caption, "url": url}
        return {**about, "width": width, "height": height}

    def _finish(self, rows: int, skipped: int) -> IndexResult:
        about = {"model_id": self.model.model_id, "dim": self.model.dim, "rows": rows}
        facts = {**about, "skipped": skipped, **self.model.facts()}
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
