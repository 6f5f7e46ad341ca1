"""The suite of retrievers."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest

from laion_eo.kinds import Retriever
from laion_eo.kinds.contract import check_embeddings, check_lookup, check_neighbors
from laion_eo.testing.pools import random_unit
from laion_eo.testing.suites.base import ComponentTests
from laion_eo.types import Embeddings

QUERIES, K = 5, 7


class RetrieverTests(ComponentTests):
    """Tests of a :class:`~laion_eo.kinds.Retriever` over a pool of the author's.

    :func:`laion_eo.testing.write_pool` makes one in ``make_options``.

    Attributes:
        dim: Length of the pool's vectors.
        rows: Rows of the pool; at least 10.
        vector_tolerance: How far a score may be from the cosine of the vectors that ``vectors``
            gives: quantised indices are not exact.
    """

    dim: ClassVar[int] = 16
    rows: ClassVar[int] = 100
    vector_tolerance: ClassVar[float] = 1e-3

    @classmethod
    def queries(cls) -> Embeddings:
        """Return the queries: float32, (n, dim), rows of length 1."""
        return random_unit(QUERIES, cls.dim, seed=1)

    def test_neighbours_are_complete(self, component: Retriever) -> None:
        """(n, k), float32 and int64, finite and descending along each row."""
        found = component.search(self.queries(), K)
        check_neighbors(component, found, QUERIES, K)

    def test_ids_are_rows_of_the_pool(self, component: Retriever) -> None:
        """Ids are row indices, and no row is found twice by one query."""
        for ids in component.search(self.queries(), K).ids:
            there = ids[ids >= 0]
            assert (there < self.rows).all()
            assert len(set(there.tolist())) == len(there)

    def test_more_than_there_is(self, component: Retriever) -> None:
        """Asked for more than the pool has, the rest is -1, and comes last."""
        k = self.rows + 3
        found = check_neighbors(component, component.search(self.queries(), k), QUERIES, k)
        assert (found.ids[:, self.rows :] == -1).all()

    def test_fewer_are_the_first_of_more(self, component: Retriever) -> None:
        """The best few are the best few, however many are asked for."""
        few, more = (component.search(self.queries(), k).scores for k in (2, K))
        np.testing.assert_allclose(few, more[:, :2], atol=1e-3)

    def test_queries_do_not_disturb_each_other(self, component: Retriever) -> None:
        """A query finds the same rows alone as among others."""
        together = component.search(self.queries(), K)
        for place, query in enumerate(self.queries()):
            alone = component.search(query[None], K)
            np.testing.assert_array_equal(alone.ids[0], together.ids[place])

    def test_no_queries(self, component: Retriever) -> None:
        """No queries give (0, k)."""
        check_neighbors(component, component.search(self.queries()[:0], K), 0, K)

    def test_metadata_is_complete(self, component: Retriever) -> None:
        """``lookup`` gives a row per id with ``url`` and ``caption``, both strings."""
        ids = np.array([0, 3, 1], np.int64)
        check_lookup(component, component.lookup(ids), len(ids))

    def test_metadata_comes_in_the_order_asked_for(self, component: Retriever) -> None:
        """Row i of ``lookup`` describes id i, however the ids are sorted."""
        ids = np.array([4, 0, 2], np.int64)
        together = component.lookup(ids).select(["url", "caption"])
        alone = [component.lookup(ids[i : i + 1]).select(["url", "caption"]) for i in range(3)]
        assert together.to_pylist() == pa.concat_tables(alone).to_pylist()
        assert len({row["url"] for row in together.to_pylist()}) == len(ids)

    def test_metadata_of_nothing(self, component: Retriever) -> None:
        """No ids give no rows, with the columns."""
        check_lookup(component, component.lookup(np.zeros(0, np.int64)), 0)

    def test_vectors_are_those_that_are_searched(self, component: Retriever) -> None:
        """``vectors`` gives a unit vector per id, in order, whose cosine is about the score."""
        if not component.has_vectors():
            pytest.skip("this retriever has no vectors of its pool")
        found = component.search(self.queries(), K)
        ids = found.ids[:, ::-1].reshape(-1)
        distinct, first = np.unique(ids, return_index=True)
        order = np.argsort(first)  # as they came: not sorted
        vectors = component.vectors(distinct[order])
        check_embeddings(component, vectors, len(distinct), self.dim)
        by_id = dict(zip(distinct[order].tolist(), vectors, strict=True))
        for query, rows, scores in zip(self.queries(), found.ids, found.scores, strict=True):
            cosines = np.array([by_id[row] @ query for row in rows.tolist()])
            np.testing.assert_allclose(cosines, scores, atol=self.vector_tolerance)

    def test_the_size_is_the_pools(self, component: Retriever) -> None:
        """``pool_size`` is the pool's, or ``None``."""
        size = component.pool_size()
        if size is None:
            pytest.skip("this retriever does not know its pool's size")
        assert size.rows == self.rows
        assert size.bytes >= 0

    def test_the_model_is_the_pools(self, component: Retriever) -> None:
        """``pool_model`` knows the length of the pool's vectors, or nothing."""
        assert component.pool_model().dim in (None, self.dim)
