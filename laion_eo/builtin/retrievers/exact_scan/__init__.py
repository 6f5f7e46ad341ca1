"""Retriever ``exact-scan``: all anchors against all rows of a pool, in one pass."""

from __future__ import annotations

from laion_eo.builtin.retrievers.exact_scan.component import ExactScan

__all__ = ["ExactScan"]
