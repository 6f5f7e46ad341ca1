"""The release tree: the folder that ``load_dataset`` opens and a release uploads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from laion_eo.dataset.croissant import write_croissant
from laion_eo.file_record import FileRecord, record_file
from laion_eo.files import replaced_folder
from laion_eo.hub.cards import CARD, CROISSANT
from laion_eo.hub.shards import write_shard

ROWS_PER_SHARD = 500_000


def write_tree(
    folder: Path,
    config: str,
    table: pa.Table,
    make_card: Callable[[int], str],
    rows_per_shard: int = ROWS_PER_SHARD,
) -> tuple[FileRecord, ...]:
    """Write ``README.md`` and ``<config>/train-*.parquet``, replacing an older tree at the end.

    The Croissant metadata of the configuration is written beside the card.

    Args:
        folder: Where the tree goes; everything that is in it is replaced.
        config: Name of the datasets configuration.
        table: The rows.
        make_card: Returns the text of README.md, given the bytes of all parquet files.
        rows_per_shard: Rows of a parquet file at most.

    Returns:
        The files of the tree, by paths relative to ``folder``.
    """
    shards = max(1, -(-table.num_rows // rows_per_shard))
    with replaced_folder(folder) as aside:
        (aside / config).mkdir()
        records = []
        for index in range(shards):
            rows = table.slice(index * rows_per_shard, rows_per_shard)
            path = aside / config / f"train-{index:05d}-of-{shards:05d}.parquet"
            write_shard(path, rows)
            records.append(record_file(aside, path, rows.num_rows))
        card = make_card(sum(record.bytes for record in records))
        (aside / CARD).write_text(card, "utf-8")
        croissant = aside / CROISSANT.format(config=config)
        write_croissant(croissant, config, [aside / record.path for record in records], card)
        records += [record_file(aside, aside / CARD), record_file(aside, croissant)]
    return tuple(records)
