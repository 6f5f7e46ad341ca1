"""clip-retrieval's own client in a loop; runs in the environment of clip-retrieval.

python clip_client.py URL INDEX K ANCHORS.npy OUT.npy: prints the seconds that the loop took, and
writes the ids that it found: int64, (anchors, k), -1 where there are fewer.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from laion_eo.builtin.torchvision_mend import ensure_torchvision


def main(url: str, index: str, k: int, anchors: str, out: str) -> None:
    """Query with every anchor, one after the other."""
    ensure_torchvision()
    from clip_retrieval.clip_client import ClipClient

    options = {"aesthetic_score": "", "aesthetic_weight": "", "num_images": k}
    options |= dict.fromkeys(("deduplicate", "use_safety_model", "use_violence_detector"), False)
    client = ClipClient(f"{url}/knn-service", index, **options)
    queries = [anchor.tolist() for anchor in np.load(anchors)]
    started = time.perf_counter()
    answers = [client.query(embedding_input=query) for query in queries]
    seconds = time.perf_counter() - started
    found = np.full((len(answers), k), -1, dtype=np.int64)
    for row, answer in zip(found, answers, strict=True):
        row[: len(answer)] = [hit["id"] for hit in answer]
    np.save(out, found)
    print(seconds)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), *sys.argv[4:])
