"""Rows as a run has them at the stages ``scores`` and ``verdicts``, for the suites."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pyarrow as pa

from laion_eo.schema import DOWNLOADED

MOMENT = datetime(2024, 5, 1, tzinfo=UTC)


def sample_rows(
    captions: Sequence[str | None], sizes: Sequence[tuple[int, ...]], first_id: int = 0
) -> pa.Table:
    """Return candidates whose downloads went well, all columns of both.

    Args:
        captions: One per row.
        sizes: (height, width) of each image, in pixels.
        first_id: Id of the first row.
    """
    rows = [
        _row(first_id + place, caption, size)
        for place, (caption, size) in enumerate(zip(captions, sizes, strict=True))
    ]
    return pa.Table.from_pylist(rows, schema=DOWNLOADED)


def _row(number: int, caption: str | None, size: tuple[int, ...]) -> dict[str, Any]:
    digest = sha256(str(number).encode()).hexdigest()
    url = f"http://web.invalid/{number}.jpg"
    return {
        "id": number,
        "source": number % 3,
        "view": 0,
        "fast_similarity": 0.9 - 0.001 * number,
        "found_by": 1,
        "url": url,
        "caption": caption,
        "status": "ok",
        "status_reason": "",
        "http_code": 200,
        "filename": f"{digest}.jpg",
        "bytes": 1000 + number,
        "sha256": digest,
        "height": size[0],
        "width": size[1],
        "format": "JPEG",
        "final_url": url,
        "fetched_at": MOMENT,
    }
