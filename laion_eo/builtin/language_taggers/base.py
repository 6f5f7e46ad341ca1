"""The base class of the built-in language taggers, and the options that they share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Sequence

import numpy as np
from pydantic import Field

from laion_eo.component import ComponentConfig
from laion_eo.errors import did_you_mean
from laion_eo.kinds import LanguageTagger
from laion_eo.kinds.noise import is_noise
from laion_eo.types import LanguageTags

_PAPER = """
ar bg de el en es fr hi it ja nl pl pt ru sw th tr ur vi zh
"""
PAPER_LANGUAGES = frozenset(_PAPER.split())
"""Codes of the languages that the paper's model knows, and so of those in its Figure 7."""
COUNTRIES = {"cn": "zh", "cz": "cs", "dk": "da", "gr": "el", "jp": "ja", "kr": "ko", "ua": "uk"}
"""Codes of countries that are easily taken for those of their languages."""
LISTED = 30
"""Languages up to which a message lists all that are known."""


def has_letters(text: str) -> bool:
    """Return whether a text has letters, without which it has no language."""
    return any(character.isalpha() for character in text)


def unknown_languages(asked: Collection[str], known: Collection[str]) -> str | None:
    """Return what is wrong with codes of languages that a tagger is to choose from, if anything."""
    for code in asked:
        if code not in known:
            meant = COUNTRIES.get(code.lower(), code.lower()[:3])
            hint = did_you_mean(meant, known)
            listed = f"It knows {len(known)}, by their codes of ISO 639"
            if len(known) <= LISTED:
                listed = f"Known: {', '.join(sorted(known))}"
            return f"no language {code!r} is known.{hint} {listed}"
    return None


class OfLetters(LanguageTagger):
    """A tagger of texts with letters; the others have no language."""

    class Config(ComponentConfig):
        """Options.

        Attributes:
            languages: Codes of the languages to choose from, such as ``["en", "de"]``: every
                caption that is tagged gets one of them, and their confidences sum to 1. By
                default all that the model knows.
            min_score: Confidence below which a caption has no language, 0..1.
            tag_noise: Whether file names, URLs, numbers and codes are tagged, too; the paper did.
        """

        languages: tuple[str, ...] = ()
        min_score: float = Field(default=0.0, ge=0.0, le=1.0)
        tag_noise: bool = False

    config: Config

    @property
    def sees_noise(self) -> bool:
        """Whether noise is shown to it: always, as its own option says what becomes of that."""
        return True

    def tag(self, texts: Sequence[str]) -> LanguageTags:
        """Tag n texts, which may be empty, have no letters or be noise."""
        codes: list[str | None] = [None] * len(texts)
        scores = np.zeros(len(texts), dtype=np.float32)
        # Line breaks mean nothing in a caption, but end the text for fastText.
        asked = {i: " ".join(text.split()) for i, text in enumerate(texts) if self._is_asked(text)}
        found = self._detect(list(asked.values()))
        for i, (code, score) in zip(asked, found, strict=True):
            if score >= self.config.min_score:
                codes[i], scores[i] = code, score
        return LanguageTags(codes, scores)

    def _is_asked(self, text: str) -> bool:
        return has_letters(text) if self.config.tag_noise else not is_noise(text)

    @abstractmethod
    def _detect(self, texts: list[str]) -> list[tuple[str, float]]:
        """Return (code, confidence) for each text."""
