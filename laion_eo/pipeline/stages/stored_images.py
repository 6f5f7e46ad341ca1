"""Are the images on the disk those that were downloaded? Their names say what they held."""

from __future__ import annotations

import hashlib
from pathlib import Path

HASHED_BYTES = 1 << 30
"""Bytes of images up to which all are hashed."""
SAMPLED = 64
"""Beyond, one of so many is, chosen by its name; of all others the size is compared."""


def is_named_by_content(path: Path, content: bytes) -> bool:
    """Tell whether an image is the one that was stored under this name: its SHA-256.

    Args:
        path: The image; its name without the ending is 64 hex digits.
        content: Its bytes.
    """
    return hashlib.sha256(content).hexdigest() == path.stem


class StoredImages:
    """The images of one run directory, each read at most once.

    Args:
        folder: Where they are.
        thorough: Hash all, however many there are.
    """

    def __init__(self, folder: Path, *, thorough: bool = False) -> None:
        self._folder = folder
        self._thorough = thorough
        self._hashed = 0
        self._sound: dict[str, tuple[int, int, int]] = {}

    def is_sound(self, filename: str, size: int) -> bool:
        """Tell whether an image is there, of the right size and, unless it is skipped, content.

        Args:
            filename: Its name.
            size: Bytes that it had.
        """
        path = self._folder / filename
        if path.is_symlink() or not path.is_file():
            return False
        stat = path.stat()
        now = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        if stat.st_size != size:
            return False
        if self._sound.get(filename) == now:
            return True
        if not self._content_is_sound(path, size):
            return False
        self._sound[filename] = now
        return True

    def _content_is_sound(self, path: Path, size: int) -> bool:
        if not self._thorough and self._hashed + size > HASHED_BYTES and not _is_sampled(path):
            return True
        self._hashed += size
        try:
            return is_named_by_content(path, path.read_bytes())
        except OSError:
            return False


def _is_sampled(path: Path) -> bool:
    return int(path.name[:8], 16) % SAMPLED == 0
