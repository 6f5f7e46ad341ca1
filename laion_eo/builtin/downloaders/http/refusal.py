"""The one exception of the downloader: how a download ends without an image."""

from __future__ import annotations

from laion_eo.types import DownloadStatus


class RefusedError(Exception):
    """A download ends without an image.

    Attributes:
        status: How it ended.
        code: The last answer's status code, if there was one.
        again: Whether a further try can help.
    """

    def __init__(
        self,
        status: DownloadStatus,
        reason: str,
        code: int | None = None,
        again: bool = False,
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.code = code
        self.again = again

    @property
    def reason(self) -> str:
        """One line for a person, free of control characters that a server may have sent."""
        line = " ".join(str(self).split())
        return "".join(c if c.isprintable() else "?" for c in line)[:300]
