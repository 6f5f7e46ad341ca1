"""Verifies a run, a dataset or a pool: the Python call behind ``laion-eo verify``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from laion_eo.errors import ConfigError, RunError
from laion_eo.hub.cards import CARD
from laion_eo.integrity.datasets.checks import check_dataset
from laion_eo.integrity.findings import Findings, KindOfFolder, Progress, Verification
from laion_eo.integrity.runs.checks import check_run
from laion_eo.integrity.walking import size_of
from laion_eo.pools.checking import pool_faults

LOCK = ".lock"
_OF_A_RUN = (LOCK, ".stages", "manifest.json", "run.toml")
_OF_A_POOL = ("index.json", ".done", "img_emb", "metadata")
_OF_A_DATASET = (CARD, "croissant-*.json", "*/train-*-of-*.parquet")


def verify(
    path: str | Path, *, thorough: bool = True, progress: Progress | None = None
) -> Verification:
    """Compare everything in a folder with what vouches for it; change nothing.

    Args:
        path: A run directory; a dataset, which is the ``dataset/`` of a run, a copy of it, or a
            repository fetched from the Hub; or a pool that ``laion-eo index`` made.
        thorough: Hash every byte. Otherwise a file of more than 64 MiB is compared by its size and
            a sample of it, and an image by its size.
        progress: Told of the bytes that were checked, and of those that there are to check.

    Returns:
        What was found; an unsound folder is no error.

    Raises:
        ConfigError: There is no such folder, or it is none of the three.
        RunError: A run is at work in it.
    """
    folder = Path(path)
    kind = kind_of(folder)
    findings = Findings(folder, thorough, progress, size_of(folder))
    if kind == "run":
        with at_rest(folder):
            check_run(findings)
    elif kind == "dataset":
        check_dataset(findings, folder)
    else:
        _check_pool(findings)
    return findings.result(kind)


def kind_of(folder: Path) -> KindOfFolder:
    """Return what a folder is, by what is in it.

    Raises:
        ConfigError: There is no such folder, or it is nothing of laion-eo's.
    """
    if not folder.is_dir():
        what = "a file" if folder.exists() else "no such folder"
        raise ConfigError(f"{folder}: {what}; name a run directory, a dataset or a pool.")
    if any((folder / name).exists() for name in _OF_A_RUN):
        return "run"
    if any((folder / name).exists() for name in _OF_A_POOL):
        return "pool"
    if any(any(folder.glob(pattern)) for pattern in _OF_A_DATASET):
        return "dataset"
    inside = [name for name in ("dataset", "pool") if (folder / name).is_dir()]
    hint = f" Did you mean {folder / inside[0]}?" if inside else ""
    raise ConfigError(f"{folder}: neither a run directory, nor a dataset, nor a pool.{hint}")


def _check_pool(findings: Findings) -> None:
    """Check a pool against what `laion-eo index` recorded of it."""
    for line in pool_faults(findings.root, thorough=findings.thorough):
        where, _, what = line.partition(": ")
        findings.fault(where, what)
    for path in sorted(findings.root.rglob("*")):
        if path.is_file() and not path.is_symlink():
            findings.checked(path.stat().st_size)


@contextmanager
def at_rest(run: Path) -> Iterator[None]:
    """Keep other processes from working in a run directory while it is read.

    One that cannot be written to, or whose lock is gone, is read all the same.

    Raises:
        RunError: One is at work in it already.
    """
    lock = FileLock(run / LOCK, timeout=0, preserve_lock_file=True)
    try:
        if (run / LOCK).is_file():
            lock.acquire()
    except Timeout:
        raise RunError(f"{run}: another laion-eo works in this directory.") from None
    except OSError:
        pass  # a read-only copy
    try:
        yield
    finally:
        lock.release()
