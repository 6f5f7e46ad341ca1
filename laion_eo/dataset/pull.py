"""Stores a release in the local cache of datasets: the Python call behind ``laion-eo pull``."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from laion_eo.dataset.checkout import keep
from laion_eo.errors import ConfigError, DataError
from laion_eo.hub.cards import BARE_NAME
from laion_eo.hub.client import connect, hub_errors, with_retries

if TYPE_CHECKING:
    from laion_eo.dataset.builder import LaionEOConfig

T = TypeVar("T")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Pulled:
    """A release in the cache.

    Attributes:
        config: The configuration.
        rows: How many rows it has.
        commit: The commit of the repository that it was fetched from.
        folder: Its folder in the cache.
        kept: The folder of the checkout that keeps its files, if there is one.
    """

    config: str
    rows: int
    commit: str
    folder: Path
    kept: Path | None = None


def pull(
    config: str,
    repo: str | None = None,
    revision: str | None = None,
    checkout: Path | None = None,
) -> Pulled:
    """Fetch a configuration once, so that ``load_dataset("laion_eo", config)`` works anywhere.

    The rows are checked (the SHA-256 of the files; for the published dataset, also the number of
    rows) and stored in the cache of datasets under the bare name, from where they load offline.

    Args:
        config: ``ver-0`` or ``ver-1``, or the name of a configuration of ``repo``.
        repo: Dataset repository; by default the one that the paper's authors published.
        revision: Tag, branch or commit; by default ``main``, and for the published repository the
            commit that published ver-0 and ver-1.
        checkout: A checkout of laion-eo in which the published files are kept, too: there, a folder
            has the bare name and hides the cache.

    Raises:
        ConfigError: There is no such repository, revision or configuration.
        DataError: The files are damaged or have other columns.
        RunError: The Hub cannot be reached.
    """
    from datasets import DownloadManager

    from laion_eo.dataset.builder import PUBLISHED_REPO, LaionEOConfig

    place = LaionEOConfig(name=config, repo=repo or PUBLISHED_REPO, tag=revision)
    what = f"{place.repo} at {place.revision}"
    commit = _commit(place, what)
    builder = pinned(config, place.repo, commit)
    _checked(builder.download_and_prepare, what)
    kept = None
    if checkout is not None and place.repo == PUBLISHED_REPO:
        fetched = _checked(lambda: builder.fetch(DownloadManager(BARE_NAME)), what)
        files = {url.rpartition("/")[2]: Path(path) for url, path in fetched.items()}
        kept = keep(checkout, config, files)
    rows = builder.info.splits["train"].num_examples
    return Pulled(config, rows, commit, Path(builder.cache_dir), kept)


def pinned(config: str, repo: str, commit: str, cache_dir: str | None = None) -> Any:
    """Return the builder whose rows the cache stores under the bare name and the commit."""
    from laion_eo.dataset.builder import LaionEO, LaionEOConfig

    # The folder in the cache is named as the configuration only if the builder declares it.
    own = LaionEOConfig(name=config, version=LaionEO.VERSION, repo=repo, tag=commit)
    builder = type("Pulled", (LaionEO,), {"BUILDER_CONFIGS": [own]})
    return builder(config_name=config, hash=commit, cache_dir=cache_dir)


def newest_pulled(config: str, cache_dir: str | None = None) -> str | None:
    """Return the commit of a configuration that was pulled last; ``None`` if none was."""
    from datasets import config as settings

    from laion_eo.dataset.builder import LaionEO

    home = Path(cache_dir or settings.HF_DATASETS_CACHE).expanduser()
    found = [
        folder
        for folder in (home / BARE_NAME / config / str(LaionEO.VERSION)).glob("*")
        if _COMMIT.fullmatch(folder.name)
    ]
    return max(found, key=lambda folder: folder.stat().st_mtime).name if found else None


def _commit(place: LaionEOConfig, what: str) -> str:
    """Return the commit of a revision, after checking that it has the configuration."""
    api = connect()
    info = with_retries(
        lambda: api.repo_info(place.repo, repo_type="dataset", revision=place.revision), what
    )
    folders = sorted({s.rfilename.split("/")[0] for s in info.siblings if "/" in s.rfilename})
    if place.name not in folders:
        raise ConfigError(
            f"{what} has no configuration {place.name!r}. Its configurations: "
            f"{', '.join(folders) or 'none'}."
        )
    return str(info.sha)


def _checked(call: Callable[[], T], what: str) -> T:
    """Fetch files from the Hub; a file that is wrong is a fault of the data."""
    from datasets.exceptions import DatasetGenerationError

    try:
        return with_retries(call, what)
    except DatasetGenerationError as error:
        raise DataError(f"{what}: {error.__cause__ or error}") from error
    except FileNotFoundError as error:
        raise ConfigError(str(error)) from error
    except ValueError as error:
        if isinstance(error, hub_errors()):
            raise
        raise DataError(str(error)) from error
