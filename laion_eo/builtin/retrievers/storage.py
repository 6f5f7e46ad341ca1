"""Files and folders that may be on this disk or behind an fsspec URL (s3://, gs://, https://)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
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
            raise DataError(f"{without_login(location)}: cannot be listed: {error}") from None

    def files(
        self, folder: str = "", suffixes: Iterable[str] = (), deep: bool = False
    ) -> list[Stored]:
        """Return the files of a subfolder, sorted by name.

        Args:
            folder: Name of the subfolder; "" is the folder itself.
            suffixes: Extensions wanted, with their dots; all by default.
            deep: Whether files further down are included.
        """
        prefix = self._path.rstrip("/") + "/" + (folder + "/" if folder else "")
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
        if info.get("size") is None:  # a listing over HTTP has names only
            try:
                self._files[path] = info = {**info, **self._filesystem.info(path)}
            except OSError as error:
                raise DataError(f"{path}: cannot be read: {error}") from None
        return Stored(self._filesystem, path, int(info.get("size") or 0), _version(info))

    def has_folder(self, name: str) -> bool:
        """Tell whether there is a subfolder of that name; it may be empty."""
        return bool(self._filesystem.isdir(f"{self._path.rstrip('/')}/{name}"))

    def file(self, name: str) -> Stored | None:
        """Return one file of the folder itself; ``None`` if there is no such file."""
        return next((file for file in self.files() if file.name == name), None)


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
        raise DataError(f"{source}: incomplete, or not an HDF5 file: {error}") from None
