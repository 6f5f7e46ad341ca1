"""Notes what a power loss could not take: what was fsynced below ``CRASH_WATCH``, and when.

The shadow folder, ``CRASH_SHADOW``, gets by inode number: ``files/``, each file's content as of its
last fsync; ``folders/``, each folder's entries likewise; ``gone/``, what was removed or replaced.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

WATCHED = Path(os.environ.get("CRASH_WATCH", "/nothing"))
SHADOW = Path(os.environ.get("CRASH_SHADOW", "/nothing"))
_rename = os.rename


def make_shadow(shadow: Path) -> None:
    """Make the shadow folder."""
    for name in ("files", "folders", "gone"):
        (shadow / name).mkdir(parents=True)


def note(path: Path, shadow: Path = SHADOW) -> None:
    """Note a file's content, or a folder's entries, as being on the disk."""
    # Written aside, so that a kill leaves the last note or the new one.
    aside = shadow / f"aside-{os.getpid()}-{threading.get_ident()}"
    if path.is_dir():
        aside.write_text(json.dumps({entry.name: entry.inode() for entry in os.scandir(path)}))
    else:
        shutil.copyfile(path, aside)
    _rename(aside, shadow / ("folders" if path.is_dir() else "files") / str(path.stat().st_ino))


def note_all(root: Path, shadow: Path = SHADOW) -> None:
    """Note everything below a folder, and the folder."""
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            note(path, shadow)


def _watched(path: Any, folder: int | None = None) -> Path | None:
    """Return the path of what is watched, else ``None``."""
    base = Path.cwd() if folder is None else Path(f"/proc/self/fd/{folder}").readlink()
    found = base / os.fsdecode(path)
    return found if WATCHED in (found, *found.parents) else None


def _keep(path: Path | None) -> None:
    """Keep what is about to be removed or replaced; an empty folder is moved away."""
    if path is not None and os.path.lexists(path):
        gone = SHADOW / "gone" / str(path.lstat().st_ino)
        if path.is_symlink() or not path.is_dir():
            with suppress(FileExistsError):
                os.link(path, gone, follow_symlinks=False)
        elif not any(path.iterdir()):
            _rename(path, gone)
            path.mkdir()  # a stand-in, for the real call to remove


def _syncing(call: Callable[[Any], None]) -> Callable[[Any], None]:
    def synced(file: Any) -> None:
        call(file)
        number = file if isinstance(file, int) else file.fileno()
        path = _watched(Path(f"/proc/self/fd/{number}").readlink())
        if path is not None and path.exists():
            note(path)

    return synced


def _removing(call: Callable[..., None]) -> Callable[..., None]:
    def removed(path: Any, *, dir_fd: int | None = None) -> None:
        _keep(_watched(path, dir_fd))
        call(path, dir_fd=dir_fd)

    return removed


def _renaming(call: Callable[..., None]) -> Callable[..., None]:
    def renamed(source: Any, target: Any, **folders: int | None) -> None:
        _keep(_watched(target, folders.get("dst_dir_fd")))
        call(source, target, **folders)

    return renamed


def install() -> None:
    """Watch this process's fsyncs, renames and removals."""
    os.fsync, os.fdatasync = _syncing(os.fsync), _syncing(os.fdatasync)  # type: ignore[assignment]
    os.unlink = os.remove = _removing(os.unlink)
    os.rmdir = _removing(os.rmdir)
    os.rename, os.replace = _renaming(os.rename), _renaming(os.replace)
