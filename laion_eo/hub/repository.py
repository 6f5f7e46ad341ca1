"""What a repository of the Hub holds: files by their hashes, tags, pull requests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laion_eo.errors import ConfigError, RunError
from laion_eo.fingerprint import file_sha256
from laion_eo.hub.cards import CARD

if TYPE_CHECKING:
    from huggingface_hub import HfApi


@dataclass(frozen=True)
class RepoState:
    """A repository at one commit.

    Attributes:
        commit: The commit; empty if there is no such repository.
        private: Whether it is private.
        card: Its README.md; empty if there is none.
        entries: What the Hub says of each file, by path.
    """

    commit: str = ""
    private: bool = False
    card: str = ""
    entries: dict[str, Any] = field(default_factory=dict)

    @property
    def paths(self) -> list[str]:
        """The files, sorted."""
        return sorted(self.entries)

    def has(self, name: str, path: Path, sha256: str) -> bool:
        """Tell whether a file of the repository has the bytes of a local one of this hash."""
        return name in self.entries and is_content(self.entries[name], path, sha256)


def is_content(entry: Any, path: Path, sha256: str | None = None) -> bool:
    """Tell whether a local file has the bytes that the Hub's listing describes.

    Args:
        entry: A file of the listing; the Hub knows large ones by their SHA-256, others by git's
            hash.
        path: The local file.
        sha256: Its hash, if it is known.
    """
    if path.stat().st_size != entry.size:
        return False
    if entry.lfs is not None:
        return bool((sha256 or file_sha256(path)) == entry.lfs.sha256)
    return bool(git_hash(path.read_bytes()) == entry.blob_id)


def git_hash(content: bytes) -> str:
    """Return the hash by which git knows a file of this content."""
    head = f"blob {len(content)}\0".encode()
    return hashlib.sha1(head + content, usedforsecurity=False).hexdigest()


class Repository:
    """A dataset repository; each call asks the Hub anew.

    Args:
        api: The Hub's client.
        name: ``ORG/NAME``.
    """

    def __init__(self, api: HfApi, name: str) -> None:
        self.api = api
        self.name = name

    @property
    def _url(self) -> str:
        return f"{self.api.endpoint}/datasets/{self.name}"

    def commit_url(self, commit: str) -> str:
        """Return the address of a commit."""
        return f"{self._url}/commit/{commit}"

    def pull_request_url(self, number: int) -> str:
        """Return the address of a pull request."""
        return f"{self._url}/discussions/{number}"

    def state(self, revision: str = "main") -> RepoState:
        """Return what the repository holds at a revision.

        Raises:
            ConfigError: Its card is not text.
            RunError: The Hub's answer is damaged.
        """
        from huggingface_hub import RepoFile
        from huggingface_hub.errors import RepositoryNotFoundError

        try:
            info = self.api.dataset_info(self.name, revision=revision)
        except RepositoryNotFoundError:
            return RepoState()
        tree = self.api.list_repo_tree(
            self.name, recursive=True, revision=info.sha, repo_type="dataset"
        )
        entries = {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
        commit = str(info.sha)
        card = self._card(commit, entries[CARD]) if CARD in entries else ""
        return RepoState(commit, bool(info.private), card, entries)

    def _card(self, commit: str, entry: Any) -> str:
        """Return README.md; a copy in the cache that a loss of power damaged is fetched again."""
        for again in (False, True):
            path = self.api.hf_hub_download(
                self.name, CARD, repo_type="dataset", revision=commit, force_download=again
            )
            if is_content(entry, Path(path)):
                try:
                    return Path(path).read_text("utf-8")
                except UnicodeDecodeError:
                    raise ConfigError(f"{self.name}: its {CARD} is not UTF-8 text.") from None
        raise RunError(f"{self.name}: its {CARD} came damaged, twice; run the same command again.")

    def tags(self) -> dict[str, str]:
        """Return the tags with their commits; none if there is no such repository."""
        from huggingface_hub.errors import RepositoryNotFoundError

        try:
            refs = self.api.list_repo_refs(self.name, repo_type="dataset")
        except RepositoryNotFoundError:
            return {}
        return {ref.name: ref.target_commit for ref in refs.tags}

    def open_pull_requests(self, title: str) -> Iterator[int]:
        """Yield the numbers of the open pull requests with a title."""
        from huggingface_hub.errors import RepositoryNotFoundError

        try:
            for discussion in self.api.get_repo_discussions(
                self.name,
                repo_type="dataset",
                discussion_type="pull_request",
                discussion_status="open",
            ):
                if discussion.is_pull_request and discussion.title == title:
                    yield discussion.num
        except RepositoryNotFoundError:
            return
