"""Anchor source ``texts``: prompts instead of images."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from laion_eo.component import ComponentConfig
from laion_eo.kinds import AnchorSource
from laion_eo.types import Anchor


class TextAnchors(AnchorSource):
    """Each prompt is an anchor, embedded by the text side of the embedder."""

    name = "texts"
    summary = "prompts as anchors, for domains without a dataset"

    class Config(ComponentConfig):
        """Options.

        Attributes:
            prompts: The texts, such as ``"a photo of a show dog"``.
        """

        prompts: tuple[str, ...] = Field(min_length=1)

    config: Config

    def anchors(self) -> Iterator[Anchor]:
        """Yield one text anchor per prompt."""
        return (Anchor(id=prompt, text=prompt) for prompt in self.config.prompts)

    def count(self) -> int:
        """Return the number of prompts."""
        return len(self.config.prompts)
