"""The release tree: what ``load_dataset`` opens and the Hub gets."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

CARD = "README.md"
ROWS_PER_SHARD = 500_000


def write_tree(folder: Path, config: str, table: pa.Table, card: str) -> None:
    """Write ``README.md`` and ``<config>/train-*.parquet``, replacing an older tree at the end.

    Args:
        folder: Where the tree goes; it belongs to the tree alone.
        config: Name of the datasets configuration.
        table: The rows.
        card: The text of README.md.
    """
    aside = folder.with_name(f".{folder.name}.working")
    shutil.rmtree(aside, ignore_errors=True)
    (aside / config).mkdir(parents=True)
    shards = max(1, -(-table.num_rows // ROWS_PER_SHARD))
    for index in range(shards):
        rows = table.slice(index * ROWS_PER_SHARD, ROWS_PER_SHARD)
        name = f"train-{index:05d}-of-{shards:05d}.parquet"
        pq.write_table(rows, aside / config / name, compression="zstd", write_page_index=True)
    (aside / CARD).write_text(card, "utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    aside.rename(folder)
