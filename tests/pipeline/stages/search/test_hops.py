from __future__ import annotations

from pathlib import Path

import numpy as np
from arcs import DIM, anchor_set, arc, away, scan

from laion_eo.pipeline.stages.search.depth import Depth, search_deep
from laion_eo.pipeline.stages.search.hops import (
    DRIFTED,
    NO_QUERIES,
    NOTHING_NEW,
    Hop,
    Hopping,
    choose_queries,
    later_hops,
)
from laion_eo.pipeline.stages.search.standard import Standard
from laion_eo.types import Embeddings


def cosine(degrees: float) -> float:
    return float(np.cos(np.radians(degrees)))


def hops(
    folder: Path,
    pool: Embeddings,
    *,
    accept: float,
    bound: float,
    k: int = 2,
    hop_k: int = 5,
    rounds: int = 2,
    share: float = 0.5,
    most: int = 100,
    texts: Embeddings | None = None,
) -> list[Hop]:
    """The later rounds of a search with anchors at 0 and 12 degrees."""
    images = arc([0, 12])
    vectors = images if texts is None else np.concatenate([images, texts])
    anchors = anchor_set(vectors, texts=range(2, len(vectors)))
    fitted = Standard.fitted(anchors, 0)
    standard = Standard(fitted.anchors, fitted.places, cosine(accept), 0.0, 2)
    mine = scan(folder, pool)
    first = search_deep(mine.search, vectors, Depth(k, k), ~anchors.is_text, mine.vectors)
    how = Hopping(rounds, most, cosine(bound), share, Depth(hop_k, hop_k))
    return list(later_hops(first, mine.search, mine.vectors, standard, how))


CHAIN = np.arange(27, 190, 15.0)
"""27, 42, 57 ... degrees: each row is 15 degrees from the next, and so from the anchor at 12."""


def test_finds_are_compared_with_the_original_anchors(tmp_path: Path) -> None:
    """Step by step a chain leads away: what is too far from the anchors is not taken."""
    (hop,) = hops(tmp_path, arc(CHAIN), accept=31, bound=61)
    assert (hop.stopped, hop.queries, hop.new) == ("", 2, 3)
    assert CHAIN[hop.ids].tolist() == [57, 72]  # and not 87, which is as near to 42 as 27 is to 72
    np.testing.assert_allclose(hop.scores, [cosine(45), cosine(60)], atol=1e-6)
    assert hop.anchor.tolist() == [1, 1]  # the nearest, at 12 degrees
    assert hop.anchors == 1


def test_more_rounds_end_at_the_bound(tmp_path: Path) -> None:
    found = hops(tmp_path, arc(CHAIN), accept=91, bound=91, hop_k=3, rounds=5, share=0.0)
    added = np.concatenate([hop.ids for hop in found])
    assert [CHAIN[hop.ids].tolist() for hop in found] == [[57], [72], [87], [102]]
    assert len(np.unique(added)) == len(added)
    assert len(hops(tmp_path, arc(CHAIN), accept=91, bound=91, hop_k=3, rounds=9, share=0.0)) == 5


def test_a_round_that_drifts_adds_nothing_and_ends_the_search(tmp_path: Path) -> None:
    chain = arc(CHAIN)
    (hop,) = hops(tmp_path / "less", chain, accept=31, bound=46, rounds=4, share=0.5)
    assert (hop.stopped, hop.new, len(hop.ids)) == (DRIFTED, 3, 0)
    assert hop.facts() == {
        "queries": 2, "anchors_they_descend_from": 1, "new": 3, "added": 0, "stopped": DRIFTED,
    }  # fmt: skip
    first, *_ = hops(tmp_path / "more", chain, accept=31, bound=46, rounds=4, share=0.3)
    assert (first.stopped, len(first.ids)) == ("", 1)


def test_without_an_accepted_find_there_is_no_round(tmp_path: Path) -> None:
    (hop,) = hops(tmp_path, away(20), accept=20, bound=40)
    assert (hop.stopped, hop.queries) == (NO_QUERIES, 0)


def test_a_pool_that_is_known_gives_nothing_new(tmp_path: Path) -> None:
    (hop,) = hops(tmp_path, arc([40, 60]), accept=60, bound=60, k=2)
    assert hop.stopped == NOTHING_NEW


def test_the_queries_of_a_round_are_bounded_best_first(tmp_path: Path) -> None:
    found = hops(tmp_path, arc(CHAIN), accept=60, bound=89, most=1)
    assert [hop.queries for hop in found] == [1]


def test_queries_are_the_first_and_near_duplicates_come_once() -> None:
    pool = arc([0, 1, 30, 31, 32, 60, 90])
    ids = np.array([5, 3, 2, 4, 1, 6], np.int64)
    places, vectors = choose_queries(ids, lambda some: pool[some], arc([0]), most=10)
    assert ids[places].tolist() == [5, 3, 6]  # 2 and 4 are near 3, and 1 is near an anchor
    np.testing.assert_array_equal(vectors, pool[[5, 3, 6]])
    places, _ = choose_queries(ids, lambda some: pool[some], arc([0]), most=2)
    assert ids[places].tolist() == [5, 3]


def test_what_only_a_text_found_is_judged_by_the_images(tmp_path: Path) -> None:
    """The text stands far from the images; one row near it is near an image too."""
    text = np.zeros((1, DIM), np.float32)
    text[0, 2] = 1
    near_text = arc([24.0, 26.0, 28.0]) * 0.9
    near_text[:, 2] = np.sqrt(1 - 0.81)
    pool = np.concatenate([arc([2, 4, 6]), near_text, away(5)])
    (hop,) = hops(tmp_path, pool.astype(np.float32), accept=35, bound=40, k=3, texts=text)
    assert hop.anchors >= 1
    assert hop.anchor.max(initial=0) <= 1  # finds belong to images, never to the text
