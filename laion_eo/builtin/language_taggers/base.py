"""The base class of the built-in language taggers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from laion_eo.kinds import LanguageTagger
from laion_eo.types import LanguageTags


def has_letters(text: str) -> bool:
    """Return whether a text has letters, without which it has no language."""
    return any(character.isalpha() for character in text)


class OfLetters(LanguageTagger):
    """A tagger of texts with letters; the others have no language."""

    def tag(self, texts: Sequence[str]) -> LanguageTags:
        """Tag n texts, which may be empty or have no letters."""
        codes: list[str | None] = [None] * len(texts)
        scores = np.zeros(len(texts), dtype=np.float32)
        # Line breaks mean nothing in a caption, but end the text for fastText.
        asked = {i: " ".join(text.split()) for i, text in enumerate(texts) if has_letters(text)}
        found = self._detect(list(asked.values()))
        for i, (code, score) in zip(asked, found, strict=True):
            codes[i], scores[i] = code, score
        return LanguageTags(codes, scores)

    @abstractmethod
    def _detect(self, texts: list[str]) -> list[tuple[str, float]]:
        """Return (code, confidence) for each text."""
