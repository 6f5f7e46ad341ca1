"""The rows of a release tree, as its checks hand them on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from laion_eo.schema import PUBLISHED


@dataclass
class Published:
    """The rows of one configuration.

    Attributes:
        files: Its Parquet files, in the order of their numbers.
        bytes: Their size.
        tables: What could be read of them.
        is_complete: Whether that is everything.
    """

    files: list[Path]
    bytes: int = 0
    tables: list[pa.Table] = field(default_factory=list)
    is_complete: bool = True

    @property
    def table(self) -> pa.Table:
        """All rows that could be read."""
        return pa.concat_tables([PUBLISHED.empty_table(), *self.tables])

    @property
    def rows(self) -> int:
        """How many could be read."""
        return sum(table.num_rows for table in self.tables)
