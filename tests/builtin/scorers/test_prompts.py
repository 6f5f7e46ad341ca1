from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from laion_eo.builtin.scorers.prompts import prompt_vector
from laion_eo.component import ComponentConfig, Context
from laion_eo.errors import ConfigError
from laion_eo.testing.colours import Colours
from laion_eo.types import Embeddings


class Compass(Colours):
    """North is the opposite of south, and up is not of this plane."""

    dim = 3

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embed n directions: float32, (n, 3)."""
        known = {"north": (0, 1, 0), "south": (0, -1, 0), "east": (1, 0, 0), "up": (0, 0, 1)}
        return np.array([known[text] for text in texts], np.float32)


@pytest.fixture
def compass() -> Compass:
    return Compass(ComponentConfig(), Context())


@pytest.mark.parametrize(
    ("prompts", "negatives", "want"),
    [
        (["north"], [], (0, 1, 0)),
        (["north", "east"], [], (0.5**0.5, 0.5**0.5, 0)),
        (["north"], ["east"], (-(0.5**0.5), 0.5**0.5, 0)),
        (["north"], ["south"], (0, 1, 0)),
        (["up"], ["north", "east"], (-0.5, -0.5, 0.5**0.5)),
    ],
)
def test_where_prompts_point(
    prompts: list[str], negatives: list[str], want: tuple[float, ...], compass: Compass
) -> None:
    vector = prompt_vector(compass, prompts, negatives)
    assert vector.dtype == np.float32
    np.testing.assert_allclose(vector, want, atol=1e-6)


@pytest.mark.parametrize(
    ("prompts", "negatives", "what"),
    [
        (["north", "south"], [], "the prompts cancel each other out"),
        (["north"], ["south", "north"], "the negatives cancel each other out"),
        (["north", "east"], ["east", "north"], "the negatives say the same as the prompts"),
    ],
)
def test_prompts_that_point_nowhere(
    prompts: list[str], negatives: list[str], what: str, compass: Compass
) -> None:
    with pytest.raises(ConfigError, match=f"text-similarity: to 'colours-1', {what}"):
        prompt_vector(compass, prompts, negatives)
