"""Stores a release in the local cache of datasets: the Python call behind ``laion-eo pull``."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from laion_eo.dataset.checkout import keep
from laion_eo.errors import ConfigError, DataError
from laion_eo.file_record import FileRecord, fault_of, record_file
from laion_eo.files import sync_file, sync_folder, write_atomically
from laion_eo.hub.cards import BARE_NAME
from laion_eo.hub.client import connect, hub_errors, with_retries

if TYPE_CHECKING:
    from laion_eo.dataset.builder import LaionEOConfig

logger = logging.getLogger("laion_eo")

T = TypeVar("T")
RECORDS = "laion_eo.json"
"""Beside the rows in the cache: what their files were when they were pulled."""
_COMMIT = re.compile(r"[0-9a-f]{40}")


class _Records(BaseModel):
    """The content of :data:`RECORDS`."""

    model_config = ConfigDict(frozen=True)

    files: tuple[FileRecord, ...] = Field(min_length=1)


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

    The rows are checked (the hashes of the files; for the published dataset, also the number of
    rows) and stored in the cache of datasets under the bare name, from where they load offline.
    What a killed process or a loss of power left damaged there, or in the Hub's own cache, is
    noticed and fetched again.

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
    from laion_eo.dataset.builder import PUBLISHED_REPO, LaionEOConfig

    place = LaionEOConfig(name=config, repo=repo or PUBLISHED_REPO, tag=revision)
    what = f"{place.repo} at {place.revision}"
    commit = _commit(place, what)
    _sweep(_home() / BARE_NAME / config / _version() / commit)
    builder = pinned(config, place.repo, commit)
    _checked(partial(_prepare, builder), what)
    _vouch(Path(builder.cache_dir))
    kept = None
    if checkout is not None and place.repo == PUBLISHED_REPO:
        fetched = _checked(partial(_fetch, builder), what)
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
    found = [
        folder
        for folder in (_home(cache_dir) / BARE_NAME / config / _version()).glob("*")
        if _COMMIT.fullmatch(folder.name)
    ]
    return max(found, key=lambda folder: folder.stat().st_mtime).name if found else None


def _home(cache_dir: str | None = None) -> Path:
    """Return the cache of datasets."""
    from datasets import config as settings

    return Path(cache_dir or settings.HF_DATASETS_CACHE).expanduser()


def _version() -> str:
    from laion_eo.dataset.builder import LaionEO

    return str(LaionEO.VERSION)


def _sweep(folder: Path) -> None:
    """Remove the rows of an earlier pull, unless they are as that pull has left them.

    datasets itself takes a folder for complete once it is there, whatever a loss of power has made
    of its files.
    """
    if not folder.exists():
        return
    try:
        records = _Records.model_validate_json((folder / RECORDS).read_bytes()).files
    except (OSError, ValueError):
        records = ()
    faults = [(r.path, fault_of(folder, r, thorough=True)) for r in records]
    harmed = [f"{folder / path}: {fault}" for path, fault in faults if fault]
    if harmed or not records:
        logger.warning("%s; pulled again", [*harmed, f"{folder}: nothing vouches for it"][0])
        shutil.rmtree(folder)


def _vouch(folder: Path) -> None:
    """Wait until the rows are on the disk, and record what their files are."""
    if (folder / RECORDS).exists():
        return
    files = sorted(path for path in folder.iterdir() if path.is_file())
    for path in files:
        sync_file(path)
    # Its parents are the version, the configuration, the bare name and the cache.
    for entries in (folder, *folder.parents[:4]):
        sync_folder(entries)
    records = _Records(files=tuple(record_file(folder, path) for path in files))
    write_atomically(folder / RECORDS, records.model_dump_json(indent=1).encode())


def _prepare(builder: Any, force: bool) -> None:
    builder.download_and_prepare(download_mode="force_redownload" if force else None)


def _fetch(builder: Any, force: bool) -> dict[str, str]:
    from datasets import DownloadConfig, DownloadManager

    config = DownloadConfig(force_download=force)
    files: dict[str, str] = builder.fetch(DownloadManager(BARE_NAME, download_config=config))
    return files


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


def _checked(call: Callable[[bool], T], what: str, force: bool = False) -> T:
    """Fetch files from the Hub; a file that is wrong is a fault of the data.

    Args:
        call: Fetches them; is told whether to fetch what a cache has, too.
        what: What is fetched, for messages.
        force: What it is told; a damaged copy in the cache is fetched again.
    """
    from datasets.exceptions import DatasetGenerationError

    from laion_eo.dataset.builder import DamagedFileError

    try:
        return with_retries(lambda: call(force), what)
    except DatasetGenerationError as error:
        raise DataError(f"{what}: {error.__cause__ or error}") from error
    except FileNotFoundError as error:
        raise ConfigError(str(error)) from error
    except ValueError as error:
        if isinstance(error, hub_errors()):
            raise
        if isinstance(error, DamagedFileError) and not force:
            logger.warning("%s: a copy in the cache is damaged; fetched again", what)
            return _checked(call, what, force=True)
        raise DataError(str(error)) from error
