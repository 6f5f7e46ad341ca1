from __future__ import annotations

import numpy as np
import pytest

from laion_eo.types import LanguageTags, Neighbors, Verdict


def test_neighbors_hold_their_contract() -> None:
    Neighbors(np.zeros((2, 3), np.float32), np.zeros((2, 3), np.int64))
    with pytest.raises(ValueError, match=r"\(n, k\)"):
        Neighbors(np.zeros((2, 3), np.float32), np.zeros((3, 2), np.int64))
    with pytest.raises(TypeError, match="float64"):
        Neighbors(np.zeros((2, 3)), np.zeros((2, 3), np.int64))  # type: ignore[arg-type]


def test_a_verdict_has_a_reason_for_each_row() -> None:
    Verdict(np.array([True, False]), ["", "too small"])
    with pytest.raises(ValueError, match="2 rows"):
        Verdict(np.array([True]), ["", ""])
    with pytest.raises(ValueError, match="int64"):
        Verdict(np.array([1]), [""])


def test_language_tags_have_a_score_for_each_code() -> None:
    LanguageTags(["en", None], np.zeros(2, np.float32))
    with pytest.raises(ValueError, match="1 codes"):
        LanguageTags(["en"], np.zeros(2, np.float32))
