"""Helpers for the tests of laion-eo and of its plugins."""

from __future__ import annotations

from laion_eo.serving import serve_folder
from laion_eo.testing.pools import random_unit, write_pool

__all__ = ["random_unit", "serve_folder", "write_pool"]
