from __future__ import annotations

from typing import ClassVar

import pytest
from laion_eo_safety.pii import CaptionPii

from laion_eo.testing.suites import ScorerTests

FOUND = {
    "Ask jane.doe+web@mail.example.co.uk for prints": "email",
    "call +49 30 901820 today": "phone",
    "ring (020) 7946 0018": "phone",
    "paid with 4111 1111 1111 1111": "card",
    "donate: DE89 3704 0044 0532 0130 00": "iban",
    "seen from 8.8.8.8 at night": "ip-address",
    "jane@example.org, +1 202 456 1111": "email,phone",
}
CLEAN = (
    "Sentinel-2 image of 2017-06-13, tile 33UUP",
    "EPSG:4326, 46.4983 N 11.3548 E",
    "S2A_MSIL2A_20170613T101031_N0205_R022_T33UUP_20170613T101608",
    "4111 1111 1111 1112 is no card",
    "DE90 3704 0044 0532 0130 00 is no account",
    "version 1.2.3.4.5 and 192.168.0.1 and 999.1.1.1",
    "email me @ home",
    "ISBN 978-3-16-148410-0, 1920x1080 wallpaper 0012345",
    "",
)


class TestCaptionPii(ScorerTests):
    component_cls = CaptionPii
    options: ClassVar[dict[str, list[str]]] = {"regions": ["GB"]}

    @pytest.mark.parametrize(("caption", "kinds"), FOUND.items())
    def test_what_is_personal_is_named(
        self, component: CaptionPii, caption: str, kinds: str
    ) -> None:
        (row,) = component.score(self.batch([caption])).to_pylist()
        assert row["caption_pii"] == kinds

    @pytest.mark.parametrize("caption", CLEAN)
    def test_what_is_not_is_let_be(self, component: CaptionPii, caption: str) -> None:
        (row,) = component.score(self.batch([caption])).to_pylist()
        assert row["caption_pii"] is None

    @pytest.mark.parametrize("caption", ["a@" * 100_000, "1 " * 100_000, "a." * 100_000 + "@"])
    def test_a_hostile_caption_is_soon_done(self, component: CaptionPii, caption: str) -> None:
        (row,) = component.score(self.batch([caption])).to_pylist()
        assert "email" not in (row["caption_pii"] or "")
