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
# negatives = ["a drawing", "a map"] # what looks alike and is not wanted, if you know it

[[scorers]]
use = "probe" # learns what sets the anchors apart from images that score low
below = ["text_similarity"]

[[scorers]]
use = "combined" # the sum of both, each in standard deviations of the anchors
columns = ["text_similarity", "probe"]
""",
    filters="""\
# The anchors set the threshold: an image stays if it scores above the lowest 5 % of them.
[[filters]]
use = "similarity-threshold"
fit = "anchors"
percentile = 5
columns.combined = {}
""",
)
"""Where the anchors are images."""

TEXTS = Recipe(
    k=20,
    scorers="""\
# What is measured of each image; nothing is dropped here.
[[scorers]]
use = "image-similarity" # to the text that found it

[[scorers]]
use = "text-similarity" # how well a text says what it shows
prompt = {prompt}
""",
    filters="""\
# Texts do not say where the domain ends, as pictures do: a few of them as anchors, with
# fit = "anchors", make a far better threshold. Or label some: laion-eo evaluate --plan.
[[filters]]
use = "similarity-threshold"
sigma = 0
""",
)
"""Where they are texts, whose similarities are on another scale."""

RECIPES = {"images": IMAGES, "texts": TEXTS}
"""By the name of the anchor source."""
