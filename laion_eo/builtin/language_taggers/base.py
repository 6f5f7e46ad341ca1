"""What the built-in language taggers share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from laion_eo.kinds import LanguageTagger
from laion_eo.types import LanguageTags


def has_letters(text: str) -> bool:
    """Tell whether a text has anything that could have a language."""
    return any(character.isalpha() for character in text)


class OfLetters(LanguageTagger):
    """A tagger that is asked only about texts with letters; the others have no language."""

    def tag(self, texts: Sequence[str]) -> LanguageTags:
        """Tag n texts, empty and meaningless ones among them."""
        codes: list[str | None] = [None] * len(texts)
        scores = np.zeros(len(texts), dtype=np.float32)
        # Line breaks end a text for fastText, and mean nothing in a caption.
        asked = {i: " ".join(text.split()) for i, text in enumerate(texts) if has_letters(text)}
        found = self._detect(list(asked.values()))
        for place, (code, score) in zip(asked, found, strict=True):
            codes[place], scores[place] = code, score
        return LanguageTags(codes, scores)

    @abstractmethod
    def _detect(self, texts: list[str]) -> list[tuple[str, float]]:
        """Return (code, confidence) for each text."""
