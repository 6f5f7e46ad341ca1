"""Releasing: a dataset goes to a repository of the Hub, in one commit.

:mod:`laion_eo.hub.publishable` and :mod:`laion_eo.hub.unpublishable` guard it: before the Hub is
asked anything, they check the files and the rows, and what they let through is what is uploaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from pydantic import Field, model_validator

from laion_eo.config import NO_LICENSE, Model
from laion_eo.errors import ConfigError, RunError
from laion_eo.file_record import FileRecord, record_file
from laion_eo.hub.cards import CARD, extend_section, load_from, merge_cards, split_card
from laion_eo.hub.client import NOT_DONE, TRANSIENT, connect, hub_errors, with_retries
from laion_eo.hub.history import note_release
from laion_eo.hub.publishable import checked_copy
from laion_eo.hub.repository import Repository, RepoState
from laion_eo.hub.unpublishable import Dropped, guard_rows
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
        drop_unpublishable: Leave out the rows whose URL may not be published: no public http(s)
            address, or with a password or a token. Without it, such a row stops the release. The
            card says how many were left out, and ``releases.jsonl`` in the run directory which.
    """

    repo: str = Field(pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")
    tag: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][\w.-]*$")
    private: bool | None = None
    pull_request: bool = False
    default: bool = False
    drop_unpublishable: bool = False

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
        dropped: How many rows are left out, because their URL may not be published.
        released: Address of the same release, if it is on the Hub already; nothing changes then.
    """

    repo: str
    parent: str
    card: str
    uploads: dict[str, FileRecord]
    deletions: list[str]
    dropped: int = 0
    released: str | None = None


@dataclass(frozen=True)
class Published:
    """A release on the Hub.

    Attributes:
        commit: Hash of its commit.
        url: Address of the commit, or of the pull request.
        tag: Its tag, if it has one.
        dropped: How many rows were left out, because their URL may not be published.
        already: Whether the Hub had exactly this before, so that nothing was changed.
    """

    commit: str
    url: str
    tag: str | None = None
    dropped: int = 0
    already: bool = False


@dataclass(frozen=True)
class _Ready:
    """A release that passed the guard: the copy that is uploaded.

    Attributes:
        config: The configuration.
        card: Its card, alone.
        paths: The other files, by their path in the repository.
        records: What they are.
        dropped: The rows that are left out.
    """

    config: str
    card: str
    paths: dict[str, Path]
    records: dict[str, FileRecord]
    dropped: Dropped = field(default_factory=Dropped)


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
            ConfigError: The tag is that of other files, the repository is public where a private
                one was asked for (or the other way round), or its card was not written by
                laion-eo.
            DataError: A file or a row may not be published; the Hub has been asked nothing.
            RunError: The Hub cannot be reached.
        """
        with self._guarded(release) as ready:
            what = f"{self.options.repo}: reading"
            return with_retries(lambda: self._dry_run(connect(), ready), what)

    def release(self, release: Release) -> Published:
        """Release the dataset; if the Hub has exactly this release already, that is a success.

        Raises:
            ConfigError: As :meth:`plan`, or the Hub refuses the token, the rights or the card.
            DataError: A file or a row may not be published; the Hub has been asked nothing.
            RunError: The Hub fails or cannot be reached. The repository is unchanged, unless the
                message says that only the tag is missing.
        """
        with self._guarded(release) as ready:
            done = self._release(connect(), ready)
            done = replace(done, dropped=ready.dropped.rows)
        if ready.dropped.rows:
            rows = sum(record.rows or 0 for record in ready.records.values())
            about = {"repo": self.options.repo, "config": ready.config, "rows": rows}
            about |= {"tag": done.tag, "commit": done.commit, "url": done.url}
            note_release(release.folder.parent, ready.dropped, about)
        return done

    @contextmanager
    def _guarded(self, release: Release) -> Iterator[_Ready]:
        """Copy and check what is released; the copy is there until the block ends."""
        with checked_copy(release) as copy:
            _check_license(copy)
            thinned, dropped = guard_rows(copy, self.options.drop_unpublishable)
            paths = {name: path for name, path in thinned.paths().items() if name != CARD}
            records = {record.path: record for record in thinned.files if record.path != CARD}
            for path in sorted(thinned.figures):
                name = f"{FIGURES}/{thinned.config}/{path.name}"
                paths[name], records[name] = path, record_file(path.parent, path)
            yield _Ready(thinned.config, _card(thinned, list(paths)), paths, records, dropped)

    def _dry_run(self, api: HfApi, ready: _Ready) -> HubPlan:
        repository = Repository(api, self.options.repo)
        found = self._found(repository, ready)
        state = repository.state(found.commit if found else "main")
        plan = self._plan(state, ready)
        if found is None and not self.options.tag and self._is_there(state, ready):
            return replace(plan, released=repository.commit_url(state.commit))
        return replace(plan, released=found.url if found else None)

    def _release(self, api: HfApi, ready: _Ready) -> Published:
        # A request whose response was lost may have been carried out. Repeating a commit is
        # harmless, because the retry builds on the new state; a pull request would be opened twice.
        again = NOT_DONE if self.options.pull_request else TRANSIENT
        repo, tag = self.options.repo, self.options.tag
        what = f"{repo}: releasing {ready.config}"
        with_retries(lambda: self._make_repo(api), f"{repo}: making the repository")
        repository = Repository(api, repo)
        if found := with_retries(lambda: self._found(repository, ready), what):
            return found
        done = with_retries(lambda: self._commit(repository, ready), what, again)
        if tag:
            self._tag(api, tag, done.commit)
        return replace(done, tag=tag, already=done.already and not tag)

    def _make_repo(self, api: HfApi) -> None:
        if not api.repo_exists(self.options.repo, repo_type="dataset"):
            private = self.options.private is not False
            api.create_repo(self.options.repo, repo_type="dataset", private=private, exist_ok=True)

    def _found(self, repository: Repository, ready: _Ready) -> Published | None:
        """Return the release if an earlier call, which was killed or ended well, has made it.

        Raises:
            ConfigError: The tag is that of other files.
        """
        tag = self.options.tag
        if tag and (commit := repository.tags().get(tag)):
            if not self._is_there(repository.state(commit), ready):
                raise ConfigError(
                    f"{self.options.repo} has a release {tag} already (commit {commit}) with other "
                    "files; releases are never overwritten: choose another tag."
                )
            return Published(commit, repository.commit_url(commit), tag, already=True)
        if self.options.pull_request:
            for number in repository.open_pull_requests(self._title(ready)):
                state = repository.state(f"refs/pr/{number}")
                if self._is_there(state, ready):
                    url = repository.pull_request_url(number)
                    return Published(state.commit, url, already=True)
        return None

    def _is_there(self, state: RepoState, ready: _Ready) -> bool:
        """Tell whether the repository holds exactly what a release would leave there."""
        plan = self._plan(state, ready)
        same = all(state.has(n, path, ready.records[n].sha256) for n, path in ready.paths.items())
        return same and not plan.deletions and plan.card == state.card

    def _plan(self, state: RepoState, ready: _Ready) -> HubPlan:
        repo, wanted = self.options.repo, self.options.private
        if state.commit and wanted not in (None, state.private):
            found, asked = ("private", "public") if state.private else ("public", "private")
            raise ConfigError(
                f"{repo} is {found}, and {asked} was asked for: change that on the Hub first."
            )
        ours = (f"{ready.config}/", f"{FIGURES}/{ready.config}/")
        stale = [path for path in state.paths if path.startswith(ours) and path not in ready.paths]
        card = load_from(ready.card, repo)
        try:
            merged = merge_cards(card, state.card, ready.config, self.options.default)
        except ConfigError as error:
            raise ConfigError(f"{repo}: {error}.") from None
        rows = ready.dropped.rows
        return HubPlan(repo, state.commit, merged, ready.records, stale, rows)

    def _title(self, ready: _Ready) -> str:
        label = f" as {self.options.tag}" if self.options.tag else ""
        return f"Release {ready.config}{label}"

    def _commit(self, repository: Repository, ready: _Ready) -> Published:
        """Commit the files, or find that the last commit holds them."""
        state = repository.state()
        if self._is_there(state, ready):
            return Published(state.commit, repository.commit_url(state.commit), already=True)
        commit = self._create(repository.api, self._plan(state, ready), ready)
        return Published(commit.oid, commit.pr_url or commit.commit_url)

    def _create(self, api: HfApi, plan: HubPlan, ready: _Ready) -> CommitInfo:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            CommitOperationAdd(CARD, plan.card.encode())
        ]
        operations += [CommitOperationAdd(name, str(path)) for name, path in ready.paths.items()]
        operations += [CommitOperationDelete(name) for name in plan.deletions]
        try:
            return api.create_commit(
                plan.repo,
                operations,
                commit_message=self._title(ready),
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
            if Repository(api, repo).tags().get(tag) != commit:
                api.create_tag(repo, tag=tag, repo_type="dataset", revision=commit)

        try:
            with_retries(make, f"{repo}: tagging {commit} as {tag}", TRANSIENT - {409})
        except (ConfigError, RunError) as error:
            raise type(error)(
                f"{error} The files are committed; only the tag is missing."
            ) from error


def _check_license(release: Release) -> None:
    """Refuse a dataset whose licence nobody chose.

    Raises:
        ConfigError: It is none.
    """
    head, _ = split_card((release.folder / CARD).read_text("utf-8"))
    if head.license == NO_LICENSE:
        raise ConfigError(
            f"the licence of {release.config} is not chosen: set dataset.license in the run file "
            "(cc-by-4.0, say; the images keep their own), and run it again, which makes only the "
            "card anew."
        )


def _card(release: Release, uploads: list[str]) -> str:
    card = (release.folder / CARD).read_text("utf-8")
    figures = [name for name in uploads if name.startswith(f"{FIGURES}/")]
    if not figures:
        return card
    shown = (f"![{_plain(Path(name).stem)}]({quote(name)})" for name in figures)
    return extend_section(card, release.config, "### Figures\n\n" + "\n\n".join(shown))


def _plain(text: str) -> str:
    """Return text with the characters escaped that Markdown could take for markup."""
    return re.sub(r"[^\w\s]", r"\\\g<0>", text)
