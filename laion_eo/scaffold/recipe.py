"""The recipe for a domain of one's own: how many neighbours, which scorers, which filters.

``laion-eo init`` writes it into each run file, and the examples of other domains have it. Here, and
nowhere else, it is changed.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is the same in every domain.

    Attributes:
        k: Neighbours of each anchor.
        scorers: The tables ``[[scorers]]``, with ``{prompt}`` where the domain's prompt goes.
        filters: The tables ``[[filters]]`` that judge likeness.
    """

    k: int
    scorers: str
    filters: str


IMAGES = Recipe(
    k=100,
    scorers="""\
# What is measured of each image; nothing is dropped here.
[[scorers]]
use = "image-similarity" # how much it looks like the anchor that found it

[[scorers]]
use = "text-similarity" # how well a text says what it shows
prompt = {prompt}
""",
    filters="""\
[[filters]]
use = "similarity-threshold"
sigma = 1.5
""",
)
"""Where the anchors are images."""

TEXTS = IMAGES
"""Where they are texts, whose similarities are on another scale."""

RECIPES = {"images": IMAGES, "texts": TEXTS}
"""By the name of the anchor source."""
