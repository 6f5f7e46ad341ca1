"""Imported by every child of the harness at its start, as this folder is on its path."""

import sys
from importlib import import_module
from os import environ

# As on the bare package, and two seconds less for each run: nothing here needs it.
sys.modules["torch"] = None  # type: ignore[assignment]
if "CRASH_WATCH" in environ:
    import_module("crash_recorder").install()
