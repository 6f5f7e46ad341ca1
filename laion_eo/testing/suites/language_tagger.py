"""The suite of language taggers."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from laion_eo.kinds import LanguageTagger
from laion_eo.kinds.contract import check_tags
from laion_eo.testing.suites.base import ComponentTests

TEXTS = (
    "A satellite image of a river delta in the early morning",
    "",
    "12345",
    "Ein Luftbild der Stadt mit dem Fluss und den Brücken",
    "line\nbreak and\ttab",
    "🛰🛰🛰",
    "word " * 2000,
)


class LanguageTaggerTests(ComponentTests):
    """Tests of a :class:`~laion_eo.kinds.LanguageTagger`.

    Attributes:
        known: Sentences and their true codes; clear ones, in languages that the tagger knows.
    """

    known: ClassVar[dict[str, str]] = {TEXTS[0]: "en"}

    def test_every_text_has_a_tag(self, component: LanguageTagger) -> None:
        """N codes or None, n confidences of 0..1, float32; empty and odd texts among them."""
        check_tags(component, component.tag(TEXTS), len(TEXTS))

    def test_what_says_nothing_has_no_language(self, component: LanguageTagger) -> None:
        """An empty text and one of digits have no language."""
        assert list(component.tag(["", "12345", "  "]).codes) == [None, None, None]

    def test_codes_are_iso_639(self, component: LanguageTagger) -> None:
        """Codes are lower-case letters, two of them where ISO 639-1 has the language."""
        for code in component.tag(TEXTS).codes:
            assert code is None or (code.isalpha() and code.islower() and 2 <= len(code) <= 3)

    def test_it_knows_its_languages(self, component: LanguageTagger) -> None:
        """Clear sentences get their languages."""
        assert list(component.tag(list(self.known)).codes) == list(self.known.values())

    def test_texts_do_not_depend_on_each_other(self, component: LanguageTagger) -> None:
        """A text's tag does not depend on the texts beside it."""
        together = component.tag(TEXTS)
        alone = [component.tag([text]) for text in TEXTS]
        assert list(together.codes) == [tags.codes[0] for tags in alone]
        scores = np.array([tags.scores[0] for tags in alone])
        np.testing.assert_allclose(together.scores, scores, atol=1e-3)

    def test_no_texts(self, component: LanguageTagger) -> None:
        """No texts give no tags."""
        check_tags(component, component.tag([]), 0)
