"""Where the pictures of a pool come from: a folder, webdataset tars, or a table of URLs."""

from __future__ import annotations

import csv
import json
import logging
import os
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from laion_eo.errors import DataError
from laion_eo.images import ImageError, decode_image
from laion_eo.kinds import Downloader
from laion_eo.types import JSON, DownloadStatus, Picture

logger = logging.getLogger("laion_eo")

IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
TABLES = ("metadata.csv", "metadata.parquet", "pairs.csv")
FILE_NAMES = ("file", "file_name", "image_path")
CAPTION_NAMES = ("caption", "text", "TEXT")
URL_NAMES = ("url", "URL")


@dataclass(frozen=True, slots=True)
class Listed:
    """One picture of a pool.

    Attributes:
        path: Its name within the pool; a URL where it comes from one.
        caption: Its text, if it has any.
        url: Where it can be fetched; ``None`` if only its path is known.
        place: For a picture in a tar: the first byte and the number of bytes.
    """

    path: str
    caption: str | None
    url: str | None = None
    place: tuple[int, int] | None = None


Loaded = tuple[Listed, Picture | str]
"""A picture, or the reason why there is none."""


class PoolSource(ABC):
    """Lists the pictures of a pool, and loads some of them."""

    @abstractmethod
    def entries(self) -> list[Listed]:
        """Return all pictures, in an order that does not vary.

        Raises:
            DataError: There are none, or their table does not fit.
        """

    @abstractmethod
    def load(self, entries: Sequence[Listed]) -> Iterator[Loaded]:
        """Yield each entry with its picture, in order."""


def _decoded(entry: Listed, read: Callable[[], bytes]) -> Loaded:
    try:
        return entry, decode_image(read())
    except (ImageError, OSError) as error:
        return entry, str(error)


class FolderSource(PoolSource):
    """Image files, with captions in a table or in a text file beside each.

    A table has a column ``file`` or ``file_name``, and ``caption`` or ``text``.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def entries(self) -> list[Listed]:
        """Return the images that the folder's table names, or else those that it holds."""
        tables = [self._root / name for name in TABLES if (self._root / name).is_file()]
        found = _from_table(tables[0]) if tables else self._from_files()
        if not found:
            raise DataError(f"{self._root}: no images; looked for {', '.join(IMAGES)}.")
        return found

    def _from_files(self) -> list[Listed]:
        found = []
        for path in sorted(self._root.rglob("*")):
            if path.suffix.lower() not in IMAGES:
                continue
            text = path.with_suffix(".txt")
            caption = text.read_text("utf-8", "replace").strip() if text.is_file() else None
            found.append(Listed(path.relative_to(self._root).as_posix(), caption))
        return found

    def load(self, entries: Sequence[Listed]) -> Iterator[Loaded]:
        """Read the files."""
        return map(self._load, entries)

    def _load(self, entry: Listed) -> Loaded:
        if not entry.path:
            return entry, "its row names no file"
        # A table may come from anybody, and what it names is shown to the world.
        path = Path(os.path.relpath(self._root / entry.path, self._root))
        if path.parts[:1] == ("..",):
            return entry, "it lies outside the pool's folder"
        return _decoded(entry, (self._root / path).read_bytes)


