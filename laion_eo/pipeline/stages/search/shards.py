"""One search over the shards of a pool: resumed after a kill, on any machine of a cluster."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import NDArray

from laion_eo.kinds import Retriever, ShardedRetriever, no_neighbors
from laion_eo.kinds.contract import check_count, check_counts, check_neighbors
from laion_eo.pipeline.stages.search.shard_store import Searched, ShardStore, join
from laion_eo.pipeline.workbench import Workbench
from laion_eo.types import Embeddings

logger = logging.getLogger("laion_eo")


class ShardSearch:
    """Searches shards for the k nearest rows of some queries; travels with them.

    Args:
        workbench: It has the retriever.
        queries: float32, (n, dim), rows of length 1.
        k: Neighbours wanted.
    """

    def __init__(self, workbench: Workbench, queries: Embeddings, k: int) -> None:
        self._workbench = workbench
        self._queries = queries
        self._k = k

    @property
    def _retriever(self) -> ShardedRetriever:
        return cast("ShardedRetriever", self._workbench.ready(self._workbench.one(Retriever)))

    def search(self, store: ShardStore, name: str) -> Searched:
        """Search shard by shard; what is finished is kept, and not done again after a kill.

        Args:
            store: Where the hits of shards are kept.
            name: What the log calls the search.
        """
        retriever = self._retriever
        best, start = store.load(no_neighbors(len(self._queries), self._k))
        shards = check_count(retriever, retriever.shards(), "shards")
        if start:
            logger.info("%s: resumes, %d of %d shards done", name, start, shards)

        def todo() -> Iterator[tuple[int, NDArray[np.float32]]]:
            # Made one by one as the engine takes them: later shards know a higher floor.
            for shard in range(start, shards):
                yield shard, best.neighbors.scores[:, -1]

        stop = start
        for count, found in self._workbench.engine.merge(self.search_shard, join, todo()):
            store.save(stop, stop + count, found)
            stop += count
            best = join(best, found)
        return best

    def search_shard(self, task: tuple[int, NDArray[np.float32]]) -> Searched:
        """Search one shard; on a cluster, this runs on any machine that sees the run directory.

        Args:
            task: The shard's number, and the floor of each query.
        """
        retriever, k = self._retriever, self._k
        shard, floor = task
        # The best of the shards that this process did are as good a floor as the task's.
        floor = np.maximum(floor, self._best.min(axis=1))
        found = retriever.search_shard(self._queries, k, shard, floor)
        found = check_neighbors(retriever, found, len(self._queries), k)
        if shard not in self._searched:  # a cluster may ask again: each hit counts once
            self._searched.add(shard)
            both = np.concatenate([self._best, found.scores], axis=1)
            self._best = np.partition(both, k, axis=1)[:, k:]
        return Searched(found, check_counts(retriever, retriever.take_counts()))

    @cached_property
    def _searched(self) -> set[int]:
        """The shards that this process did."""
        return set()

    @cached_property
    def _best(self) -> NDArray[np.float32]:
        """The k best scores of each query that this process knows, in no order."""
        return no_neighbors(len(self._queries), self._k).scores
