from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from arcs import DIM, anchor_set, arc, away, scan, unit

from laion_eo.builtin.retrievers.exact_scan import ExactScan
from laion_eo.errors import DataError
from laion_eo.kinds import AnchorSet
from laion_eo.pipeline.stages.search.hits import Hits
from laion_eo.pipeline.stages.search.rounds import search_pool
from laion_eo.testing import random_unit
from laion_eo.types import JSON


def searched(mine: ExactScan, anchors: AnchorSet) -> tuple[Hits, dict[str, JSON]]:
    return search_pool(mine.search, mine.vectors, anchors, mine.config)


def test_a_plain_search_says_nothing_more(tmp_path: Path) -> None:
    anchors = anchor_set(random_unit(4, DIM, seed=1))
    mine = scan(tmp_path, random_unit(50, DIM), k=6)
    hits, facts = searched(mine, anchors)
    np.testing.assert_array_equal(hits.ids.reshape(4, 6), mine.search(anchors.embeddings, 6).ids)
    assert facts == {}


def test_one_anchor_is_enough_for_a_plain_search_alone(tmp_path: Path) -> None:
    anchors, pool = anchor_set(arc([0])), arc([10, 20])
    searched(scan(tmp_path / "plain", pool, k=1), anchors)
    with pytest.raises(DataError, match="not two of them that differ"):
        searched(scan(tmp_path / "hops", pool, k=1, hops=2), anchors)


def test_finds_become_hits_of_the_nearest_anchor(tmp_path: Path) -> None:
    pool = np.concatenate([arc([27, 42, 57, 72]), away(30)])
    mine = scan(tmp_path, pool, k=2, hops=2, accept=0, drift=100)
    anchors = anchor_set(arc([0, 90]))  # they accept all within a right angle
    hits, facts = searched(mine, anchors)
    by_anchor = {q: hits.ids[hits.query == q].tolist() for q in (0, 1)}
    assert by_anchor[0][:2] == [0, 1]
    assert by_anchor[1][:2] == [3, 2]
    for query in (0, 1):
        assert (np.diff(hits.scores[hits.query == query]) <= 0).all()
    assert facts["hops"]["2"]["queries"] == 4


def test_near_duplicates_that_were_left_out_do_not_come_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    copies = np.repeat(arc(np.arange(27, 150, 15.0)), 4, axis=0)
    pool = unit(copies + rng.normal(0, 1e-3, (36, DIM)))
    anchors = anchor_set(arc([0, 12, 160]))
    mine = scan(tmp_path, pool, k=3, hops=3, distinct=0.98, accept=0, drift=100)
    hits, facts = searched(mine, anchors)
    assert facts["hops"]["2"]["added"] > 0
    pictures = np.unique(hits.ids) // 4
    assert facts["near_duplicates_left_out"] > 0
    assert len(np.unique(pictures)) == 9
    for query in range(3):
        mine_ids = hits.ids[hits.query == query]
        product = pool[mine_ids] @ pool[mine_ids].T
        assert (product[np.triu_indices(len(mine_ids), 1)] < 0.98).all()


def test_a_second_round_finds_more_of_a_domain(tmp_path: Path) -> None:
    """A cloud of 300 rows of which a few anchors see one side, among 3,000 others."""
    rng = np.random.default_rng(2)
    centre = random_unit(1, DIM, seed=3)
    domain = unit(centre + 0.6 * random_unit(320, DIM, seed=4))
    anchors, mine_rows = domain[:20], domain[20:]
    pool = np.concatenate([mine_rows, random_unit(3000, DIM, seed=5)])
    order = rng.permutation(len(pool))
    truth = order < len(mine_rows)
    figures = {}
    for hops in (1, 2):
        mine = scan(tmp_path / str(hops), pool[order], k=10, hops=hops)
        found = np.unique(searched(mine, anchor_set(anchors))[0].ids)
        figures[hops] = truth[found].sum() / truth.sum(), truth[found].mean()
    assert figures[2][0] > figures[1][0] + 0.2
    assert figures[2][1] >= figures[1][1] - 0.01
