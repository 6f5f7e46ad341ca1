"""What the anchors accept: they are labelled positives, and say how alike positives are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from laion_eo.errors import DataError
from laion_eo.kinds import AnchorSet
from laion_eo.pipeline.stages.search.hits import Floats, Integers
from laion_eo.types import Embeddings

TOGETHER = 4096
"""Rows that are compared with the anchors together."""
TIE = 1e-5
"""Cosines this close to the best in float32 are compared exactly."""


@dataclass(frozen=True)
class Standard:
    """What rows of the pool are compared with: the image anchors, and what is usual among them.

    Attributes:
        anchors: float32, (m, dim): those that are images.
        places: int64, (m,): their places among all queries.
        threshold: Cosine to the nearest anchor that a row needs to be accepted.
        deviation: Standard deviation of the anchors' own cosines.
        compared: Anchors that the threshold was fitted on.
    """

    anchors: Embeddings
    places: Integers
    threshold: float
    deviation: float
    compared: int

    @classmethod
    def fitted(cls, anchors: AnchorSet, percentile: float) -> Standard:
        """Return the standard of some anchors.

        Args:
            anchors: All of them; texts do not count, as their cosines are on another scale.
            percentile: Of the cosine of an anchor to the nearest other one that is the threshold.

        Raises:
            DataError: There are not two image anchors that could be compared.
        """
        places = np.flatnonzero(~anchors.is_text)
        images = AnchorSet(anchors.table.take(places), anchors.embeddings[places])
        best = nearest_other(images)
        known = best[~np.isnan(best)].astype(np.float64)
        if not len(known):
            raise DataError(
                "hops and until compare what is found with the image anchors, and there are not "
                "two of them that differ: give more, or leave both out of [retriever]."
            )
        threshold = float(np.float32(np.percentile(known, percentile)))
        return cls(images.embeddings, places, threshold, float(known.std()), len(known))

    def nearest(self, vectors: Embeddings) -> tuple[Integers, Floats]:
        """Return the nearest anchor of each vector, and the cosine to it; ties go to the first.

        Args:
            vectors: float32, (n, dim), rows of length 1.

        Returns:
            int64, (n,): its place among all queries; float32, (n,).
        """
        place, cosine = np.zeros(len(vectors), np.int64), np.zeros(len(vectors), np.float32)
        for start in range(0, len(vectors), TOGETHER):
            part = vectors[start : start + TOGETHER]
            product = part @ self.anchors.T
            row, column = np.nonzero(product >= product.max(axis=1, keepdims=True) - TIE)
            exact = np.einsum(
                "nd,nd->n", part[row].astype(np.float64), self.anchors[column].astype(np.float64)
            ).astype(np.float32)
            # By row, then best first, then the first anchor: the first of each row is its nearest.
            order = np.lexsort((column, -exact, row))
            first = order[np.searchsorted(row[order], np.arange(len(part)))]
            place[start : start + len(part)] = self.places[column[first]]
            cosine[start : start + len(part)] = exact[first]
        return place, cosine


def nearest_other(anchors: AnchorSet) -> Floats:
    """Return the cosine of each anchor to the nearest one that it may be compared with.

    Returns:
        float32, (m,); NaN where there is none.
    """
    best = np.full(len(anchors.embeddings), np.nan, np.float32)
    for start in range(0, len(best), TOGETHER):
        rows = slice(start, min(start + TOGETHER, len(best)))
        product = anchors.embeddings[rows] @ anchors.embeddings.T
        product[anchors.twins(rows)] = -np.inf
        highest = product.max(axis=1)
        best[rows] = np.where(np.isfinite(highest), highest, np.nan)
    return best
