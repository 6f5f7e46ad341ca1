"""Later rounds of a search: what was found and accepted is searched with, as anchors are few.

Every find of a later round is compared with the original anchors, not with the row that found it,
so that rounds do not drift away from the domain: step by step, everything is near something.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from laion_eo.kinds.fitting import NEAR
from laion_eo.pipeline.stages.search.depth import Depth, Found, copies_among, search_deep
from laion_eo.pipeline.stages.search.hits import Floats, Hits, Integers, Search, VectorsOf
from laion_eo.pipeline.stages.search.standard import Standard
from laion_eo.types import Embeddings

TOGETHER = 1024
"""Rows that may become queries whose vectors are fetched together."""
NO_QUERIES = "no accepted find to search with"
NOTHING_NEW = "nothing new was found"
DRIFTED = "drifted away from the anchors"


@dataclass(frozen=True)
class Hopping:
    """How later rounds are made, and when they end.

    Attributes:
        rounds: All rounds, the first with the anchors among them.
        most_queries: Queries of one round at most.
        bound: Least cosine of a find to the nearest anchor.
        least_share: Share of a round's finds that must reach the bound, or none is taken.
        depth: What each query gets; ``until`` does not count.
    """

    rounds: int
    most_queries: int
    bound: float
    least_share: float
    depth: Depth


@dataclass(frozen=True)
class Hop:
    """One later round.

    Attributes:
        number: 2 for the first of them.
        queries: Rows that were searched with.
        anchors: Anchors that these are nearest to.
        new: Rows that no round before had found.
        ids: int64, (a,), ascending: those of them that are near enough to the anchors.
        anchor: int64, (a,): the nearest anchor of each, by its place among all queries.
        scores: float32, (a,): the cosine to it.
        stopped: Why the rounds end with this one, which adds nothing then; else empty.
    """

    number: int
    queries: int = 0
    anchors: int = 0
    new: int = 0
    ids: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    anchor: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    scores: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    stopped: str = ""

    def facts(self) -> JsonValue:
        """Return what the manifest says of it."""
        counts: dict[str, JsonValue] = {
            "queries": self.queries,
            "anchors_they_descend_from": self.anchors,
            "new": self.new,
            "added": len(self.ids),
        }
        return {**counts, **({"stopped": self.stopped} if self.stopped else {})}


def later_hops(
    first: Found, search: Search, vectors_of: VectorsOf, standard: Standard, how: Hopping
) -> Iterator[Hop]:
    """Yield the rounds after the first, until one adds nothing.

    Args:
        first: What the anchors found; rows that are near-duplicates there are not found again.
        search: Finds the k nearest rows of queries.
        vectors_of: Returns the vectors of rows.
        standard: What finds are compared with.
        how: How many rounds, and how large.
    """
    known = np.union1d(first.hits.ids, first.copies)
    ids, anchor, scores = _against_images(first.hits, vectors_of, standard)
    asked, taken = standard.anchors, first.hits
    for number in range(2, how.rounds + 1):
        order = np.lexsort((ids, -scores))
        order = order[scores[order] >= standard.threshold]
        chosen, vectors = choose_queries(ids[order], vectors_of, asked, how.most_queries)
        if not len(chosen):
            yield Hop(number, stopped=NO_QUERIES)
            return
        asked = np.concatenate([asked, vectors])
        descend = len(np.unique(anchor[order[chosen]]))
        found = search_deep(
            search, vectors, how.depth, np.zeros(len(vectors), dtype=bool), vectors_of
        )
        new = np.setdiff1d(found.hits.ids, known)
        known = np.union1d(known, np.union1d(new, found.copies))
        ids, anchor, scores = _compared(new, vectors_of, standard)
        near = scores >= how.bound
        if not near.any() or near.mean() < how.least_share:
            reason = DRIFTED if len(new) else NOTHING_NEW
            yield Hop(number, len(chosen), descend, len(new), stopped=reason)
            return
        ids, anchor, scores = ids[near], anchor[near], scores[near]
        if how.depth.distinct is not None:
            only = distinct_finds(Hits(anchor, ids, scores), taken, how.depth.distinct, vectors_of)
            ids, anchor, scores = ids[only], anchor[only], scores[only]
        taken = Hits.merged([taken, Hits(anchor, ids, scores)])
        yield Hop(number, len(chosen), descend, len(new), ids, anchor, scores)


def choose_queries(
    ids: Integers, vectors_of: VectorsOf, asked: Embeddings, most: int
) -> tuple[Integers, Embeddings]:
    """Choose what a round searches with: the first of the rows, near-duplicates once.

    Args:
        ids: int64, (m,), row indices, the best first.
        vectors_of: Returns the vectors of rows.
        asked: float32, (q, dim): what was searched with before; a near-duplicate of one of these
            would find the same.
        most: Queries at most.

    Returns:
        int64, (c,): the places among ``ids``; float32, (c, dim): their vectors.
    """
    places: list[int] = []
    chosen = np.zeros((0, asked.shape[1]), np.float32)
    for start in range(0, len(ids), TOGETHER):
        vectors = _in_order(ids[start : start + TOGETHER], vectors_of)
        others = np.concatenate([asked, chosen])
        far = ~(vectors @ others.T >= NEAR).any(axis=1)
        near = vectors @ vectors.T >= NEAR
        mine: list[int] = []
        for place in np.flatnonzero(far).tolist():
            if len(places) + len(mine) < most and not near[place, mine].any():
                mine.append(place)
        places += [start + place for place in mine]
        chosen = np.concatenate([chosen, vectors[mine]])
        if len(places) == most:
            break
    return np.array(places, dtype=np.int64), chosen


def distinct_finds(
    finds: Hits, taken: Hits, cosine: float, vectors_of: VectorsOf
) -> NDArray[np.bool_]:
    """Tell which finds are no near-duplicates of an anchor's other hits, or of a better find.

    Args:
        finds: In any order; the query is the anchor that each belongs to.
        taken: The hits of the rounds before.
        cosine: From which two are near-duplicates.
        vectors_of: Returns the vectors of rows.

    Returns:
        bool, one for each find.
    """
    distinct = np.ones(len(finds.ids), dtype=bool)
    for anchor in np.unique(finds.query):
        mine = np.flatnonzero(finds.query == anchor)
        mine = mine[np.lexsort((finds.ids[mine], -finds.scores[mine]))]
        low, high = np.searchsorted(taken.query, [anchor, anchor + 1])
        before = high - low
        ids = np.concatenate([taken.ids[low:high], finds.ids[mine]])
        distinct[mine] = ~copies_among(_in_order(ids, vectors_of), cosine)[before:]
    return distinct


def _against_images(
    hits: Hits, vectors_of: VectorsOf, standard: Standard
) -> tuple[Integers, Integers, Floats]:
    """Return each row of the first round, its image anchor and the cosine to it.

    The anchor is the nearest one that found the row, as for a candidate. What only texts found is
    compared with the images: cosines to texts are on another scale.
    """
    by_image = np.isin(hits.query, standard.places)
    order = np.lexsort((hits.query, -hits.scores, hits.ids))
    order = order[by_image[order]]
    ids = hits.ids[order]
    first = np.ones(len(ids), dtype=bool)
    first[1:] = ids[1:] != ids[:-1]
    best = order[first]
    alone = np.setdiff1d(hits.ids, hits.ids[best])
    ids, anchor, scores = _compared(alone, vectors_of, standard)
    return (
        np.concatenate([hits.ids[best], ids]),
        np.concatenate([hits.query[best], anchor]),
        np.concatenate([hits.scores[best], scores]),
    )


def _compared(
    ids: Integers, vectors_of: VectorsOf, standard: Standard
) -> tuple[Integers, Integers, Floats]:
    """Return the rows, the nearest anchor of each, and the cosine to it."""
    anchor, scores = np.zeros(len(ids), np.int64), np.zeros(len(ids), np.float32)
    for start in range(0, len(ids), TOGETHER):
        part = slice(start, start + TOGETHER)
        anchor[part], scores[part] = standard.nearest(vectors_of(ids[part]))
    return ids, anchor, scores


def _in_order(ids: Integers, vectors_of: VectorsOf) -> Embeddings:
    """Return vectors of rows in any order, asked for in the order in which pools store them."""
    order = np.argsort(ids)
    vectors = vectors_of(ids[order])
    back = np.empty_like(vectors)
    back[order] = vectors
    return back
