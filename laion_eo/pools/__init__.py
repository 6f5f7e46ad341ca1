"""Pools: how images become something that runs can search."""

from __future__ import annotations

from laion_eo.pools.indexing import IndexResult, index

__all__ = ["IndexResult", "index"]
