"""Releases a finished run to the Hub: the Python call behind ``laion-eo release``."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from laion_eo.config import validate
from laion_eo.errors import ConfigError, DataError
from laion_eo.hub.cards import CARD
from laion_eo.hub.releasing import HubPlan, Published, ReleaseOptions, Releaser
from laion_eo.kinds import Release
from laion_eo.schema import PUBLISHED
from laion_eo.types import JSON

FIGURE_ENDINGS = (".png", ".svg", ".jpg", ".webp")


def release(
    run: str | Path,
    repo: str,
    config: str | None = None,
    *,
    dry_run: bool = False,
    **options: JSON,
) -> Published | HubPlan:
    """Release the dataset of a run to a dataset repository of the Hub, in one commit.

    Args:
        run: The run directory.
        repo: ``ORG/NAME``; created as a private one if it does not exist.
        config: Name of the datasets configuration; a run with another one is refused.
        dry_run: Only return what would be changed.
        options: ``tag``, ``private``, ``pull_request``, ``default``: those of
            :class:`laion_eo.hub.releasing.ReleaseOptions`.

    Returns:
        The release; for a dry run, the card and the lists of files.

    Raises:
        ConfigError: The run has no such dataset, or the Hub refuses.
        DataError: The run's dataset is damaged.
        RunError: The Hub fails or cannot be reached.
    """
    ready = find_release(Path(run), config)
    releaser = Releaser(validate(ReleaseOptions, {"repo": repo, **options}, "release"))
    return releaser.plan(ready) if dry_run else releaser.release(ready)


def find_release(run: Path, config: str | None = None) -> Release:
    """Return what a run releases: its dataset, and the pictures of its report.

    Raises:
        ConfigError: There is no dataset, or its configuration has another name.
        DataError: Its files are incomplete or damaged.
    """
    folder = run / "dataset"
    if not (folder / CARD).is_file():
        raise ConfigError(f"{run}: no finished dataset in this folder; `laion-eo run` makes one.")
    name = next(path.name for path in sorted(folder.iterdir()) if path.is_dir())
    if config not in (None, name):
        raise ConfigError(
            f"{run}: its dataset is {name!r}, not {config!r}; the run file names it so."
        )
    shards = sorted((folder / name).glob("train-*.parquet"))
    if not shards or f"-of-{len(shards):05d}." not in shards[-1].name:
        raise DataError(f"{folder / name}: files are missing; run `laion-eo run` again.")
    for path in shards:
        try:
            schema = pq.read_schema(path).remove_metadata()
        except pa.ArrowInvalid:
            raise DataError(f"{path}: truncated or damaged; run `laion-eo run` again.") from None
        if schema != PUBLISHED:
            raise DataError(f"{path}: not the published columns; run `laion-eo run` again.")
    pictures = sorted(
        path for path in (run / "report").rglob("*") if path.suffix.lower() in FIGURE_ENDINGS
    )
    return Release(name, folder, tuple(pictures))
