"""The recipes that ``quality.py`` compares, each a run file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from laion_eo.config import RunFile
from laion_eo.types import JSON

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
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
    scorers: list[JSON], filters: list[JSON], retriever: JSON = "exact-scan"
) -> dict[str, JSON]:
    return {
        "anchors": {"use": "images", "root": "."},
        "retriever": {"use": retriever, "pool": ".", "k": 100},
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


def recipes() -> list[Recipe]:
    """Return all recipes, the paper's first."""
    return [
        Recipe("the paper's", EXAMPLES / "ver-0.toml", "image_similarity", SMALL),
        Recipe(
            "text only, mean − 1.5 sd",
            _plain(
                [_IMAGE, _TEXT], [{"use": "similarity-threshold", "sigma": 1.5, "image": -1.0}]
            ),
            "text_similarity",
        ),
        Recipe(
            "RS5M-like: keywords, then a classifier",
            _plain(
                [_IMAGE, _ABOVE],
                [{"use": "column", "column": "above", "min": 0.0}],
                "caption-keywords",
            ),
            "above",
            ("retriever.k=10000",),
            reads_captions=True,
        ),
        Recipe(
            "CLIP score, the better half",
            _plain([_IMAGE, {"use": "caption-similarity"}], []),
            "caption_similarity",
            reads_captions=True,
        ),
    ]
