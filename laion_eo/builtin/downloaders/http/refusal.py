"""The one exception of the downloader: how a download ends without an image."""

from __future__ import annotations

from laion_eo.types import DownloadStatus


class RefusedError(Exception):
    """A download ends without an image.

    Attributes:
        status: How it ended.
        code: The last answer's status code, if there was one.
        transient: Whether a retry can help.
        wait: Seconds that the server asks us to wait before one, if it says so.
    """

    def __init__(
        self,
        status: DownloadStatus,
        reason: str,
        code: int | None = None,
        transient: bool = False,
        wait: float | None = None,
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.code = code
        self.transient = transient
        self.wait = wait

    @property
    def reason(self) -> str:
        """One line for a person, free of control characters that a server may have sent."""
        line = " ".join(str(self).split())
        return "".join(c if c.isprintable() else "?" for c in line)[:300]
