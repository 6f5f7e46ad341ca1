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

    @abstractmethod
    def merge(
        self,
        function: Callable[[Shard], Result],
        join: Callable[[Result, Result], Result],
        shards: Iterable[Shard],
    ) -> Iterator[tuple[int, Result]]:
        """Yield the joined results of consecutive shards, with the number of shards in each.

        Args:
            function: As in :meth:`map`.
            join: Joins the results of neighbouring shards, the earlier one first; associative.
            shards: Taken one by one, as there is room for them.
        """

    def close(self) -> None:  # noqa: B027 - most have nothing to end
        """End what the engine started; it is of no use afterwards."""


class LocalEngine(Engine):
    """This machine. Shards run one after another: the models inside use every core themselves."""

    def map(self, function: Callable[[Shard], Result], shards: Iterable[Shard]) -> Iterator[Result]:
        """Yield ``function(shard)`` for each shard, in order."""
        return (function(shard) for shard in shards)

    def merge(
        self,
        function: Callable[[Shard], Result],
        join: Callable[[Result, Result], Result],  # noqa: ARG002 - each result comes alone
        shards: Iterable[Shard],
    ) -> Iterator[tuple[int, Result]]:
        """Yield each result alone."""
        return ((1, function(shard)) for shard in shards)
