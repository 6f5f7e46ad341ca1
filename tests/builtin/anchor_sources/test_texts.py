from __future__ import annotations

import pytest
from pydantic import ValidationError

from laion_eo.builtin.anchor_sources.texts import TextAnchors
from laion_eo.component import Context


def test_each_prompt_is_an_anchor() -> None:
    source = TextAnchors(TextAnchors.Config(prompts=("a dog", "a cat")), Context())
    assert [anchor.text for anchor in source.anchors()] == ["a dog", "a cat"]
    assert source.count() == 2


def test_no_prompt_is_an_error() -> None:
    with pytest.raises(ValidationError):
        TextAnchors.Config(prompts=())
