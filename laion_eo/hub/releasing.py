"""Releasing: a dataset goes to a repository of the Hub, in one commit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from pydantic import Field, model_validator

from laion_eo.config import Model
from laion_eo.errors import ConfigError, RunError
from laion_eo.hub.cards import CARD, CROISSANT, extend_section, load_from, merge_cards
from laion_eo.hub.client import NOT_DONE, TRANSIENT, connect, hub_errors, with_retries
from laion_eo.kinds import Release

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo, HfApi

FIGURES = "figures"


class ReleaseOptions(Model):
    """Where a release goes. There is no option for a token: it comes from the Hub's login.

    Attributes:
        repo: The dataset repository, ``ORG/NAME``; created if it does not exist.
        tag: Tag of the release, such as ``v1.0.0``; an existing tag is never moved.
        private: Whether the repository is private. By default an existing repository stays as it
            is, and a new one is private.
        pull_request: Open a pull request instead of committing to ``main``; it cannot have a tag.
        default: Make this configuration the default, which is loaded when none is named. The first
            configuration of a repository is the default until another one is made so.
    """

    repo: str = Field(pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")
    tag: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][\w.-]*$")
    private: bool | None = None
    pull_request: bool = False
    default: bool = False

    @model_validator(mode="after")
    def _pull_request_has_no_tag(self) -> ReleaseOptions:
        if self.pull_request and self.tag:
            raise ValueError("a pull request cannot have a tag; tag the release once merged")
        return self


@dataclass(frozen=True)
class HubPlan:
    """What a release changes in the repository.

    Attributes:
        repo: The repository.
        parent: The commit that it builds on; empty if the repository does not exist yet.
        card: README.md, merged with what the repository says of other configurations.
        uploads: The other files by their path in the repository.
        deletions: Files of an older release of this configuration that are deleted.
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
        commit: Hash of its commit.
        url: Address of the commit, or of the pull request.
        tag: Its tag, if it has one.
    """

    commit: str
    url: str
    tag: str | None = None


class Releaser:
    """Merges the card, uploads the files, commits them together and tags the commit.

    Args:
        options: The repository and the name of the release.
    """

    def __init__(self, options: ReleaseOptions) -> None:
        self.options = options

    def plan(self, release: Release) -> HubPlan:
        """Read the repository and return what a release would change; nothing is changed.

        Raises:
            ConfigError: The tag exists, the repository is public where a private one was asked for
                (or the other way round), or its card was not written by laion-eo.
            RunError: The Hub cannot be reached.
        """
        return with_retries(lambda: self._plan(connect(), release), f"{self.options.repo}: reading")

    def release(self, release: Release) -> Published:
        """Release the dataset.

        Raises:
            ConfigError: As :meth:`plan`, or the Hub refuses the token, the rights or the card.
            RunError: The Hub fails or cannot be reached. The repository is unchanged, unless the
                message says that only the tag is missing.
        """
        api = connect()
        # A request whose response was lost may have been carried out. Repeating a commit is
        # harmless, because the retry builds on the new state; a pull request would be opened twice.
        again = NOT_DONE if self.options.pull_request else TRANSIENT
        what = f"{self.options.repo}: releasing {release.config}"
        with_retries(lambda: self._make_repo(api), f"{self.options.repo}: making the repository")
        commit = with_retries(lambda: self._commit(api, self._plan(api, release)), what, again)
        url = commit.pr_url or commit.commit_url
        if self.options.tag:
            self._tag(api, self.options.tag, commit.oid)
        return Published(commit.oid, url, self.options.tag)

    def _make_repo(self, api: HfApi) -> None:
        if not api.repo_exists(self.options.repo, repo_type="dataset"):
            private = self.options.private is not False
            api.create_repo(self.options.repo, repo_type="dataset", private=private, exist_ok=True)

    def _plan(self, api: HfApi, release: Release) -> HubPlan:
        from huggingface_hub.errors import RepositoryNotFoundError

        repo = self.options.repo
        try:
            info = api.dataset_info(repo, revision="main")
        except RepositoryNotFoundError:
            info = None
        old, existing = "", set[str]()
        if info is not None:
            self._check(api, bool(info.private))
            existing = {sibling.rfilename for sibling in info.siblings or []}
            if CARD in existing:
                path = api.hf_hub_download(repo, CARD, repo_type="dataset", revision=info.sha)
                old = Path(path).read_text("utf-8")
        uploads = _uploads(release)
        ours = (f"{release.config}/", f"{FIGURES}/{release.config}/")
        stale = [path for path in sorted(existing) if path.startswith(ours) and path not in uploads]
        card = load_from(_card(release, uploads), repo)
        try:
            merged = merge_cards(card, old, release.config, self.options.default)
        except ConfigError as error:
            raise ConfigError(f"{repo}: {error}.") from None
        return HubPlan(repo, (info.sha if info else None) or "", merged, uploads, stale)

    def _check(self, api: HfApi, private: bool) -> None:
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

    def _commit(self, api: HfApi, plan: HubPlan) -> CommitInfo:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            CommitOperationAdd(CARD, plan.card.encode())
        ]
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
        except ValueError as error:  # the Hub refuses the card's metadata
            if isinstance(error, hub_errors()):
                raise
            raise ConfigError(f"{plan.repo}: {' '.join(str(error).split())}") from None

    def _tag(self, api: HfApi, tag: str, commit: str) -> None:
        repo = self.options.repo

        def make() -> None:
            tags = api.list_repo_refs(repo, repo_type="dataset").tags
            if not any(ref.name == tag and ref.target_commit == commit for ref in tags):
                api.create_tag(repo, tag=tag, repo_type="dataset", revision=commit)

        try:
            with_retries(make, f"{repo}: tagging {commit} as {tag}", TRANSIENT - {409})
        except (ConfigError, RunError) as error:
            raise type(error)(
                f"{error} The files are committed; only the tag is missing."
            ) from error


def _uploads(release: Release) -> dict[str, Path]:
    """Return the files to upload except the card, by their path in the repository."""
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
    """Return text with the characters escaped that Markdown could take for markup."""
    return re.sub(r"[^\w\s]", r"\\\g<0>", text)
