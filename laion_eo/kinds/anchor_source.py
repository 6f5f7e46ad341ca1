"""Kind ``anchor-source``: where the anchors come from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import AfterValidator

from laion_eo.component import Component, ComponentConfig
from laion_eo.types import Anchor, SkippedAnchor


def _some_text(text: str) -> str:
    if not text.strip():
        raise ValueError("a text is empty")
    return text


def _each_once(texts: tuple[str, ...]) -> tuple[str, ...]:
    if twice := {text for text in texts if texts.count(text) > 1}:
        raise ValueError(f"{min(twice)!r} twice")
    return texts


class AnchorSourceConfig(ComponentConfig):
    """Options of sources whose images can have texts beside them.

    Attributes:
        texts: Texts that are searched for beside the images, such as ``"a satellite image"``: each
            is an anchor, numbered after the images. An image of the pool that both found belongs
            to the image anchor, as their similarities are on different scales.
    """

    texts: Annotated[
        tuple[Annotated[str, AfterValidator(_some_text)], ...], AfterValidator(_each_once)
    ] = ()


class AnchorSource(Component):
    """A representative subset of the domain of interest (section 2.1 of the paper)."""

    @abstractmethod
    def anchors(self) -> Iterator[Anchor | SkippedAnchor]:
        """Yield the samples, lazily and always in the same order.

        A sample that cannot be read is yielded as a :class:`~laion_eo.types.SkippedAnchor`, so that
        the others keep their numbers.

        Raises:
            DataError: The source as a whole is missing or has another layout.
        """

    def count(self) -> int | None:
        """Return how many samples there are, if that is cheap to know."""
        return None


def texts_beside(source: AnchorSource) -> Sequence[Anchor]:
    """Return the text anchors that the options put after the samples of a source."""
    texts = source.config.texts if isinstance(source.config, AnchorSourceConfig) else ()
    return [Anchor(id=text, text=text) for text in texts]
