"""Pictures of a public host, for runs that are released: no others may be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from laion_eo.testing import serve_folder
from laion_eo.types import JSON

HOST = "pictures.example.org"


@contextmanager
def public_pictures(pictures: Path, home: Path) -> Iterator[dict[str, JSON]]:
    """Serve a folder as the host's while the block runs, by a proxy on loopback.

    Args:
        pictures: The folder.
        home: An empty folder to work in.

    Yields:
        The downloader of a run file that goes by the proxy.
    """
    # A proxy is asked for a whole URL, which a server of files takes for a path.
    (home / "http:").mkdir(parents=True)
    (home / "http:" / HOST).symlink_to(pictures)
    with serve_folder(home) as url:
        options = {"use": "http", "retries": 0, "delay": 0.0, "contact": "me@example.org"}
        yield {**options, "proxy": url.rstrip("/")}
