"""The recipes that ``quality.py`` compares, each a run file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import quality_components
from quality_pools import Collection

from laion_eo.config import RunFile
from laion_eo.kinds import Embedder
from laion_eo.registry import Registry
from laion_eo.types import JSON

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
PAPER, OURS = "the paper's", "ours"
BUDGETS = (20, 40, 60)
KEYWORD_NOTE = (
    "all pictures whose caption has a word such as *satellite*, *aerial* or *from space*, "
    "without a search; then a zero-shot classifier."
)
MOST = 10_000
"""Neighbours where every row of a pool may be one."""
PROMPT = "a satellite image"
COMMON = (
    'embedder={use="tiny-once"}',
    'language_tagger={use="fasttext"}',
    'downloader={use="http", allow_files=true}',
    'embeddings={dtype="float16"}',
)
SMALL = ("filters.min-size.width=128", "filters.min-size.height=128")


@dataclass(frozen=True)
class Recipe:
    """One way to choose images.

    Attributes:
        name: Of the row in the table.
        source: A run file, or its content.
        ranks: The column whose order is measured (average precision).
        overrides: Beside those that all recipes have.
        reads_captions: Whether it looks at captions, which say nothing in ``hardset``.
        labels: Budgets of labels, each in turn, with which it is judged again.
    """

    name: str
    source: Path | dict[str, JSON]
    ranks: str
    overrides: tuple[str, ...] = ()
    reads_captions: bool = False
    labels: tuple[int, ...] = field(default=())

    def options(self, pool: Path, anchors: Sequence[str]) -> list[str]:
        """Return all overrides: a pool, and where the anchors are."""
        place = f"retriever.pool={json.dumps(str(pool))}"
        return [*COMMON, *anchors, *self.overrides, place]

    def run_file(self, pool: Path, anchors: Sequence[str] = ()) -> RunFile:
        """Return the run file for a pool."""
        return RunFile.load(self.source, self.options(pool, anchors))


def anchors_of(shared: Path, manifest: Path | None = None) -> list[str]:
    """Return the overrides that name the real anchors: those without clouds."""
    folder = shared.resolve() / "anchors"
    table = json.dumps(str(manifest or folder / "manifest.csv"))
    where = 'where={cloud_free_visual=["yes", "mostly"]}'
    root = json.dumps(str(folder))
    return [
        f'anchors={{use="images", root={root}, table={table}, {where}}}',
        'normalizer={use="reflectance-gain"}',
    ]


def _plain(
    scorers: list[JSON], filters: list[JSON], retriever: str = "exact-scan", k: int = 100
) -> dict[str, JSON]:
    return {
        "anchors": {"use": "images", "root": "."},
        "retriever": {"use": retriever, "pool": ".", "k": k},
        "scorers": scorers,
        "filters": filters,
        "dataset": {"config": "quality"},
    }


_TEXT: JSON = {"use": "text-similarity", "prompt": PROMPT}
_IMAGE: JSON = {"use": "image-similarity"}
_ABOVE: JSON = {
    "use": "text-similarity",
    "prompts": [PROMPT, "an aerial photo", "a remote sensing image"],
    "negatives": ["a photo", "a drawing", "clip art", "a diagram"],
    "column": "above",
}


def recipes(world: Collection) -> list[Recipe]:
    """Return all recipes, the paper's first.

    Args:
        world: The pictures, which say what a usual cosine of a caption is.
    """
    sigma: JSON = {"use": "similarity-threshold", "sigma": 1.5, "image": -1.0}
    fitted: JSON = {
        "use": "similarity-threshold",
        "fit": "anchors",
        "percentile": 5,
        "columns": {"text_similarity": {}},
    }
    classifier: JSON = {"use": "column", "column": "above", "min": 0.0}
    captions: JSON = {"use": "column", "column": "caption_similarity", "min": usual_cosine(world)}
    said: JSON = {"use": "caption-similarity"}
    ours = EXAMPLES / "satellite.toml"
    return [
        Recipe(PAPER, EXAMPLES / "ver-0.toml", "image_similarity", SMALL),
        Recipe(OURS, ours, "combined", SMALL, labels=BUDGETS),
        Recipe("text only, sigma", _plain([_IMAGE, _TEXT], [sigma]), "text_similarity"),
        Recipe("text only, anchors", _plain([_IMAGE, _TEXT], [fitted]), "text_similarity"),
        Recipe(
            "RS5M-like",
            _plain([_ABOVE], [classifier], "caption-keywords", MOST),
            "above",
            reads_captions=True,
        ),
        Recipe("CLIP score", _plain([said], [captions]), "caption_similarity", reads_captions=True),
    ]


def usual_cosine(world: Collection) -> float:
    """Return the median cosine of an image to its caption, over those of miniweb that have one."""
    said = [place for place, shown in enumerate(world.shown) if shown.caption and not shown.kind]
    model = Registry.discover([quality_components]).build(Embedder, {"use": "tiny-once"}, "quality")
    model.setup()
    texts = model.embed_texts([world.shown[place].caption for place in said])
    images = world.vectors[said].astype(np.float32)
    return float(np.median(np.einsum("nd,nd->n", images, texts)))
