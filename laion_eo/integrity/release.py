"""Releases a finished run to the Hub: the Python call behind ``laion-eo release``."""

from __future__ import annotations

from pathlib import Path

from laion_eo.config import validate
from laion_eo.errors import ConfigError, DataError
from laion_eo.file_record import FileRecord
from laion_eo.hub.pictures import pictures_in
from laion_eo.hub.releasing import HubPlan, Published, ReleaseOptions, Releaser
from laion_eo.integrity.findings import Progress
from laion_eo.integrity.verify import verify
from laion_eo.kinds import Release
from laion_eo.pipeline.manifest import MANIFEST, Manifest
from laion_eo.types import JSON

DATASET = "dataset"
"""The step and the folder of a run directory that a release publishes."""


def release(
    run: str | Path,
    repo: str,
    config: str | None = None,
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
    **options: JSON,
) -> Published | HubPlan:
    """Release the dataset of a run to a dataset repository of the Hub, in one commit.

    The run is verified first, all of it. Published are the files that its manifest names, as they
    were when they were written, and the pictures of its report. The same call again, after it was
    killed or has succeeded, finds the release on the Hub and changes nothing.

    Args:
        run: The run directory.
        repo: ``ORG/NAME``; created as a private one if it does not exist.
        config: Name of the datasets configuration; a run with another one is refused.
        dry_run: Only return what would be changed.
        progress: Told of the bytes that were verified, and of those that there are to verify.
        options: ``tag``, ``private``, ``pull_request``, ``default``, ``drop_unpublishable``: those
            of :class:`laion_eo.hub.releasing.ReleaseOptions`.

    Returns:
        The release; for a dry run, the card and the lists of files.

    Raises:
        ConfigError: The run has no such dataset, or the Hub refuses.
        DataError: Anything in the run is not what its records say; in the dataset's folder is
            something that the manifest does not name, or a link, or a file is missing or was
            changed; or a row has a URL that may not be published. The Hub has been asked nothing.
        RunError: The Hub fails or cannot be reached.
    """
    releaser = Releaser(validate(ReleaseOptions, {"repo": repo, **options}, "release"))
    ready = find_release(Path(run), config)
    check_sound(Path(run), progress)
    return releaser.plan(ready) if dry_run else releaser.release(ready)


def check_sound(run: Path, progress: Progress | None = None) -> None:
    """Refuse a run in which anything is not what its records say.

    Args:
        run: The run directory.
        progress: Told of the bytes that were checked, and of those that there are to check.

    Raises:
        DataError: Anything is wrong; the message has the first fault, and how many there are.
        RunError: A run is at work in it.
    """
    faults = verify(run, progress=progress).faults
    if faults:
        others = f", and {len(faults) - 1:,} more" if len(faults) > 1 else ""
        raise DataError(
            f"{run / faults[0].where}: {faults[0].what}{others}; nothing is released. "
            f"`laion-eo verify {run}` names all faults, and `laion-eo run` again mends what it can."
        )


def find_release(run: Path, config: str | None = None) -> Release:
    """Return what a run releases: the dataset that its manifest names, and its report's pictures.

    The files themselves are compared with the manifest when they are published.

    Raises:
        ConfigError: There is no dataset, or its configuration has another name.
        DataError: The manifest is damaged, or does not name the files; a picture is a link.
    """
    folder = run / DATASET
    if not (folder.exists() or (run / MANIFEST).exists()):
        raise ConfigError(f"{run}: no finished dataset in this folder; `laion-eo run` makes one.")
    manifest = Manifest.load(run)
    record = manifest.stages.get(DATASET)
    if record is None:
        raise ConfigError(f"{run}: its dataset is not finished; run `laion-eo run` again.")
    if not record.files:
        raise DataError(
            f"{run / MANIFEST}: it does not name the files of the dataset, as those of older "
            "versions; run `laion-eo run` again."
        )
    name = manifest.resolved.dataset.config
    if config not in (None, name):
        raise ConfigError(
            f"{run}: its dataset is {name!r}, not {config!r}; the run file names it so."
        )
    files = tuple(_within(record, run) for record in record.files)
    return Release(name, folder, files, pictures_in(run / "report"))


def _within(record: FileRecord, run: Path) -> FileRecord:
    """Return the record of a file of the run as one of the dataset's folder."""
    top, _, path = record.path.partition("/")
    if top != DATASET or not path:
        raise DataError(f"{run / MANIFEST}: {record.path!r} is not a file of the dataset.")
    return record.model_copy(update={"path": path})
