"""Where the images of a pool come from: a folder, webdataset tars, or a table of URLs."""

from __future__ import annotations

import codecs
import csv
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
from laion_eo.texts import as_texts, clean, clean_url, one_line, parse_json, text_of
from laion_eo.types import JSON, DownloadStatus, Picture

logger = logging.getLogger("laion_eo")

IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
TABLES = ("metadata.csv", "metadata.parquet", "pairs.csv")
MOST_BYTES = 1 << 30
"""Bytes of the largest image in a tar."""
MOST_TEXT = 16 << 20
"""Bytes that are read of a caption or a description; no caption is that long."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One image of a pool.

    Attributes:
        path: Its name within the pool; its URL if it is to be fetched. Like the caption, a text
            that every table can hold: see :mod:`laion_eo.texts`.
        caption: Its caption, if it has one.
        url: Its URL; ``None`` if only its path is known.
        file: The name of its file on this machine, where that is another than ``path``: a name that
            is not UTF-8, or a tar.
    """

    path: str
    caption: str | None
    url: str | None = None
    file: str | None = None


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
    """Lists the images of a pool, and loads some of them.

    Attributes:
        repaired: Texts of the entries that were listed last which had characters that no table can
            hold, and which are replaced: see :mod:`laion_eo.texts`.
    """

    repaired: int = 0

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

    def fetched_sha256(self, entry: Listed) -> str | None:  # noqa: ARG002 - likewise
        """Return the SHA-256 of an image that was just loaded, if it was fetched."""
        return None

    def _clean(self, text: str | bytes | None) -> str | None:
        """Return a caption or a name as it can be kept, and count it if that is another."""
        found, changed = clean(text)
        self.repaired += changed
        return found

    def _clean_url(self, url: str | bytes | None) -> str | None:
        found, changed = clean_url(url)
        self.repaired += changed
        return found

    def _say_repaired(self, place: Path, entries: int) -> None:
        if self.repaired:
            logger.warning(
                "%s: %d texts of %d images had bytes that are not UTF-8, or control characters, "
                "which are replaced",
                place, self.repaired, entries,
            )  # fmt: skip


class FolderSource(PoolSource):
    """Image files, with captions in a table or in a text file beside each image.

    A table has a column ``file`` or ``file_name``, and ``caption`` or ``text``.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def entries(self) -> list[Listed]:
        """Return the images that the folder's table names; without a table, all in the folder."""
        self.repaired = 0
        tables = [self._root / name for name in TABLES if (self._root / name).is_file()]
        pairs = _from_table(tables[0]) if tables else self._from_files()
        found = [self._listed(file, caption) for file, caption in pairs]
        if not found:
            raise DataError(f"{self._root}: no images; looked for {', '.join(IMAGES)}.")
        self._say_repaired(tables[0] if tables else self._root, len(found))
        return found

    def _listed(self, file: str, caption: str | bytes | None) -> Listed:
        path = self._clean(file) or ""
        return Listed(path, self._clean(caption), file=None if path == file else file)

    def _from_files(self) -> Iterator[tuple[str, bytes | None]]:
        for path in sorted(self._root.rglob("*")):
            if path.suffix.lower() not in IMAGES:
                continue
            text = path.with_suffix(".txt")
            caption = _start(text).strip() if text.is_file() else None
            yield path.relative_to(self._root).as_posix(), caption

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
            if path.exists() and not path.is_file():
                return "it is no file"  # a pipe would never end
            return _decoded(path.read_bytes())
        except (OSError, ValueError) as error:  # a NUL in its name is a ValueError
            return one_line(error)

    def file_of(self, entry: Listed) -> Path | None:
        """Return the file that holds an entry; ``None`` if it lies outside the folder."""
        # A third-party table must not publish files from outside the pool.
        path = Path(os.path.relpath(self._root / (entry.file or entry.path), self._root))
        return None if path.parts[:1] == ("..",) else self._root / path


class TarSource(PoolSource):
    """Webdataset tars, as img2dataset writes them: ``KEY.jpg`` with ``KEY.txt``, ``KEY.json``."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def entries(self) -> list[TarMember]:
        """Return the images of all tars, sorted by the name of the tar, in the tar's own order."""
        self.repaired = 0
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
        self._say_repaired(self._root, len(found))
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
            full_name = self._clean(f"{name}/{image.name}") or ""
            caption = self._clean(_value(about, "caption") if text is None else text)
            url = self._clean_url(_value(about, "url"))
            yield TarMember(full_name, caption, url, name, image.offset_data, image.size)

    def load(self, entries: Sequence[Listed]) -> Iterator[Loaded]:
        """Read the images at their offsets."""
        for entry in entries:
            yield entry, self._load(entry)

    def _load(self, entry: Listed) -> Picture | str:
        if not isinstance(entry, TarMember):
            raise TypeError(f"{entry.path}: not a member of a tar")
        if entry.size > MOST_BYTES:
            return f"a file of {entry.size:,} bytes, more than {MOST_BYTES:,}"
        try:
            with self.file_of(entry).open("rb") as stream:
                stream.seek(entry.offset)
                return _decoded(stream.read(entry.size))
        except OSError as error:
            return str(error)

    def file_of(self, entry: Listed) -> Path:
        """Return the tar that holds an entry."""
        return self._root / (entry.file or entry.path.partition("/")[0])


