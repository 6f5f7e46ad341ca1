"""Puts a release into the local cache of datasets: the Python face of ``laion-eo pull``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from laion_eo.errors import ConfigError, DataError
from laion_eo.hub import connect, hub_errors, patiently


@dataclass(frozen=True)
class Pulled:
    """A release in the cache.

    Attributes:
        config: The configuration.
        rows: Its rows.
        commit: The commit of the repository that it came from.
        folder: Where it lies.
    """

    config: str
    rows: int
    commit: str
    folder: Path


def pull(config: str, repo: str | None = None, revision: str = "main") -> Pulled:
    """Fetch a configuration once, so that ``load_dataset("laion_eo", config)`` works anywhere.

    The rows are checked (SHA-256 of the files; for the published dataset their number, too) and
    stored in the cache of datasets under the bare name, from where they load offline as well.

    Args:
        config: ``ver-0`` or ``ver-1``, or what the repository calls its own.
        repo: Dataset repository; by default the one that the paper's authors published.
        revision: Tag, branch or commit.

    Raises:
        ConfigError: There is no such repository, revision or configuration.
        DataError: The files are not what they should be.
        RunError: The Hub cannot be reached.
    """
    from laion_eo.dataset.builder import PUBLISHED_REPO, LaionEO, LaionEOConfig

    repo = repo or PUBLISHED_REPO
    what = f"{repo} at {revision}"
    api = connect()
    info = patiently(lambda: api.repo_info(repo, repo_type="dataset", revision=revision), what)
    folders = sorted({s.rfilename.split("/")[0] for s in info.siblings if "/" in s.rfilename})
    if config not in folders:
        raise ConfigError(
            f"{what} has no configuration {config!r}. There are: {', '.join(folders) or 'none'}."
        )
    # The cache knows it by its plain name only if that is one of the builder's own.
    own = LaionEOConfig(name=config, version=LaionEO.VERSION, repo=repo, tag=info.sha)
    pinned = type("Pulled", (LaionEO,), {"BUILDER_CONFIGS": [own]})
    builder = pinned(config_name=config, hash=info.sha)
    _prepare(builder, what)
    rows = builder.info.splits["train"].num_examples
    return Pulled(config, rows, info.sha, Path(builder.cache_dir))


def _prepare(builder: Any, what: str) -> None:
    from datasets.exceptions import DatasetGenerationError

    try:
        patiently(builder.download_and_prepare, what)
    except DatasetGenerationError as error:
        raise DataError(f"{what}: {error.__cause__ or error}") from error
    except FileNotFoundError as error:
        raise ConfigError(str(error)) from error
    except ValueError as error:
        if isinstance(error, hub_errors()):
            raise
        raise DataError(str(error)) from error
