"""Filter ``allow-list``: nothing stays that a user's table does not list."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from laion_eo.builtin.hash_lists import AllowList
from laion_eo.component import ComponentConfig
from laion_eo.config import RunPath
from laion_eo.fingerprint import files_identity
from laion_eo.kinds import Filter, FitData
from laion_eo.types import JSON, Verdict


class AllowListFilter(Filter):
    """Keeps the rows whose URL, or whose content's hash, is in a table such as Re-LAION's.

    It judges what was downloaded; the downloader's own ``allow_list`` keeps the rest from being
    downloaded at all.
    """

    name = "allow-list"
    summary = "keeps rows whose URL or content hash a Parquet table lists"

    class Config(ComponentConfig):
        """Options.

        Attributes:
            path: Parquet file, or a folder of them, with a column ``url``, ``md5`` or ``sha256``;
                the first of them that is there counts. An empty list is an error.
        """

        path: RunPath

    config: Config

    def identity(self) -> JSON:
        """Return the names, sizes and times of the list's files.

        Raises:
            DataError: The list is missing, empty or of another shape.
        """
        return files_identity(AllowList(self.config.path).files)

    def needs(self) -> tuple[str, ...]:
        """Return the column that the list has.

        Raises:
            DataError: There is no such list.
        """
        return (AllowList(self.config.path).column,)

    def fit(self, data: FitData) -> None:
        """Read the list once, for the values of the table.

        Raises:
            DataError: The list is missing, empty or damaged.
        """
        allowed = AllowList(self.config.path)
        self._column = allowed.column
        values = data.table[self._column].drop_null().to_pylist()
        self._listed = allowed.matching(values)

    def keep(self, batch: pa.Table) -> Verdict:
        """Judge ``url``, ``md5`` or ``sha256``, whichever the list has."""
        values = batch[self._column].to_pylist()
        mask = np.array([value in self._listed for value in values], dtype=bool)
        # A row without the value cannot be on the list: null is no member of it.
        return Verdict(mask, [f"{self._column} {value} is not listed" for value in values])

    def facts(self) -> dict[str, JSON]:
        """Return the column that rows were matched on, and how many are listed."""
        return {"by": self._column, "listed": len(self._listed)}
