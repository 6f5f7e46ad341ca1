"""The exceptions of laion-eo.

::

    LaionEOError            every error that laion-eo raises on purpose
    ├── ConfigError         the run file, an option or a command is wrong      (exit code 2)
    │   └── PluginError     no such component, or its plugin is broken         (exit code 2)
    ├── DataError           the data that the run names is missing or damaged  (exit code 2)
    └── RunError            a valid run failed                                 (exit code 1)
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar

from laion_eo.redaction import redacted
from laion_eo.texts import one_line


class LaionEOError(Exception):
    """Base of all errors that a user can act on; the message is one line that says what to do.

    A text that it is made of is redacted: messages quote URLs, and what servers answer.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, *parts: object) -> None:
        super().__init__(*(redacted(part) if isinstance(part, str) else part for part in parts))

    def __str__(self) -> str:
        """Return the message: one line that a terminal can show, whatever it quotes."""
        return one_line(super().__str__())


class ConfigError(LaionEOError):
    """The run file, an option or a command is wrong."""

    exit_code = 2


class PluginError(ConfigError):
    """A component is unavailable: no such name, an ambiguous one, or a broken plugin."""


class DataError(LaionEOError):
    """Data that the run names is missing, damaged or does not fit together."""

    exit_code = 2


class RunError(LaionEOError):
    """A valid run failed: a full disk, a plugin that broke its contract."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'faiss'?"`` if a known word is similar, else ``""``."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
