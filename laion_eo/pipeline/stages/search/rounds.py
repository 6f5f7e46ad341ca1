"""A whole search: the anchors, as deep as is wanted, and the rounds after them."""

from __future__ import annotations

import numpy as np
from pydantic import JsonValue

from laion_eo.kinds import AnchorSet, RetrieverConfig
from laion_eo.pipeline.stages.search.depth import Depth, Found, search_deep
from laion_eo.pipeline.stages.search.hits import Hits, Search, VectorsOf
from laion_eo.pipeline.stages.search.hops import Hopping, later_hops
from laion_eo.pipeline.stages.search.standard import Standard


def search_pool(
    search: Search, vectors_of: VectorsOf, anchors: AnchorSet, options: RetrieverConfig
) -> tuple[Hits, dict[str, JsonValue]]:
    """Search with all anchors, as the options say.

    What later rounds find becomes a hit of the nearest image anchor, with the cosine to it.

    Args:
        search: Finds the k nearest rows of queries.
        vectors_of: Returns the vectors of rows; only called where the options need them.
        anchors: What is searched with.
        options: The retriever's.

    Returns:
        The hits, by query; and what the manifest says beyond them, empty for a plain search.

    Raises:
        DataError: The options compare anchors, and there are not two image anchors that differ.
    """
    compares = options.hops > 1 or options.until is not None
    standard = Standard.fitted(anchors, options.accept) if compares else None
    depth = _depth(options, standard)
    first = search_deep(search, anchors.embeddings, depth, ~anchors.is_text, vectors_of)
    facts = _facts(options, standard, first)
    if standard is None or options.hops == 1:
        return first.hits, facts
    bound = float(np.float32(standard.threshold - options.drift * standard.deviation))
    # A row of the pool finds itself: that takes no place from the others.
    k = options.k + 1
    per_query = Depth(k, max(k, depth.most), options.distinct)
    how = Hopping(options.hops, options.hop_queries, bound, options.hop_share, per_query)
    hops = list(later_hops(first, search, vectors_of, standard, how))
    facts["hop_bound"] = bound
    facts["hops"] = {str(hop.number): hop.facts() for hop in hops}
    added = [Hits(hop.anchor, hop.ids, hop.scores) for hop in hops]
    return Hits.merged([first.hits, *added]), facts


def _depth(options: RetrieverConfig, standard: Standard | None) -> Depth:
    threshold = np.inf if standard is None else standard.threshold
    most = options.asked_at_most()
    return Depth(options.k, most, options.distinct, options.until, threshold)


def _facts(
    options: RetrieverConfig, standard: Standard | None, first: Found
) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {}
    if standard is not None:
        found["threshold"] = standard.threshold
        found["threshold_is"] = (
            f"percentile {options.accept:g} of the cosines of {standard.compared} anchors to the "
            "nearest other one"
        )
    if options.distinct is not None:
        found["near_duplicates_left_out"] = len(first.copies)
    if options.until is not None:
        found["anchors_beyond_k"] = first.deeper
    if found:
        found["hits_of_anchors"] = len(first.hits.ids)
    return found
