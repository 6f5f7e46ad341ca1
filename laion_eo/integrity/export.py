"""Exports a finished run: the Python call behind ``laion-eo export``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from laion_eo.errors import ConfigError, did_you_mean
from laion_eo.integrity.rocrate import write_crate

RO_CRATE = "ro-crate"
FORMATS: dict[str, Callable[..., Path]] = {RO_CRATE: write_crate}
"""What writes each format; it takes the run directory, the folder, and options of its own."""


def export(run: str | Path, to: str, out: str | Path, **options: bool) -> Path:
    """Export a finished run to a folder.

    Args:
        run: The run directory.
        to: The format: ``ro-crate``, an RO-Crate (:mod:`laion_eo.integrity.rocrate`).
        out: The folder: a new or empty one.
        options: Of the format: ``tables`` of ``ro-crate``.

    Returns:
        The folder.

    Raises:
        ConfigError: There is no such format, its package is not installed, or the folder is in use.
        DataError: The run is not finished, is damaged, or holds what is private.
    """
    if to not in FORMATS:
        hint = did_you_mean(to, FORMATS)
        raise ConfigError(f"export: no format {to!r}.{hint} There is: {', '.join(FORMATS)}.")
    return FORMATS[to](Path(run), Path(out), **options)