class UrlSource(PoolSource):
    """Parquet files with a column of URLs, fetched by the run's downloader.

    Args:
        root: One Parquet file, or a folder of them.
        downloader: A downloader that is set up.
    """

    def __init__(self, root: Path, downloader: Downloader) -> None:
        self._root = root
        self._downloader = downloader
        self._fetched: dict[str, str | None] = {}

    def entries(self) -> list[Listed]:
        """Return the rows that have a URL, each URL once."""
        self.repaired = 0
        files = [self._root] if self._root.is_file() else sorted(self._root.glob("*.parquet"))
        found: dict[str, Listed] = {}
        for file in files:
            with _parquet(file):
                for row in _rows(file, "url"):
                    if (url := self._clean_url(row[0])) and url not in found:
                        found[url] = Listed(url, self._clean(row[1]), url)
        if not found:
            raise DataError(f"{self._root}: no URLs in it.")
        self._say_repaired(self._root, len(found))
        return [*found.values()]

    def load(self, entries: Sequence[Listed]) -> Iterator[Loaded]:
        """Fetch the images; a URL that fails is skipped, with its status."""
        downloads = self._downloader.download([entry.path for entry in entries])
        by_url = {download.url: download for download in downloads}
        self._fetched = {url: download.sha256 for url, download in by_url.items()}
        for entry in entries:
            found = by_url[entry.path]
            if found.status is DownloadStatus.OK and found.content is not None:
                yield entry, _decoded(found.content)
            else:
                yield entry, f"{found.status}: {found.reason}"

    def fetched_sha256(self, entry: Listed) -> str | None:
        """Return the SHA-256 of an image that was just loaded."""
        return self._fetched.get(entry.path)


def _decoded(content: bytes) -> Picture | str:
    """Return the image, or the reason why it cannot be decoded."""
    try:
        return decode_image(content)
    except ImageError as error:
        return str(error)


def _rows(file: Path, field: FieldName) -> Iterator[tuple[bytes | None, bytes | None]]:
    """Yield a field and the caption of each row of a Parquet file, as the bytes that are there."""
    names = pq.read_schema(file).names
    first, caption = require_column(field, names, file), find_column("caption", names)
    table = pq.read_table(file, columns=[first, caption] if caption else [first])
    captions = table[caption] if caption else pa.chunked_array([pa.nulls(len(table))])
    columns = (as_texts(column).cast(pa.large_binary()) for column in (table[first], captions))
    yield from zip(*(column.to_pylist() for column in columns), strict=True)


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
    return entry.url or prefix + quote(os.fsencode(entry.file or entry.path))


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
        found = parse_json(_content(archive, member) or b"{}")
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    logger.warning(
        "%s: not a JSON object; treated as empty", one_line(f"{tar}/{member and member.name}")
    )
    return {}


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo | None) -> bytes | None:
    stream = archive.extractfile(member) if member is not None else None
    return stream.read(MOST_TEXT) if stream else None


def _start(file: Path) -> bytes:
    """Return as much of a text file as a caption can have."""
    with file.open("rb") as stream:
        return stream.read(MOST_TEXT)


def _value(row: dict[str, JSON], field: FieldName) -> str | None:
    """Return the first value of a field that is not empty."""
    return next((text for name in columns_of(field, row) if (text := text_of(row[name]))), None)


def _from_table(table: Path) -> Iterator[tuple[str, str | bytes | None]]:
    """Yield the file and the caption of each row."""
    rows: list[tuple[str, str | bytes | None]]
    if table.suffix == ".parquet":
        with _parquet(table):
            rows = [(os.fsdecode(file or b""), caption) for file, caption in _rows(table, "file")]
    else:
        rows = _from_csv(table)
    if not rows:
        raise DataError(f"{table}: the table has no rows.")
    yield from rows


def _from_csv(table: Path) -> list[tuple[str, str | bytes | None]]:
    """Return the file and the caption of each row; bytes that are not UTF-8 as surrogates."""
    try:
        with table.open("rb") as binary:
            wide = binary.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        encoding = "utf-16" if wide else "utf-8-sig"
        errors = "surrogatepass" if wide else "surrogateescape"
        with table.open(newline="", encoding=encoding, errors=errors) as stream:
            reader = csv.DictReader(stream)
            rows = list(reader)
    except (ValueError, csv.Error) as error:
        raise DataError(f"{table}: not a CSV file in UTF-8: {error}.") from None
    names = list(reader.fieldnames or ())
    if not rows:
        return []
    file, caption = require_column("file", names, table), find_column("caption", names)
    return [(row[file] or "", row[caption] if caption else None) for row in rows]
