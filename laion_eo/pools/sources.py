"""Where the images of a pool come from: a folder, webdataset tars, or a table of URLs."""

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

from laion_eo.columns import FieldName, columns_of, find_column, require_column
from laion_eo.errors import DataError
from laion_eo.images import ImageError, decode_image
from laion_eo.kinds import Downloader
from laion_eo.types import JSON, DownloadStatus, Picture

logger = logging.getLogger("laion_eo")

IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
TABLES = ("metadata.csv", "metadata.parquet", "pairs.csv")


@dataclass(frozen=True, slots=True)
class Listed:
    """One image of a pool.

    Attributes:
        path: Its name within the pool; its URL if it is to be fetched.
        caption: Its caption, if it has one.
        url: Its URL; ``None`` if only its path is known.
    """

    path: str
    caption: str | None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class TarMember(Listed):
    """One image in a tar.

    Attributes:
        offset: Its first byte in the tar.
        size: Bytes.
    """

    offset: int = 0
    size: int = 0


Loaded = tuple[Listed, Picture | str]
"""An image, or the reason why there is none."""


class PoolSource(ABC):
    """Lists the images of a pool, and loads some of them."""

    @abstractmethod
    def entries(self) -> Sequence[Listed]:
        """Return all images, always in the same order.

        Raises:
            DataError: There are none, or their table is unusable.
        """

    @abstractmethod
    def load(self, entries: Sequence[Listed]) -> Iterator[Loaded]:
        """Yield each entry with its image, in order."""

    def file_of(self, entry: Listed) -> Path | None:  # noqa: ARG002 - there is none here
        """Return the file that holds an entry; ``None`` if it is fetched, or lies outside."""
        return None


class FolderSource(PoolSource):
    """Image files, with captions in a table or in a text file beside each image.

    A table has a column ``file`` or ``file_name``, and ``caption`` or ``text``.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def entries(self) -> list[Listed]:
        """Return the images that the folder's table names; without a table, all in the folder."""
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
        for entry in entries:
            yield entry, self._load(entry)

    def _load(self, entry: Listed) -> Picture | str:
        if not entry.path:
            return "its row names no file"
        path = self.file_of(entry)
        if path is None:
            return "it lies outside the pool's folder"
        try:
            return _decoded(path.read_bytes())
        except OSError as error:
            return str(error)

    def file_of(self, entry: Listed) -> Path | None:
        """Return the file that holds an entry; ``None`` if it lies outside the folder."""
        # A third-party table must not publish files from outside the pool.
        path = Path(os.path.relpath(self._root / entry.path, self._root))
        return None if path.parts[:1] == ("..",) else self._root / path


class TarSource(PoolSource):
    """Webdataset tars, as img2dataset writes them: ``KEY.jpg`` with ``KEY.txt``, ``KEY.json``."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def entries(self) -> list[TarMember]:
        """Return the images of all tars, sorted by the name of the tar, in the tar's own order."""
        found: list[TarMember] = []
        for path in sorted(self._root.glob("*.tar")):
            try:
                # "r:": the members of a compressed tar cannot be read at their offsets.
                with tarfile.open(path, "r:") as archive:
                    found += self._members(path.name, archive)
            except (tarfile.TarError, OSError) as error:
                raise DataError(
                    f"{path}: incomplete, or not a tar: {error}. Decompress a compressed one first."
                ) from None
        if not found:
            raise DataError(f"{self._root}: no images in its tars.")
        return found

    def _members(self, name: str, archive: tarfile.TarFile) -> Iterator[TarMember]:
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
            caption = _value(about, "caption") if text is None else text.decode("utf-8", "replace")
            url = _value(about, "url")
            yield TarMember(f"{name}/{image.name}", caption, url, image.offset_data, image.size)

    def load(self, entries: Sequence[Listed]) -> Iterator[Loaded]:
        """Read the images at their offsets."""
        for entry in entries:
            yield entry, self._load(entry)

    def _load(self, entry: Listed) -> Picture | str:
        if not isinstance(entry, TarMember):
            raise TypeError(f"{entry.path}: not a member of a tar")
        try:
            with self.file_of(entry).open("rb") as stream:
                stream.seek(entry.offset)
                return _decoded(stream.read(entry.size))
        except OSError as error:
            return str(error)

    def file_of(self, entry: Listed) -> Path:
        """Return the tar that holds an entry."""
        return self._root / entry.path.partition("/")[0]


