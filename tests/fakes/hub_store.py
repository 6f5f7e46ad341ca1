"""What the loopback Hub keeps: repositories, their commits, branches, tags and large files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from laion_eo.types import JSON


class RefusalError(Exception):
    """An answer that is not 200: HTTP status, message, and the Hub's ``X-Error-Code``."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True)
class Blob:
    """One version of a file: its bytes, and whether git or the large-file store has them."""

    content: bytes
    lfs: bool = False

    @property
    def sha256(self) -> str:
        """Hex SHA-256 of the bytes: the name in the large-file store."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def oid(self) -> str:
        """Git's hash of a blob of these bytes."""
        head = f"blob {len(self.content)}\0".encode()
        return hashlib.sha1(head + self.content, usedforsecurity=False).hexdigest()

    @property
    def etag(self) -> str:
        """What the Hub compares files by."""
        return self.sha256 if self.lfs else self.oid

    def entry(self, path: str) -> dict[str, JSON]:
        """Return the file as listings show it."""
        found: dict[str, JSON] = {"type": "file", "oid": self.oid, "size": len(self.content)}
        if self.lfs:
            found["lfs"] = {"oid": self.sha256, "size": len(self.content), "pointerSize": 130}
        return {**found, "path": path}


@dataclass(frozen=True)
class Commit:
    """A whole state of the repository."""

    id: str
    title: str
    files: Mapping[str, Blob]
    parent: str | None
    date: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}")


def _commit(title: str, files: Mapping[str, Blob], parent: str | None, number: int) -> Commit:
    content = repr((title, sorted((p, b.etag) for p, b in files.items()), parent, number))
    oid = hashlib.sha1(content.encode(), usedforsecurity=False).hexdigest()
    return Commit(oid, title, dict(files), parent)


class Repo:
    """One dataset repository: starts with one commit, as on the Hub.

    Attributes:
        branches: Name to commit id; pull requests are ``refs/pr/N`` here.
        tags: Name to commit id.
        stored: The large-file store, by SHA-256.
        closed: Pull requests that are no longer open.
    """

    def __init__(self, name: str, private: bool) -> None:
        self.name = name
        self.private = private
        first = _commit("initial commit", {".gitattributes": Blob(b"*.parquet lfs\n")}, None, 0)
        self.commits = {first.id: first}
        self.branches = {"main": first.id}
        self.tags: dict[str, str] = {}
        self.stored: dict[str, bytes] = {}
        self.closed: set[str] = set()

    def at(self, revision: str) -> Commit:
        """Return the commit of a branch, tag or commit id."""
        oid = self.branches.get(revision) or self.tags.get(revision) or revision
        if oid not in self.commits:
            raise RefusalError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return self.commits[oid]

    def history(self, revision: str) -> list[Commit]:
        """Return the commits of a revision, newest first."""
        found = [self.at(revision)]
        while (parent := found[-1].parent) is not None:
            found.append(self.commits[parent])
        return found

    def add(
        self, branch: str, title: str, files: Mapping[str, Blob], parent: Commit, oid: str = ""
    ) -> Commit:
        """Make a commit, of this id if one is given, and move the branch to it."""
        commit = _commit(title, files, parent.id, len(self.commits))
        commit = replace(commit, id=oid or commit.id)
        self.commits[commit.id] = commit
        self.branches[branch] = commit.id
        return commit

    def file(self, revision: str, path: str) -> Blob:
        """Return a file of a revision."""
        files = self.at(revision).files
        if path not in files:
            raise RefusalError(404, f"Entry not found: {path}", "EntryNotFound")
        return files[path]

    def tree(self, revision: str, folder: str, recursive: bool) -> list[dict[str, JSON]]:
        """List a folder as the Hub does, subfolders as entries of their own."""
        prefix = f"{folder}/" if folder else ""
        files = self.at(revision).files
        inside = {path: blob for path, blob in files.items() if path.startswith(prefix)}
        if not inside:
            raise RefusalError(404, f"{folder} does not exist", "EntryNotFound")
        found: dict[str, dict[str, JSON]] = {}
        for path, blob in sorted(inside.items()):
            names = path.removeprefix(prefix).split("/")
            for depth in range(1, len(names)):
                if depth == 1 or recursive:
                    parent = prefix + "/".join(names[:depth])
                    found[parent] = {
                        "type": "directory",
                        "oid": "0" * 40,
                        "size": 0,
                        "path": parent,
                    }
            if len(names) == 1 or recursive:
                found[path] = blob.entry(path)
        return list(found.values())

    def info(self, revision: str) -> dict[str, JSON]:
        """Return what the Hub says of a repository at a revision."""
        commit = self.at(revision)
        return {
            "_id": "0" * 24,
            "id": self.name,
            "author": self.name.split("/")[0],
            "sha": commit.id,
            "lastModified": commit.date,
            "createdAt": self.history("main")[-1].date,
            "private": self.private,
            "gated": False,
            "disabled": False,
            "tags": [],
            "downloads": 0,
            "likes": 0,
            "siblings": [{"rfilename": path} for path in sorted(commit.files)],
            "cardData": {},
        }
