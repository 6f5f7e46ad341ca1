"""What each anchor brought: hubs, which own much of what was found, and silent anchors."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from pydantic import JsonValue

HUB_SHARE = 1 / 3
"""Of the candidates: the fewest anchors that own this share together are the hubs."""
HUBS_NAMED = 10


def yields(candidates: pa.Table, anchors: pa.Table) -> dict[str, JsonValue]:
    """Return how the candidates are spread over the anchors.

    An anchor owns the candidates that name it as their ``source``.

    Args:
        candidates: With the column ``source``.
        anchors: Those that were searched with: ``source``, ``anchor_id`` and ``text``.

    Returns:
        ``anchors``, how many there are; ``silent``, how many of them own nothing; ``owned``, the
        quartiles, smallest and largest of what they own; ``hub_share``, ``hubs``, how many anchors
        own that share together, and ``largest``, the first of these by name; ``texts_own``, the
        candidates that no image anchor found, where there are texts and images.
    """
    sources, first = np.unique(anchors["source"].to_numpy(), return_index=True)
    if not len(sources):
        return {"anchors": 0}
    owner = np.searchsorted(sources, candidates["source"].to_numpy())
    owned = np.bincount(owner, minlength=len(sources))
    order = np.argsort(-owned, kind="stable")
    total = int(owned.sum())
    hubs = int(np.searchsorted(np.cumsum(owned[order]), HUB_SHARE * total) + 1) if total else 0
    names = anchors["anchor_id"].take(first)
    is_text = anchors["text"].take(first).is_valid().to_numpy()
    found: dict[str, JsonValue] = {
        "anchors": len(sources),
        "silent": int((owned == 0).sum()),
        "owned": np.quantile(owned, [0, 0.25, 0.5, 0.75, 1], method="nearest").tolist(),
        "hub_share": round(HUB_SHARE, 4),
        "hubs": hubs,
        "largest": {names[int(i)].as_py(): int(owned[i]) for i in order[: min(hubs, HUBS_NAMED)]},
    }
    if is_text.any() and not is_text.all():
        found["texts_own"] = int(owned[is_text].sum())
    return found
