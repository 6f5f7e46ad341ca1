"""The schema in the words of the Hub's metadata."""

from __future__ import annotations

import pyarrow as pa

from laion_eo.schema import PUBLISHED
from laion_eo.types import JSON

_DTYPES = {"double": "float64", "float": "float32"}


def dtype(type_: pa.DataType) -> str:
    """Return datasets' name of an Arrow type; pyarrow makes the type by a function of that name."""
    return _DTYPES.get(str(type_), str(type_))


def dataset_info(config: str, rows: int, size: int = 0, download: int = 0) -> dict[str, JSON]:
    """Return one entry of the card's ``dataset_info``: datasets checks the rows against it.

    Args:
        config: Name of the datasets configuration.
        rows: Rows of its one split, ``train``.
        size: Bytes of the rows in memory, as Arrow.
        download: Bytes of its files.
    """
    return {
        "config_name": config,
        "features": [{"name": field.name, "dtype": dtype(field.type)} for field in PUBLISHED],
        "splits": [{"name": "train", "num_bytes": size, "num_examples": rows}],
        "download_size": download,
        "dataset_size": size,
    }
