"""Engines: how the shards of a stage are worked through."""

from __future__ import annotations

from laion_eo.config import EngineOptions
from laion_eo.pipeline.engines.local import Engine, LocalEngine
from laion_eo.references import filled

__all__ = ["Engine", "LocalEngine", "make_engine"]


def make_engine(options: EngineOptions) -> Engine:
    """Return the engine that a run file chose.

    Raises:
        ConfigError: Ray is not installed, or there is no cluster at the address.
    """
    if options.use == "local":
        return LocalEngine()
    from laion_eo.pipeline.engines.ray import RayEngine

    address = options.address and filled(options.address)
    return RayEngine(address, options.workers, options.cpus_per_worker)
