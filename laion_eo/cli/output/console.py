"""Where commands print: without secrets, and as wide as there is room."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TextIO

from laion_eo.redaction import redacted

if TYPE_CHECKING:
    from rich.console import Console

WIDTH_OFF_TERMINAL = 120
"""Columns where the output is a file or a pipe, which have no width."""


def output_console() -> Console:
    """Return the console for a command's result, on stdout.

    Paths and server responses are shown unchanged: no ``[word]`` in them is markup.
    """
    from rich.console import Console

    width = None if sys.stdout.isatty() else WIDTH_OFF_TERMINAL
    return Console(width=width, highlight=False, markup=False, emoji=False)


def visible(text: str) -> str:
    r"""Return foreign text as a terminal may show it: what controls one is written out.

    Line ends, escape sequences, marks that turn the direction of text, and half characters become
    ``\n``, ``\x1b``, ``\u202e`` and ``\ud800``.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


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
