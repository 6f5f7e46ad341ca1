"""The parquet files of a release: how they are written."""

from __future__ import annotations

import inspect
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


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
