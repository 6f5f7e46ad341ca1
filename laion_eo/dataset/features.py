"""The published schema as the Hub's metadata states it."""

from __future__ import annotations

import pyarrow as pa

from laion_eo.hub.cards import DatasetInfo, Feature, Split
from laion_eo.schema import PUBLISHED

_DTYPES = {"double": "float64", "float": "float32"}


def dtype(type_: pa.DataType) -> str:
    """Return datasets' name of an Arrow type, which is also pyarrow's function that makes it."""
    return _DTYPES.get(str(type_), str(type_))


def dataset_info(config: str, rows: int, size: int = 0, download: int = 0) -> DatasetInfo:
    """Return one entry of the card's ``dataset_info``, with the published columns.

    Args:
        config: Name of the datasets configuration.
        rows: Rows of its one split, ``train``.
        size: Bytes of the rows in memory, as Arrow.
        download: Bytes of its files.
    """
    return DatasetInfo(
        config_name=config,
        features=tuple(Feature(name=field.name, dtype=dtype(field.type)) for field in PUBLISHED),
        splits=(Split(name="train", num_bytes=size, num_examples=rows),),
        download_size=download,
        dataset_size=size,
    )
