"""Engines: how the shards of a stage are worked through."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Shard = TypeVar("Shard")
Result = TypeVar("Result")


class Engine(ABC):
    """Applies one function to shards; the same results in the same order, whatever the engine."""

    @abstractmethod
    def map(self, function: Callable[[Shard], Result], shards: Iterable[Shard]) -> Iterator[Result]:
        """Yield ``function(shard)`` for each shard, in order.

        Args:
            function: Can be pickled; what it loads, it loads on its first call.
            shards: Can be pickled too.
        """


class LocalEngine(Engine):
    """This machine. Shards run one after another: the models inside use every core themselves."""

    def map(self, function: Callable[[Shard], Result], shards: Iterable[Shard]) -> Iterator[Result]:
        """Yield ``function(shard)`` for each shard, in order."""
        return (function(shard) for shard in shards)
