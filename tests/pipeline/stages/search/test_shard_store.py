from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from laion_eo.kinds import no_neighbors
from laion_eo.pipeline.stages.search.shard_store import Searched, ShardStore, join
from laion_eo.types import Neighbors


def hits(*rows: list[tuple[float, int]]) -> Neighbors:
    """One list of (score, id) for each query; k is 3."""
    found = no_neighbors(len(rows), 3)
    for query, row in enumerate(rows):
        for rank, (score, number) in enumerate(row):
            found.scores[query, rank], found.ids[query, rank] = score, number
    return found


FIRST = Searched(hits([(0.5, 1), (0.25, 0)], [(0.75, 2)]), {"pairs": 4})
SECOND = Searched(hits([(0.5, 10), (0.375, 11), (0.125, 12)], []), {"pairs": 6})


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    store = ShardStore(tmp_path / "shards", "abc")
    store.save(0, 1, FIRST)
    store.save(1, 4, SECOND)
    best, done = ShardStore(tmp_path / "shards", "abc").load(no_neighbors(2, 3))
    assert done == 4
    assert best.neighbors.ids.tolist() == [[1, 10, 11], [2, -1, -1]]
    np.testing.assert_array_equal(best.neighbors.scores, join(FIRST, SECOND).neighbors.scores)
    assert best.counts == {"pairs": 10}


def test_another_search_has_nothing(tmp_path: Path) -> None:
    ShardStore(tmp_path, "abc").save(0, 1, FIRST)
    assert ShardStore(tmp_path, "abd").load(no_neighbors(2, 3))[1] == 0


@pytest.mark.parametrize("damage", ["removed", "emptied", "cut", "flipped"])
def test_a_gap_or_a_damaged_file_ends_what_is_done(damage: str, tmp_path: Path) -> None:
    store = ShardStore(tmp_path, "abc")
    for shard in range(4):
        store.save(shard, shard + 1, FIRST)
    path = sorted((tmp_path / "abc").iterdir())[2]
    content = path.read_bytes()
    flipped = content[:200] + bytes([content[200] ^ 1]) + content[201:]
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes({"emptied": b"", "cut": content[:99], "flipped": flipped}[damage])
    assert store.load(no_neighbors(2, 3))[1] == 2
    assert len(list((tmp_path / "abc").iterdir())) == 2  # what follows a gap would never be used
