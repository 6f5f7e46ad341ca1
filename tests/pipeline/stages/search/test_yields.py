from __future__ import annotations

import pyarrow as pa

from laion_eo.pipeline.stages.search.yields import yields


def anchors(*texts: str | None) -> pa.Table:
    return pa.table(
        {
            "source": pa.array(range(len(texts)), pa.int64()),
            "anchor_id": [f"a{i}" for i in range(len(texts))],
            "text": pa.array(texts, pa.string()),
        }
    )


def candidates(*owned: int) -> pa.Table:
    sources = [source for source, count in enumerate(owned) for _ in range(count)]
    return pa.table({"source": pa.array(sources, pa.int64())})


def test_hubs_own_a_third_and_silent_anchors_nothing() -> None:
    found = yields(candidates(2, 0, 5, 0, 3), anchors(*[None] * 5))
    assert found["anchors"] == 5
    assert found["silent"] == 2
    assert found["hubs"] == 1
    assert found["largest"] == {"a2": 5}
    assert found["owned"] == [0, 0, 2, 3, 5]
    assert "texts_own" not in found


def test_what_texts_alone_found_is_counted() -> None:
    assert yields(candidates(2, 0, 4), anchors(None, None, "a dog"))["texts_own"] == 4


def test_no_candidates_leave_every_anchor_silent() -> None:
    found = yields(candidates(0, 0), anchors(None, None))
    assert (found["silent"], found["hubs"], found["largest"]) == (2, 0, {})
