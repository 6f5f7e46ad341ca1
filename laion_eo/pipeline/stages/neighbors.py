"""Stages ``neighbors`` and ``candidates``: what the pool holds near the anchors (section 2.2)."""

from __future__ import annotations

import hashlib
import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import JsonValue

from laion_eo.component import Component
from laion_eo.fingerprint import fingerprint
from laion_eo.kinds import AnchorSet, Retriever, ShardedRetriever
from laion_eo.kinds.contract import check_embeddings, check_lookup, check_neighbors
from laion_eo.pipeline.checks import check_pool_model, check_pool_vectors, check_pool_weights
from laion_eo.pipeline.manifest import StageRecord
from laion_eo.pipeline.stages.base import TableStage
from laion_eo.pipeline.stages.search.rounds import search_pool
from laion_eo.pipeline.stages.search.shard_store import ShardStore
from laion_eo.pipeline.stages.search.shards import ShardSearch
from laion_eo.pipeline.stages.search.yields import yields
from laion_eo.pipeline.vectors.queries import read_queries
from laion_eo.schema import CANDIDATES, NEIGHBORS
from laion_eo.texts import INVALID_URL, clean_texts, clean_urls
from laion_eo.types import Embeddings, Neighbors

SHA256 = re.compile(r"[0-9a-f]{64}")
logger = logging.getLogger("laion_eo")


class NeighborsStage(TableStage):
    """Keeps every hit of every anchor: the paper's Figures 2 and 3 come from here.

    A search that can be cut into shards keeps the hits of each, so that a killed one resumes.
    """

    name = "neighbors"
    needs = ("anchors",)
    _facts: Mapping[str, JsonValue] = MappingProxyType({})

    def components(self) -> Sequence[Component]:
        """Return the retriever."""
        return [self.workbench.one(Retriever)]

    def check(self) -> None:
        """Raise for what the retriever lacks, and where the pool was made with another model."""
        super().check()
        check_pool_model(self.workbench)
        check_pool_vectors(self.workbench)

    @cached_property
    def _counts(self) -> Counter[str]:
        """What the retriever counted, over all searches."""
        return Counter()

    @cached_property
    def _queries(self) -> tuple[pa.Table, Embeddings]:
        return read_queries(self.run_dir.read("anchors"))

    def make(self) -> pa.Table:
        """Return the table of hits.

        Raises:
            ConfigError: The pool was made with other weights, or has vectors of another length.
            DataError: The options compare the anchors, and there are not two that differ.
        """
        retriever = self.workbench.one(Retriever)
        rows, vectors = self._queries
        check_pool_weights(self.workbench, self._anchors(), vectors.shape[1])
        anchors = AnchorSet(rows.drop_columns(["embedding"]), vectors)
        self._counts.clear()
        hits, self._facts = search_pool(self._search, self._vectors, anchors, retriever.config)
        if isinstance(retriever, ShardedRetriever):
            # Once: between searches it would take them for those of its next shard.
            retriever.add_counts(dict(self._counts))
        table = {
            "source": rows["source"].to_numpy()[hits.query],
            "view": rows["view"].to_numpy()[hits.query],
            "rank": hits.ranks().astype(np.int32),
            "id": hits.ids,
            "fast_similarity": hits.scores,
        }
        return pa.table(table, schema=NEIGHBORS)

    def _anchors(self) -> StageRecord | None:
        return self.run_dir.record("anchors")

    def _search(self, queries: Embeddings, k: int) -> Neighbors:
        """Find the k nearest rows of queries; what a killed run found of a shard is kept."""
        retriever = self.workbench.ready(self.workbench.one(Retriever))
        if isinstance(retriever, ShardedRetriever):
            before = self._anchors()
            what = [k, hashlib.sha256(queries.tobytes()).hexdigest()]
            search = fingerprint([self.identity(), before and before.fingerprint, what])
            store = ShardStore(self.run_dir.scratch(self.name), search)
            searched = ShardSearch(self.workbench, queries, k).search(store, self.name)
            self._counts.update(searched.counts)
            found = searched.neighbors
        else:
            found = retriever.search(queries, k)
        return check_neighbors(retriever, found, len(queries), k)

    def _vectors(self, ids: NDArray[np.int64]) -> Embeddings:
        """Return the vectors of rows of the pool: float32, (m, dim), rows of length 1."""
        dim = self._queries[1].shape[1]
        if not len(ids):
            return np.zeros((0, dim), np.float32)
        retriever = self.workbench.ready(self.workbench.one(Retriever))
        return check_embeddings(retriever, retriever.vectors(ids), len(ids), dim)

    def facts(self) -> dict[str, dict[str, JsonValue]]:
        """Return what the retriever says, and how the search went on after the first k."""
        return super().facts() | ({"search": dict(self._facts)} if self._facts else {})

    def counts(self, table: pa.Table) -> dict[str, int]:
        """Count the hits, and the anchors that had any."""
        return {"hits": table.num_rows, "anchors": len(table["source"].unique())}


class Candidates(TableStage):
    """One row per distinct image: the anchor nearest to it, and how many anchors found it."""

    name = "candidates"
    version = 3
    needs = ("anchors", "neighbors")
    _repaired = 0
    _yields: Mapping[str, JsonValue] = MappingProxyType({})

    def components(self) -> Sequence[Component]:
        """Return the retriever, which knows the metadata."""
        return [self.workbench.one(Retriever)]

    def make(self) -> pa.Table:
        """Return the candidates, by anchor and then by similarity.

        Every pool's texts enter here, whatever its retriever: what no table can hold is replaced.
        """
        anchors = self.run_dir.read("anchors", ["source", "anchor_id", "skipped", "text"])
        best = nearest_anchor(self.run_dir.read("neighbors"), text_sources(anchors))
        self._yields = yields(best, anchors.filter(anchors["skipped"].is_null()))
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

    def facts(self) -> dict[str, dict[str, JsonValue]]:
        """Return what the retriever says, and what the anchors brought."""
        return super().facts() | {"yield": dict(self._yields)}


def _hashes(metadata: pa.Table) -> pa.Array:
    """Return the SHA-256 that a pool says of its images; null where it says none."""
    there = metadata.schema.get_field_index("sha256")
    if there < 0 or metadata.schema.types[there] not in (pa.string(), pa.large_string()):
        return pa.nulls(metadata.num_rows, pa.string())
    found = clean_texts(metadata.column(there))[0].to_pylist()
    return pa.array([one if one and SHA256.fullmatch(one) else None for one in found], pa.string())


def text_sources(anchors: pa.Table) -> NDArray[np.int64]:
    """Return which anchors are texts, by their ``source``: int64, ascending."""
    sources = anchors.filter(anchors["text"].is_valid())["source"]
    return np.unique(sources.to_numpy())


def nearest_anchor(neighbors: pa.Table, texts: NDArray[np.int64] | Sequence[int] = ()) -> pa.Table:
    """Reduce hits to one row per pool row: the anchor most similar to it, ties to the first.

    Cosines to texts and to images are on different scales: what an image anchor found belongs to
    the most similar of these, whatever the texts say.

    Args:
        neighbors: With the columns of :data:`laion_eo.schema.NEIGHBORS`.
        texts: The ``source`` of each anchor that is a text.

    Returns:
        Columns id, source, view, fast_similarity and found_by (how many anchors found it), sorted
        by source, then descending similarity, then id.
    """
    ids, score = neighbors["id"].to_numpy(), neighbors["fast_similarity"].to_numpy()
    source, view = neighbors["source"].to_numpy(), neighbors["view"].to_numpy()
    order = np.lexsort((view, source, -score, np.isin(source, texts), ids))
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
