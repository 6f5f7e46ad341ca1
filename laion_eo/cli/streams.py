"""What commands print, without secrets."""

from __future__ import annotations

from typing import Any, TextIO

from laion_eo.redaction import redacted


class Redacting:
    """A text stream in which secrets are ``***``; the rest of it is the stream's own.

    Args:
        stream: stdout or stderr.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text."""
        self._stream.write(redacted(text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
