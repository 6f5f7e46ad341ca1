"""Kind ``filter``: which rows stay."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import pyarrow as pa

from laion_eo.component import Component
from laion_eo.kinds.fitting import FitData
from laion_eo.types import Verdict


class Filter(Component):
    """Judges rows by stored columns alone, so that thresholds change without computing again.

    A run's filters work in the order of the run file; each sees the rows that those before it kept.

    Attributes:
        judges_alone: Whether a row's verdict needs that row alone, once the filter is fitted. Not
            for one that drops a row for the sake of others, such as the copies of an image.
        gives_way_to_labels: Whether it decides by fitted scores what is of the domain, so that
            ``laion-eo run --labels`` puts the filter ``labels`` in its place; see
            :meth:`is_frozen`.
    """

    judges_alone: ClassVar[bool] = True
    gives_way_to_labels: ClassVar[bool] = False

    def is_frozen(self) -> bool:
        """Return whether the options fix all that it would fit: then labels do not replace it."""
        return False

    def needs(self) -> tuple[str, ...]:
        """Return the columns that it reads; the options may decide.

        A run whose scorers do not make them is refused before any work.
        """
        return ()

    def needs_of_anchors(self) -> tuple[str, ...]:
        """Return those of ``needs`` that the anchors must have, too, for ``fit``.

        A run whose scorers do not score anchors is refused before any work.
        """
        return ()

    def check_columns(self, columns: pa.Schema) -> None:
        """Raise if a column is of a type that it cannot judge.

        A run calls it before any work, once every column of ``needs`` is known to be there.

        Args:
            columns: Every column that the rows will have.

        Raises:
            ConfigError: The message says which column, and what is wanted.
        """

    def check_model(self, model_id: str) -> None:
        """Raise if the filter's own numbers belong to another model.

        A run calls it before any work.

        Args:
            model_id: Of the run's embedder.

        Raises:
            ConfigError: The message names both models.
        """

    def fit(self, data: FitData) -> None:
        """See all rows once, before the first ``keep``; thresholds are fitted here.

        Args:
            data: ``data.table`` has every row that the filters before this one kept, with all
                columns known of them; ``data.anchors`` the anchors with their own scores.
        """

    @abstractmethod
    def keep(self, batch: pa.Table) -> Verdict:
        """Judge n rows of the table that ``fit`` saw.

        Args:
            batch: n consecutive rows.
        """
