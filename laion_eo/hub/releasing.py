"""Releasing: a dataset goes to a repository of the Hub, in one commit or not at all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import Field, model_validator

from laion_eo.config import Model
from laion_eo.errors import ConfigError, RunError
from laion_eo.hub.cards import CARD, CROISSANT, extend_section, load_from, merge_cards
from laion_eo.hub.client import NOT_DONE, TRANSIENT, connect, hub_errors, with_retries
from laion_eo.kinds import Release

FIGURES = "figures"


class ReleaseOptions(Model):
    """Where a release goes. There is no option for a token: it comes from the Hub's login.

    Attributes:
        repo: The dataset repository, ``ORG/NAME``; made if it is not there.
        tag: Name of the release, such as ``v1.0.0``; one that exists is never moved.
        private: Whether the repository is private. By default one that exists stays as it is,
            and a new one is private.
        pull_request: Propose the release instead of committing it; it cannot have a tag yet.
        default: Make this configuration the one that is loaded when none is named. The
            repository's first one is, until another is made so.
    """

    repo: str = Field(pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")
    tag: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][\w.-]*$")
    private: bool | None = None
    pull_request: bool = False
    default: bool = False

    @model_validator(mode="after")
    def _no_tag_yet(self) -> ReleaseOptions:
        if self.pull_request and self.tag:
            raise ValueError("a pull request cannot have a tag; tag the release once merged")
        return self


@dataclass(frozen=True)
class HubPlan:
    """What a release would do, or did, to the repository.

    Attributes:
        repo: The repository.
        parent: The commit that it builds on; empty for a repository that is not there yet.
        card: README.md, merged with what the repository says of other configurations.
        uploads: The other files by their path in the repository.
        deletions: Files of an older release of this configuration that go.
    """

    repo: str
    parent: str
    card: str
    uploads: dict[str, Path]
    deletions: list[str]


@dataclass(frozen=True)
class Published:
    """A release on the Hub.

    Attributes:
        commit: Its commit.
        url: Where to look at it: the commit, or the pull request.
        tag: Its tag, if it has one.
    """

    commit: str
    url: str
    tag: str | None = None


class Releaser:
    """Merges the card, uploads the files, commits once, tags.

    Args:
        options: The repository, and how the release is called there.
    """

    def __init__(self, options: ReleaseOptions) -> None:
        self.options = options

    def plan(self, release: Release) -> HubPlan:
        """Read the repository and say what a release would do; nothing is changed.

        Raises:
            ConfigError: The tag is taken, the repository is public where a private one was asked
                for (or the other way round), or its card is not ours.
            RunError: The Hub cannot be reached.
        """
        return with_retries(lambda: self._plan(connect(), release), f"{self.options.repo}: reading")

    def release(self, release: Release) -> Published:
        """Release the dataset.

        Raises:
            ConfigError: As :meth:`plan`, or the Hub refuses the token, the rights or the card.
            RunError: The Hub fails or cannot be reached; the repository is as it was, unless the
                message says that only the tag is missing.
        """
        api = connect()
        # A request whose answer was lost may have been carried out. Doing it again is harmless:
        # the next try builds on the new state. But a pull request would be opened twice.
        again = NOT_DONE if self.options.pull_request else TRANSIENT
        what = f"{self.options.repo}: releasing {release.config}"
        with_retries(lambda: self._make_repo(api), f"{self.options.repo}: making the repository")
        commit = with_retries(lambda: self._commit(api, self._plan(api, release)), what, again)
        url = commit.pr_url or commit.commit_url
        if self.options.tag:
            self._tag(api, commit.oid)
        return Published(commit.oid, url, self.options.tag)

    def _make_repo(self, api: Any) -> None:
        if not api.repo_exists(self.options.repo, repo_type="dataset"):
            private = self.options.private is not False
            api.create_repo(self.options.repo, repo_type="dataset", private=private, exist_ok=True)

    def _plan(self, api: Any, release: Release) -> HubPlan:
        from huggingface_hub.errors import RepositoryNotFoundError

        repo = self.options.repo
        try:
            info = api.repo_info(repo, repo_type="dataset", revision="main")
        except RepositoryNotFoundError:
            info = None
        old, there = "", set[str]()
        if info is not None:
            self._check(api, bool(info.private))
            there = {sibling.rfilename for sibling in info.siblings or []}
            if CARD in there:
                place = {"repo_type": "dataset", "revision": info.sha}
                old = Path(api.hf_hub_download(repo, CARD, **place)).read_text("utf-8")
        uploads = _uploads(release)
        ours = (f"{release.config}/", f"{FIGURES}/{release.config}/")
        stale = [path for path in sorted(there) if path.startswith(ours) and path not in uploads]
        card = load_from(_card(release, uploads), repo)
        try:
            merged = merge_cards(card, old, release.config, self.options.default)
        except ConfigError as error:
            raise ConfigError(f"{repo}: {error}.") from None
        return HubPlan(repo, info.sha if info else "", merged, uploads, stale)

    def _check(self, api: Any, private: bool) -> None:
        """Refuse to move a tag, or to publish into a repository of another visibility."""
        repo, tag = self.options.repo, self.options.tag
        if self.options.private not in (None, private):
            found, wanted = ("private", "public") if private else ("public", "private")
            raise ConfigError(
                f"{repo} is {found}, and {wanted} was asked for: change that on the Hub first."
            )
        if tag is not None:
            for ref in api.list_repo_refs(repo, repo_type="dataset").tags:
                if ref.name == tag:
                    raise ConfigError(
                        f"{repo} has a release {tag} already (commit {ref.target_commit}); "
                        "releases are never overwritten: choose another tag."
                    )

    def _commit(self, api: Any, plan: HubPlan) -> Any:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        operations: list[Any] = [CommitOperationAdd(CARD, plan.card.encode())]
        operations += [CommitOperationAdd(name, str(path)) for name, path in plan.uploads.items()]
        operations += [CommitOperationDelete(name) for name in plan.deletions]
        label = f" as {self.options.tag}" if self.options.tag else ""
        folders = {name.split("/")[0] for name in plan.uploads if "/" in name}
        configs = sorted(folders - {FIGURES})
        try:
            return api.create_commit(
                plan.repo,
                operations,
                commit_message=f"Release {', '.join(configs)}{label}",
                repo_type="dataset",
                parent_commit=plan.parent,
                create_pr=self.options.pull_request,
            )
        except ValueError as error:  # the Hub does not like the card's metadata
            if isinstance(error, hub_errors()):
                raise
            raise ConfigError(f"{plan.repo}: {' '.join(str(error).split())}") from None

    def _tag(self, api: Any, commit: str) -> None:
        repo, tag = self.options.repo, self.options.tag
        place = {"repo_type": "dataset", "revision": commit}

        def make() -> None:
            tags = api.list_repo_refs(repo, repo_type="dataset").tags
            if not any(ref.name == tag and ref.target_commit == commit for ref in tags):
                api.create_tag(repo, tag=tag, **place)

        try:
            with_retries(make, f"{repo}: tagging {commit} as {tag}", TRANSIENT - {409})
        except (ConfigError, RunError) as error:
            raise type(error)(
                f"{error} The files are committed; only the tag is missing."
            ) from error


def _uploads(release: Release) -> dict[str, Path]:
    """Return the files to upload, but for the card, by their path in the repository."""
    files = sorted(path for path in (release.folder / release.config).rglob("*") if path.is_file())
    files += release.folder.glob(CROISSANT.format(config=release.config))
    uploads = {path.relative_to(release.folder).as_posix(): path for path in files}
    return uploads | {
        f"{FIGURES}/{release.config}/{path.name}": path for path in sorted(release.figures)
    }


def _card(release: Release, uploads: dict[str, Path]) -> str:
    card = (release.folder / CARD).read_text("utf-8")
    figures = [name for name in uploads if name.startswith(f"{FIGURES}/")]
    if not figures:
        return card
    shown = (f"![{_plain(Path(name).stem)}]({quote(name)})" for name in figures)
    return extend_section(card, release.config, "### Figures\n\n" + "\n\n".join(shown))


def _plain(text: str) -> str:
    """Return text that Markdown takes for nothing else."""
    return re.sub(r"[^\w\s]", r"\\\g<0>", text)
