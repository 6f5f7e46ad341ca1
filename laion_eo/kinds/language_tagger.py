"""Kind ``language-tagger``: the languages of captions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from laion_eo.component import Component
from laion_eo.types import LanguageTags


class LanguageTagger(Component):
    """Names the language of each caption (section 2.4 and Figure 7 of the paper)."""

    @property
    def sees_noise(self) -> bool:
        """Whether captions that are noise, such as file names and URLs, are shown to it as well.

        By default a run gives those no language itself (:func:`laion_eo.kinds.noise.is_noise`), and
        asks the tagger about the others only.
        """
        return False

    @abstractmethod
    def tag(self, texts: Sequence[str]) -> LanguageTags:
        """Tag n texts, empty and meaningless ones among them."""
