"""Where commands print their tables."""

from __future__ import annotations

import sys

from rich.console import Console

WIDTH_OFF_TERMINAL = 120
"""Columns where the output is a file or a pipe, which have no width."""


def output_console() -> Console:
    """Return the console for a command's result, on stdout.

    Paths and server responses are shown unchanged: no ``[word]`` in them is markup.
    """
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
