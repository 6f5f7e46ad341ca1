"""Files and folders that may be on this disk or behind an fsspec URL (s3://, gs://, https://)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Any, cast

from pydantic import AfterValidator, ValidationInfo

from laion_eo.errors import DataError
from laion_eo.fingerprint import fingerprint
from laion_eo.redaction import without_login


def _absolute(location: str, info: ValidationInfo) -> str:
    if "://" in location or "::" in location:
        return location
    base = (info.context or {}).get("base", "")
    # Not resolve(): a link keeps the name that it has in the run file.
    return os.path.abspath(os.path.join(base, os.path.expanduser(location)))  # noqa: PTH100, PTH111, PTH118


Location = Annotated[str, AfterValidator(_absolute)]
"""A path or an fsspec URL in a run file; relative paths start at the run file's folder."""

MAX_ROWS = 1 << 40
"""Rows of a file: more than any pool has, and the sum of many such files is still an int64."""
LONGEST_REASON = 300
"""Characters of another library's message that are repeated."""


@dataclass(frozen=True)
class Stored:
    """One file.

    Attributes:
        filesystem: fsspec's file system.
        path: Its path there.
        size: Bytes.
        version: What changes when the file does: its modification time, or the server's tag.
    """

    filesystem: Any
    path: str
    size: int
    version: str

    def __str__(self) -> str:
        return without_login(str(self.filesystem.unstrip_protocol(self.path))).removeprefix(
            "file://"
        )

    @property
    def name(self) -> str:
        """The file's name without its folders."""
        return self.path.rstrip("/").rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The name without its last extension."""
        return self.name.rpartition(".")[0]

    @property
    def suffix(self) -> str:
        """The last extension, lower case, with its dot."""
        return "." + self.name.rpartition(".")[2].lower()

    def open(self) -> IO[bytes]:
        """Open for reading."""
        return cast("IO[bytes]", self.filesystem.open(self.path, "rb"))

    def read(self, limit: int) -> bytes:
        """Return the content.

        Args:
            limit: Bytes; a larger file is refused.

        Raises:
            DataError: It is larger, or cannot be read.
        """
        if self.size > limit:
            raise DataError(f"{self}: {self.size:,} bytes, more than the {limit:,} that are read.")
        try:
            with self.open() as stream:
                return stream.read(limit)
        except _read_errors() as error:
            raise DataError(f"{self}: cannot be read: {reason_of(error)}") from None


def _read_errors() -> tuple[type[Exception], ...]:
    """Return what reading may raise, from a disk or from a server."""
    import aiohttp  # fsspec lets its errors through

    return (OSError, aiohttp.ClientError)


def parse_errors() -> tuple[type[Exception], ...]:
    """Return what may be raised by reading a damaged file, or one that a server withholds.

    numpy, pyarrow, h5py and zipfile say in many ways that bytes are not of their format: by sizes
    that no memory has, by types that have no such attribute, by headers that no parser reads.
    """
    import tokenize
    import zipfile
    import zlib

    import pyarrow as pa

    formats = (zipfile.BadZipFile, zlib.error, pa.ArrowException, tokenize.TokenError, SyntaxError)
    values = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, EOFError)
    limits = (MemoryError, RuntimeError)  # also NotImplementedError and RecursionError
    return (*_read_errors(), *formats, *values, *limits)


def reason_of(error: Exception) -> str:
    """Return what an exception of another library says, in one line of a readable length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]} ..."


class Folder:
    """A folder, listed once.

    Args:
        location: A path or URL.

    Raises:
        DataError: No fsspec file system takes such a URL, or it cannot be listed.
    """

    def __init__(self, location: str) -> None:
        import fsspec

        self.location = location
        try:
            self._filesystem, self._path = fsspec.core.url_to_fs(location)
            self._files = self._filesystem.find(self._path, detail=True)
        except (ValueError, ImportError, OSError) as error:
            raise DataError(
                f"{without_login(location)}: cannot be listed: {reason_of(error)}"
            ) from None

    def files(
        self, folder: str = "", suffixes: Iterable[str] = (), deep: bool = False
    ) -> list[Stored]:
        """Return the files of a subfolder, sorted by name.

        Args:
            folder: Name of the subfolder; "" is the folder itself.
            suffixes: Extensions wanted, with their dots; all by default.
            deep: Whether files further down are included.
        """
        prefix = self._prefix + (folder + "/" if folder else "")
        wanted = tuple(suffixes)
        return [
            self._stored(path)
            for path in sorted(self._files)
            if path.startswith(prefix)
            and (deep or "/" not in path[len(prefix) :])
            and (not wanted or path.lower().endswith(wanted))
        ]

    def _stored(self, path: str) -> Stored:
        info = self._files[path]
        # A link is "other" as well; a pipe would be waited for without end.
        if info.get("type") == "other" and self.path is not None and not Path(path).is_file():
            raise DataError(f"{path}: neither a file nor a folder.")
        if info.get("size") is None:  # a listing over HTTP has names only
            try:
                self._files[path] = info = {**info, **self._filesystem.info(path)}
            except OSError as error:
                raise DataError(f"{path}: cannot be read: {reason_of(error)}") from None
        return Stored(self._filesystem, path, int(info.get("size") or 0), _version(info))

    @property
    def path(self) -> Path | None:
        """The folder on this machine; ``None`` if it is elsewhere."""
        from fsspec.implementations.local import LocalFileSystem

        return Path(self._path) if isinstance(self._filesystem, LocalFileSystem) else None

    @property
    def paths(self) -> set[str]:
        """The paths below the folder of all files, however deep."""
        return {path.removeprefix(self._prefix) for path in self._files}

    def at(self, path: str) -> Stored:
        """Return the file at a path below the folder, one of :attr:`paths`."""
        return self._stored(self._prefix + path)

    def paths_of(self, files: Iterable[Stored]) -> list[str]:
        """Return the paths of files below the folder; those elsewhere keep theirs."""
        return [file.path.removeprefix(self._prefix) for file in files]

    @property
    def _prefix(self) -> str:
        return f"{self._path.rstrip('/')}/"

    def has_folder(self, name: str) -> bool:
        """Tell whether there is a subfolder of that name; it may be empty."""
        return bool(self._filesystem.isdir(f"{self._path.rstrip('/')}/{name}"))

    def file(self, name: str) -> Stored | None:
        """Return one file of the folder itself; ``None`` if there is no such file."""
        return self.at(name) if self._prefix + name in self._files else None


def _version(info: dict[str, Any]) -> str:
    tags = ("ETag", "etag", "mtime", "LastModified", "last_modified", "created")
    return str(next((info[tag] for tag in tags if info.get(tag)), ""))


def identity(files: Iterable[Stored]) -> str:
    """Return a hash of files' names, sizes and versions, without reading them."""
    return fingerprint([(str(file), file.size, file.version) for file in files])


def open_hdf5(stream: IO[bytes], source: Stored) -> Any:
    """Open an HDF5 file.

    Raises:
        DataError: It is not one, or the package h5py is not installed.
    """
    try:
        import h5py
    except ImportError:
        raise DataError(f'{source}: reading HDF5 needs `pip install "laion-eo[hdf5]"`.') from None
    try:
        return h5py.File(stream, "r")
    except OSError as error:
        fault = reason_of(error)
        raise DataError(f"{source}: incomplete, or not an HDF5 file: {fault}") from None
