"""Helpers for the tests of laion-eo and of its plugins."""

from __future__ import annotations

from laion_eo.testing.pools import random_unit, write_pool
from laion_eo.testing.server import serve_folder

__all__ = ["random_unit", "serve_folder", "write_pool"]
