from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laion_eo.hub.shards import write_shard


@pytest.mark.skipif(
    "use_content_defined_chunking" not in inspect.signature(pq.write_table).parameters,
    reason="content-defined chunking came with pyarrow 21",
)
def test_inserted_row_leaves_most_bytes_unchanged(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    words = np.array(["satellite", "image", "of", "a", "river", "coast", "2019", "false", "colour"])
    ends = rng.integers(2, 8, 100_000).cumsum()
    captions = [" ".join(part) for part in np.split(rng.choice(words, ends[-1]), ends[:-1])]
    write_shard(tmp_path / "a", pa.table({"caption": captions}))
    write_shard(tmp_path / "b", pa.table({"caption": ["new", *captions]}))
    old, new = (tmp_path / "a").read_bytes(), (tmp_path / "b").read_bytes()
    blocks = [new[start : start + 64] for start in range(0, len(new) - 64, 2**14)]
    assert sum(block in old for block in blocks) > 0.7 * len(blocks)  # else one in twenty
