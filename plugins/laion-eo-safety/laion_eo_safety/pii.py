"""Scorer ``caption-pii``: personal data in captions, found by patterns and check digits."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator

import pyarrow as pa

from laion_eo.component import ComponentConfig, require_packages
from laion_eo.kinds import ScoreBatch, Scorer

LONGEST = 5_000
"""Characters of a caption that are searched."""
# Bounded and without nested repeats: captions are third-party text.
EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[a-zA-Z]{2,24}(?!\w)")
CARD = re.compile(r"(?<![\w-])\d(?:[ -]?\d){12,18}(?![\w-])")
IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
ADDRESS = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])")


class CaptionPii(Scorer):
    """Names the kinds of personal data in a caption, and never the data itself."""

    name = "caption-pii"
    summary = "kinds of personal data in the caption: email, phone, card, ..."
    columns = pa.schema([("caption_pii", pa.string())])

    class Config(ComponentConfig):
        """Options.

        Attributes:
            regions: Countries (ISO 3166 codes) whose phone numbers are found without the ``+``.
        """

        regions: tuple[str, ...] = ()

    config: Config

    def needs(self) -> tuple[str, ...]:
        """Return the caption."""
        return ("caption",)

    def check(self) -> None:
        """Raise ConfigError if a package that knows numbers is not installed."""
        require_packages(self.name, ["phonenumbers", "stdnum"], "laion-eo-safety")

    def score(self, batch: ScoreBatch) -> pa.Table:
        """Return the column ``caption_pii``: kinds joined by commas, null where there are none."""
        captions = batch.table["caption"].to_pylist()
        found = [",".join(self._kinds(caption or "")) or None for caption in captions]
        return pa.table([pa.array(found, pa.string())], schema=self.columns)

    def _kinds(self, caption: str) -> Iterator[str]:
        text = caption[:LONGEST]
        if EMAIL.search(text):
            yield "email"
        if self._has_phone(text):
            yield "phone"
        for kind, pattern, is_one in CHECKED:
            if any(is_one(match.group()) for match in pattern.finditer(text)):
                yield kind

    def _has_phone(self, text: str) -> bool:
        import phonenumbers

        if not any(character.isdigit() for character in text):
            return False
        return any(
            phonenumbers.PhoneNumberMatcher(text, region).has_next()
            for region in (None, *self.config.regions)
        )


def _is_card(text: str) -> bool:
    from stdnum import luhn

    return luhn.is_valid(re.sub(r"\D", "", text))


def _is_iban(text: str) -> bool:
    from stdnum import iban

    return iban.is_valid(text)


def _is_address(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


CHECKED: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
    ("card", CARD, _is_card),
    ("iban", IBAN, _is_iban),
    ("ip-address", ADDRESS, _is_address),
)