class UrlSource(PoolSource):
    """Parquet files with a column of URLs, fetched by the run's downloader.

    Args:
        root: One Parquet file, or a folder of them.
        downloader: A downloader that is set up.
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
        """Fetch the images; a URL that fails is skipped, with its status."""
        downloads = self._downloader.download([entry.path for entry in entries])
        by_url = {download.url: download for download in downloads}
        for entry in entries:
            found = by_url[entry.path]
            if found.status is DownloadStatus.OK and found.content is not None:
                yield entry, _decoded(found.content)
            else:
                yield entry, f"{found.status}: {found.reason}"


def _decoded(content: bytes) -> Picture | str:
    """Return the image, or the reason why it cannot be decoded."""
    try:
        return decode_image(content)
    except ImageError as error:
        return str(error)


def _urls(file: Path) -> Iterator[tuple[str | None, str | None]]:
    """Yield the URL and caption of each row of a Parquet file."""
    names = pq.read_schema(file).names
    url = require_column("url", names, file)
    caption = find_column("caption", names)
    table = pq.read_table(file, columns=[url, caption] if caption else [url])
    captions = table[caption] if caption else pa.nulls(len(table))
    columns = (column.cast(pa.string()).to_pylist() for column in (table[url], captions))
    yield from zip(*columns, strict=True)


def open_source(pool: Path, downloader: Callable[[], Downloader]) -> PoolSource:
    """Return the source that reads a pool, judged by its files.

    Args:
        pool: A folder of images; a folder with ``*.tar`` files; a Parquet file with URLs, or a
            folder of nothing but such files.
        downloader: Builds the downloader; called only if URLs are to be fetched.

    Raises:
        DataError: The pool is none of these.
    """
    if pool.is_file() and pool.suffix == ".parquet":
        return UrlSource(pool, downloader())
    if not pool.is_dir():
        raise DataError(f"{pool}: no such folder of images, nor a Parquet file of URLs.")
    names = [path.name for path in sorted(pool.iterdir()) if not path.name.startswith(".")]
    if any(name.endswith(".tar") for name in names):
        return TarSource(pool)
    if names and all(name.endswith(".parquet") and name not in TABLES for name in names):
        return UrlSource(pool, downloader())
    return FolderSource(pool)


def public_url(prefix: str, entry: Listed) -> str:
    """Return the URL of an image."""
    return entry.url or prefix + quote(entry.path)


@contextmanager
def _parquet(file: Path) -> Iterator[None]:
    """Turn pyarrow's errors about a file that is not Parquet into one line."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = str(error).rstrip(".")
        raise DataError(f"{file}: incomplete, or not a Parquet file: {reason}.") from None


def _about(tar: str, archive: tarfile.TarFile, member: tarfile.TarInfo | None) -> dict[str, JSON]:
    """Return a sample's JSON object; a damaged one counts as empty."""
    try:
        found = json.loads(_content(archive, member) or b"{}")
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        return found
    logger.warning("%s/%s: not a JSON object; treated as empty", tar, member and member.name)
    return {}


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo | None) -> bytes | None:
    stream = archive.extractfile(member) if member is not None else None
    return stream.read() if stream else None


def _value(row: dict[str, JSON], field: FieldName) -> str | None:
    """Return the first value of a field that is not empty."""
    return next((str(row[name]) for name in columns_of(field, row) if row[name]), None)


def _from_table(table: Path) -> list[Listed]:
    if table.suffix == ".parquet":
        with _parquet(table):
            columns = pq.read_table(table)
        names, rows = columns.column_names, columns.to_pylist()
    else:
        try:
            with table.open(newline="", encoding="utf-8") as stream:
                reader = csv.DictReader(stream)
                rows = list(reader)
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{table}: not a CSV file in UTF-8: {error}.") from None
        names = list(reader.fieldnames or ())
    if not rows:
        raise DataError(f"{table}: the table has no rows.")
    file = require_column("file", names, table)
    caption = find_column("caption", names)
    return [Listed(str(row[file] or ""), _text(row[caption] if caption else None)) for row in rows]


def _text(value: JSON) -> str | None:
    return None if value is None else str(value)
