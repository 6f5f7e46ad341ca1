"""Stages ``neighbors`` and ``candidates``: what the pool holds near the anchors (section 2.2)."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from laion_eo.component import Component
from laion_eo.fingerprint import fingerprint
from laion_eo.kinds import Retriever, ShardedRetriever, no_neighbors
from laion_eo.kinds.contract import check_count, check_counts, check_lookup, check_neighbors
from laion_eo.pipeline.checks import check_pool_model, check_pool_weights
from laion_eo.pipeline.manifest import StageRecord
from laion_eo.pipeline.stages.base import TableStage
from laion_eo.pipeline.stages.shard_store import Searched, ShardStore, join
from laion_eo.pipeline.vectors.queries import read_queries
from laion_eo.schema import CANDIDATES, NEIGHBORS
from laion_eo.texts import INVALID_URL, clean_texts, clean_urls
from laion_eo.types import Embeddings

SHA256 = re.compile(r"[0-9a-f]{64}")
logger = logging.getLogger("laion_eo")


class NeighborsStage(TableStage):
    """Keeps every hit of every anchor: the paper's Figures 2 and 3 come from here.

    A search that can be cut into shards keeps the hits of each, so that a killed one resumes.
    """

    name = "neighbors"
    needs = ("anchors",)

    def components(self) -> Sequence[Component]:
        """Return the retriever."""
        return [self.workbench.one(Retriever)]

    def check(self) -> None:
        """Raise for what the retriever lacks, and where the pool was made with another model."""
        super().check()
        check_pool_model(self.workbench)

    @cached_property
    def _queries(self) -> tuple[pa.Table, Embeddings]:
        return read_queries(self.run_dir.read("anchors"))

    def make(self) -> pa.Table:
        """Return the table of hits.

        Raises:
            ConfigError: The pool was made with other weights, or has vectors of another length.
        """
        retriever = self.workbench.ready(self.workbench.one(Retriever))
        rows, vectors = self._queries
        k = retriever.config.k
        check_pool_weights(self.workbench, self._anchors(), vectors.shape[1])
        if isinstance(retriever, ShardedRetriever):
            searched = self._search_shards(retriever)
            found = searched.neighbors
            retriever.add_counts(searched.counts)
        else:
            found = retriever.search(vectors, k)
        found = check_neighbors(retriever, found, len(vectors), k)
        query, rank = np.nonzero(found.ids >= 0)
        table = {
            "source": rows["source"].to_numpy()[query],
            "view": rows["view"].to_numpy()[query],
            "rank": rank.astype(np.int32),
            "id": found.ids[query, rank],
            "fast_similarity": found.scores[query, rank],
        }
        return pa.table(table, schema=NEIGHBORS)

    def _anchors(self) -> StageRecord | None:
        return self.run_dir.record("anchors")

    def _search_shards(self, retriever: ShardedRetriever) -> Searched:
        """Search shard by shard; what is finished is kept, and not done again after a kill."""
        before = self._anchors()
        search = fingerprint([self.identity(), before and before.fingerprint])
        store = ShardStore(self.run_dir.scratch(self.name), search)
        best, start = store.load(no_neighbors(len(self._queries[1]), retriever.config.k))
        shards = check_count(retriever, retriever.shards(), "shards")
        if start:
            logger.info("%s: resumes, %d of %d shards done", self.name, start, shards)

        def todo() -> Iterator[tuple[int, NDArray[np.float32]]]:
            # Made one by one as the engine takes them: later shards know a higher floor.
            for shard in range(start, shards):
                yield shard, best.neighbors.scores[:, -1]

        stop = start
        for count, found in self.workbench.engine.merge(self.search_shard, join, todo()):
            store.save(stop, stop + count, found)
            stop += count
            best = join(best, found)
        return best

    def search_shard(self, task: tuple[int, NDArray[np.float32]]) -> Searched:
        """Search one shard; on a cluster, this runs on any machine that sees the run directory.

        Args:
            task: The shard's number, and the floor of each query.
        """
        retriever = cast("ShardedRetriever", self.workbench.ready(self.workbench.one(Retriever)))
        vectors, k = self._queries[1], retriever.config.k
        shard, floor = task
        # The best of the shards that this process did are as good a floor as the task's.
        found = retriever.search_shard(vectors, k, shard, np.maximum(floor, self._best.min(axis=1)))
        found = check_neighbors(retriever, found, len(vectors), k)
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
        return no_neighbors(len(self._queries[1]), self.workbench.one(Retriever).config.k).scores

    def counts(self, table: pa.Table) -> dict[str, int]:
        """Count the hits, and the anchors that had any."""
        return {"hits": table.num_rows, "anchors": len(table["source"].unique())}


class Candidates(TableStage):
    """One row per distinct image: the anchor nearest to it, and how many anchors found it."""

    name = "candidates"
    version = 3
    needs = ("neighbors",)
    _repaired = 0

    def components(self) -> Sequence[Component]:
        """Return the retriever, which knows the metadata."""
        return [self.workbench.one(Retriever)]

    def make(self) -> pa.Table:
        """Return the candidates, by anchor and then by similarity.

        Every pool's texts enter here, whatever its retriever: what no table can hold is replaced.
        """
        best = nearest_anchor(self.run_dir.read("neighbors"))
        retriever = self.workbench.ready(self.workbench.one(Retriever))
        ids = best["id"].to_numpy()
        metadata = check_lookup(retriever, retriever.lookup(ids), len(ids))
        urls, mended = clean_urls(metadata["url"])
        captions, self._repaired = clean_texts(metadata["caption"])
        if mended or self._repaired:
            logger.warning(
                "%s: %d captions had characters that are replaced, %d URLs some that no URL has",
                self.name, self._repaired, mended,
            )  # fmt: skip
        for name, column in (("url", urls), ("caption", captions)):
            best = best.append_column(name, column.cast(pa.string()))
        best = best.append_column("pool_sha256", _hashes(metadata))
        return best.select(CANDIDATES.names).cast(CANDIDATES)

    def counts(self, table: pa.Table) -> dict[str, int]:
        """Count the distinct images, the captions that were repaired, the URLs that are none."""
        invalid = pc.sum(pc.starts_with(table["url"], INVALID_URL)).as_py() or 0
        odd = {"repaired_texts": self._repaired, "invalid_urls": invalid}
        return {"images": table.num_rows} | {what: count for what, count in odd.items() if count}


def _hashes(metadata: pa.Table) -> pa.Array:
    """Return the SHA-256 that a pool says of its images; null where it says none."""
    there = metadata.schema.get_field_index("sha256")
    if there < 0 or metadata.schema.types[there] not in (pa.string(), pa.large_string()):
        return pa.nulls(metadata.num_rows, pa.string())
    found = clean_texts(metadata.column(there))[0].to_pylist()
    return pa.array([one if one and SHA256.fullmatch(one) else None for one in found], pa.string())


def nearest_anchor(neighbors: pa.Table) -> pa.Table:
    """Reduce hits to one row per pool row: the anchor most similar to it, ties to the first.

    Args:
        neighbors: With the columns of :data:`laion_eo.schema.NEIGHBORS`.

    Returns:
        Columns id, source, view, fast_similarity and found_by (how many anchors found it), sorted
        by source, then descending similarity, then id.
    """
    ids, score = neighbors["id"].to_numpy(), neighbors["fast_similarity"].to_numpy()
    source, view = neighbors["source"].to_numpy(), neighbors["view"].to_numpy()
    order = np.lexsort((view, source, -score, ids))
    first = np.ones(len(order), dtype=bool)
    first[1:] = ids[order][1:] != ids[order][:-1]
    chosen = order[first]
    distinct = neighbors.select(["id", "source"]).group_by(["id", "source"]).aggregate([])
    found_by = distinct.group_by("id").aggregate([("source", "count")])
    counts = found_by["source_count"].take(
        pc.index_in(pa.array(ids[chosen]), found_by["id"].combine_chunks())
    )
    table = pa.table(
        {
            "id": ids[chosen],
            "source": source[chosen],
            "view": view[chosen],
            "fast_similarity": score[chosen],
            "found_by": counts.cast(pa.int32()),
        }
    )
    return table.take(np.lexsort((ids[chosen], -score[chosen], source[chosen])))
