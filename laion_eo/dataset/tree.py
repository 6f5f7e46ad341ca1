"""The release tree: the folder that ``load_dataset`` opens and a release uploads."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from laion_eo.dataset.croissant import write_croissant
from laion_eo.files import replaced_folder
from laion_eo.hub.cards import CARD, CROISSANT

ROWS_PER_SHARD = 500_000


def write_tree(
    folder: Path,
    config: str,
    table: pa.Table,
    make_card: Callable[[int], str],
    rows_per_shard: int = ROWS_PER_SHARD,
) -> None:
    """Write ``README.md`` and ``<config>/train-*.parquet``, replacing an older tree at the end.

    The Croissant metadata of the configuration is written beside the card.

    Args:
        folder: Where the tree goes; everything that is in it is replaced.
        config: Name of the datasets configuration.
        table: The rows.
        make_card: Returns the text of README.md, given the bytes of all parquet files.
        rows_per_shard: Rows of a parquet file at most.
    """
    shards = max(1, -(-table.num_rows // rows_per_shard))
    with replaced_folder(folder) as aside:
        (aside / config).mkdir()
        for index in range(shards):
            rows = table.slice(index * rows_per_shard, rows_per_shard)
            write_shard(aside / config / f"train-{index:05d}-of-{shards:05d}.parquet", rows)
        files = sorted((aside / config).glob("*.parquet"))
        card = make_card(sum(path.stat().st_size for path in files))
        (aside / CARD).write_text(card, "utf-8")
        write_croissant(aside / CROISSANT.format(config=config), config, files, card)


def write_shard(path: Path, rows: pa.Table) -> None:
    """Write a parquet file in which readers can seek, and of which the Hub stores only changes.

    The page index lets readers skip pages. With content-defined chunking (pyarrow 21 and newer),
    an inserted row changes only the pages around it, so a new release uploads little. That needs
    columns without a dictionary, because one new value would renumber all values after it; only
    the column of languages, which are few, has one.
    """
    options = {"compression": "zstd", "write_page_index": True, "use_dictionary": ["lang"]}
    chunking = "use_content_defined_chunking"
    if chunking in inspect.signature(pq.write_table).parameters:
        options[chunking] = True
    pq.write_table(rows, path, **options)
