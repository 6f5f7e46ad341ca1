"""The four example domains in ``quality.py``: dogs, clip art, rivers and parking lots."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from domains import ANCHORS, DOMAINS, DRAWS, read_captions
from quality_pools import HELD_OUT, Collection, Mask, load, sha256_of, write_pool
from quality_recipes import COMMON, EXAMPLES
from quality_runs import Known, Trial, embed_anchors, registry

from laion_eo.config import RunFile
from laion_eo.schema import ANCHORS as SCHEMA

BEFORE = {"dogs": 0.371, "clip-art": None, "rivers": 0.206, "parking": 0.296}
"""Precision of the same examples with the paper's threshold, before any was fitted to anchors."""


@dataclass(frozen=True)
class DomainFigures:
    """Means over draws of the anchors, and the least.

    Attributes:
        precision: Of what was kept.
        least: The least of the draws.
        recall: Of all pictures of the domain.
        least_recall: Likewise.
        found_recall: Of those among the candidates.
        candidates: Share that is right among the candidates.
        unseen: Precision and recall over the pictures alone that the model was not trained on.
    """

    precision: float
    least: float
    recall: float
    least_recall: float
    found_recall: float
    candidates: float
    unseen: tuple[float, float]


class _Web:
    """All of miniweb, as a pool."""

    def __init__(self, shared: Path, cache: Path, folder: Path) -> None:
        self.pictures = load(shared, cache)[0]
        self.captions = read_captions(shared / "miniweb")
        self.known = Known.of(self.pictures)
        self.folder = folder
        write_pool(self.pictures, range(len(self.pictures.shown)), folder / "pool")
        held = {line.split(",")[0] for line in HELD_OUT.read_text().splitlines()}
        self.held = np.array([shown.key in held for shown in self.pictures.shown])

    def truth(self, name: str) -> tuple[Mask, Mask]:
        """Return which pictures are of a domain, and of which that is known."""
        domain = DOMAINS[name]
        rows = [
            ({"source": shown.source, "label": shown.label}, self.captions.get(shown.key, []))
            for shown in self.pictures.shown
        ]
        right = np.array([domain.belongs(*row) for row in rows])
        return right, np.array([not domain.unknown(*row) for row in rows])

    def anchors(self, name: str, right: Mask) -> Iterator[tuple[pa.Table, list[int]]]:
        """Yield anchors, and the rows of the pool that are theirs: pictures drawn at random.

        Those of an example that has texts are its texts.
        """
        run_file = RunFile.load(EXAMPLES / f"{name}.toml", self.options())
        if run_file.config.anchors.use == "texts":
            yield embed_anchors(run_file, self.folder / "none"), []
            return
        for draw in range(DRAWS):
            rng = np.random.default_rng(draw)
            places = rng.choice(np.flatnonzero(right), ANCHORS, replace=False).tolist()
            yield _as_anchors(self.pictures.some(places)), places

    def options(self) -> list[str]:
        """Return the overrides: only where the pool is, and how it is reached."""
        return [*COMMON, f"retriever.pool={json.dumps(str(self.folder / 'pool'))}"]

    def measure(self, name: str) -> DomainFigures:
        """Try an example as it is."""
        right, known = self.truth(name)
        run_file = RunFile.load(EXAMPLES / f"{name}.toml", self.options())
        rows = []
        everything = np.arange(len(right))
        for anchors, own in self.anchors(name, right):
            trial = Trial(
                run_file, anchors, self.known, everything, self.folder / "run", registry()
            )
            counted = known.copy()
            counted[own] = False
            rows.append(_figures(trial, right, counted, self.held))
        means, least = np.mean(rows, axis=0), np.min(rows, axis=0)
        return DomainFigures(
            precision=float(means[0]),
            least=float(least[0]),
            recall=float(means[1]),
            least_recall=float(least[1]),
            found_recall=float(means[2]),
            candidates=float(means[3]),
            unseen=(float(means[4]), float(means[5])),
        )


def _as_anchors(pictures: Collection) -> pa.Table:
    """Return pictures as the stage ``anchors`` would: their vectors are known already."""
    rows = [
        {
            "source": number,
            "anchor_id": shown.key,
            "view": 0,
            "sha256": sha256_of(shown.file),
            "embedding": vector / np.linalg.norm(vector),
        }
        for number, (shown, vector) in enumerate(
            zip(pictures.shown, pictures.vectors.astype(np.float32), strict=True)
        )
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _figures(trial: Trial, right: Mask, counted: Mask, held: Mask) -> list[float]:
    found, kept = np.zeros(len(right), bool), np.zeros(len(right), bool)
    found[trial.ids], kept[trial.ids] = True, trial.kept

    def share(of: Mask, among: Mask) -> float:
        return float((of & among & counted).sum() / max((among & counted).sum(), 1))

    return [
        share(right, kept),
        share(kept, right),
        share(kept, right & found),
        share(right, found),
        share(right, kept & held),
        share(kept, right & held),
    ]


def try_domains(shared: Path, cache: Path) -> dict[str, DomainFigures]:
    """Try the four examples as they are, in all of miniweb."""
    with tempfile.TemporaryDirectory() as folder:
        web = _Web(shared, cache, Path(folder))
        return {name: web.measure(name) for name in DOMAINS}