class TarSource(PoolSource):
    """Webdataset tars, as img2dataset writes them: ``KEY.jpg`` with ``KEY.txt``, ``KEY.json``."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def entries(self) -> list[Listed]:
        """Return the pictures of all tars, in the order of their names and members."""
        found: list[Listed] = []
        for path in sorted(self._root.glob("*.tar")):
            try:
                # "r:": a packed one could not be read where the listing saw its members.
                with tarfile.open(path, "r:") as archive:
                    found += self._members(path.name, archive)
            except (tarfile.TarError, OSError) as error:
                raise DataError(
                    f"{path}: not a whole tar: {error}. A packed one must be unpacked first."
                ) from None
        if not found:
            raise DataError(f"{self._root}: no images in its tars.")
        return found

    def _members(self, name: str, archive: tarfile.TarFile) -> Iterator[Listed]:
        samples: dict[str, dict[str, tarfile.TarInfo]] = {}
        for member in archive:
            path = PurePosixPath(member.name)
            samples.setdefault(str(path.with_suffix("")), {})[path.suffix.lower()] = member
        for parts in samples.values():
            image = next((parts[suffix] for suffix in IMAGES if suffix in parts), None)
            if image is None or not image.isfile():
                continue
            about = _about(name, archive, parts.get(".json"))
            text = _content(archive, parts.get(".txt"))
            caption = (
                _first(about, CAPTION_NAMES) if text is None else text.decode("utf-8", "replace")
            )
            place = (image.offset_data, image.size)
            yield Listed(f"{name}/{image.name}", caption, _first(about, URL_NAMES), place)

    def load(self, entries: Sequence[Listed]) -> Iterator[Loaded]:
        """Read the pictures where the listing saw them."""
        return (_decoded(entry, lambda entry=entry: self._read(entry)) for entry in entries)  # type: ignore[misc]

    def _read(self, entry: Listed) -> bytes:
        assert entry.place is not None
        start, size = entry.place
        with (self._root / entry.path.partition("/")[0]).open("rb") as stream:
            stream.seek(start)
            return stream.read(size)


class UrlSource(PoolSource):
    """Parquet files with a column of URLs, fetched by the run's downloader.

    Args:
        root: One parquet file, or a folder of them.
        downloader: Set up.
    """

    def __init__(self, root: Path, downloader: Downloader) -> None:
        self._root = root
        self._downloader = downloader

    def entries(self) -> list[Listed]:
        """Return the rows that have a URL, each URL once."""
        files = [self._root] if self._root.is_file() else sorted(self._root.glob("*.parquet"))
        found: dict[str, Listed] = {}
        for file in files:
            with _parquet(file):
                for url, caption in _urls(file):
                    if url and url not in found:
                        found[url] = Listed(url, caption, url)
        if not found:
            raise DataError(f"{self._root}: no URLs in it.")
        return [*found.values()]

    def load(self, entries: Sequence[Listed]) -> Iterator[Loaded]:
        """Fetch the pictures; a URL that fails is skipped, with its status."""
        got = {found.url: found for found in self._downloader.download([e.path for e in entries])}
        for entry in entries:
            found = got[entry.path]
            if found.status is DownloadStatus.OK and found.content is not None:
                content = found.content
                yield _decoded(entry, lambda content=content: content)  # type: ignore[misc]
            else:
                yield entry, f"{found.status}: {found.reason}"


def _urls(file: Path) -> Iterator[tuple[str | None, str | None]]:
    """Yield URL and caption of each row of a parquet file."""
    names = pq.read_schema(file).names
    url = next((name for name in URL_NAMES if name in names), None)
    if url is None:
        raise DataError(f"{file}: no column 'url'; it has {', '.join(names)}.")
    caption = next((name for name in CAPTION_NAMES if name in names), None)
    table = pq.read_table(file, columns=[url, *([caption] if caption else [])])
    captions = table[caption] if caption else pa.nulls(len(table))
    columns = (column.cast(pa.string()).to_pylist() for column in (table[url], captions))
    yield from zip(*columns, strict=True)


def open_source(pool: Path, downloader: Callable[[], Downloader]) -> PoolSource:
    """Return the source of a pool, by what is there.

    Args:
        pool: A folder of images; one with ``*.tar`` files; a parquet file, or a folder of nothing
            but parquet files, with URLs.
        downloader: Builds the downloader, if URLs are to be fetched.

    Raises:
        DataError: There is nothing of the kind.
    """
    if pool.is_file() and pool.suffix == ".parquet":
        return UrlSource(pool, downloader())
    if not pool.is_dir():
        raise DataError(f"{pool}: no such folder of images, nor a parquet file of URLs.")
    names = [path.name for path in sorted(pool.iterdir()) if not path.name.startswith(".")]
    if any(name.endswith(".tar") for name in names):
        return TarSource(pool)
    if names and all(name.endswith(".parquet") and name not in TABLES for name in names):
        return UrlSource(pool, downloader())
    return FolderSource(pool)


def public_url(prefix: str, entry: Listed) -> str:
    """Return where a picture can be fetched."""
    return entry.url or prefix + quote(entry.path)


@contextmanager
def _parquet(file: Path) -> Iterator[None]:
    """Turn what pyarrow says of a file that is none of its own into one line."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = str(error).rstrip(".")
        raise DataError(f"{file}: not a whole parquet file: {reason}.") from None


def _about(tar: str, archive: tarfile.TarFile, member: tarfile.TarInfo | None) -> dict[str, JSON]:
    """Return what a sample's JSON says; one that is damaged says nothing."""
    try:
        found = json.loads(_content(archive, member) or b"{}")
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        return found
    logger.warning("%s/%s: not a JSON object; taken as empty", tar, member and member.name)
    return {}


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo | None) -> bytes | None:
    stream = archive.extractfile(member) if member is not None else None
    return stream.read() if stream else None


def _first(row: dict[str, JSON], names: Sequence[str]) -> str | None:
    return next((str(row[name]) for name in names if row.get(name)), None)


def _from_table(table: Path) -> list[Listed]:
    if table.suffix == ".parquet":
        with _parquet(table):
            rows = pq.read_table(table).to_pylist()
    else:
        try:
            with table.open(newline="", encoding="utf-8") as stream:
                rows = list(csv.DictReader(stream))
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{table}: not a CSV file in UTF-8: {error}.") from None
    if not rows:
        raise DataError(f"{table}: the table has no rows.")
    file = next((name for name in FILE_NAMES if name in rows[0]), None)
    caption = next((name for name in CAPTION_NAMES if name in rows[0]), None)
    if file is None:
        raise DataError(
            f"{table}: no column {' or '.join(FILE_NAMES)}; it has {', '.join(rows[0])}."
        )
    texts = [row[caption] if caption else None for row in rows]
    named = zip((str(row[file] or "") for row in rows), texts, strict=True)
    return [Listed(name, None if text is None else str(text)) for name, text in named]
