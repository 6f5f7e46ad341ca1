"""The loopback Hub's commits: what their operations make of the files."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from fakes.hub_card import card_faults
from fakes.hub_store import Blob, Commit, RefusalError, Repo
from laion_eo.types import JSON

GIT_BYTES = 10 * 2**20
"""Larger files must go to the large-file store."""


def is_large(path: str, size: int) -> bool:
    """Tell whether a file belongs into the large-file store."""
    return path.endswith((".parquet", ".csv")) or size > GIT_BYTES


def changed_files(repo: Repo, head: Commit, lines: Sequence[Mapping[str, JSON]]) -> dict[str, Blob]:
    """Apply the operations of a commit."""
    files = dict(head.files)
    seen: set[tuple[str, str]] = set()
    for line in lines:
        key, value = line["key"], line["value"]
        path = value["path"]
        if (key, path) in seen or path.startswith("/") or ".." in path.split("/"):
            raise RefusalError(400, f"a bad or repeated path: {path!r}")
        seen.add((key, path))
        if key in ("deletedFile", "deletedFolder"):
            gone = {p for p in files if p == path or p.startswith(path.rstrip("/") + "/")}
            if not gone:
                raise RefusalError(404, "A file with this name doesn't exist", "EntryNotFound")
            files = {p: blob for p, blob in files.items() if p not in gone}
        else:
            files[path] = _new_blob(repo, key, value)
    if not lines:
        raise RefusalError(400, "a commit of nothing")
    return files


def _new_blob(repo: Repo, key: str, value: Mapping[str, JSON]) -> Blob:
    if key == "file" and value["encoding"] == "base64":
        blob = Blob(base64.b64decode(value["content"], validate=True))
        if is_large(value["path"], len(blob.content)):
            raise RefusalError(400, f"{value['path']} belongs into the large-file store")
        if value["path"] == "README.md" and (faults := card_faults(blob.content.decode())):
            raise RefusalError(400, f"README.md: {'; '.join(faults)}")
        return blob
    if key == "lfsFile" and value["algo"] == "sha256":
        content = repo.stored.get(value["oid"])
        if content is None or value.get("size", len(content)) != len(content):
            raise RefusalError(400, f"{value['path']}: no such object was uploaded")
        return Blob(content, lfs=True)
    raise RefusalError(400, f"unknown operation {key!r}")
