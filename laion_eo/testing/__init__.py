"""Helpers for the tests of laion-eo and of its plugins."""

from __future__ import annotations

from laion_eo.testing.server import serve_folder

__all__ = ["serve_folder"]
