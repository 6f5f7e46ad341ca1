from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from captions import CAPTIONS, NOTHING
from fakes.hub_state import Fault, LoopbackHub
from small_models import write_xlm

from laion_eo.builtin.language_taggers.xlm_roberta import XlmRoberta
from laion_eo.component import Context
from laion_eo.config import validate
from laion_eo.errors import ConfigError


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
    for i, text in enumerate(TEXTS):
        if i % 2:
            assert (tags.codes[i], tags.scores[i]) == (None, 0.0)
            continue
        with torch.inference_mode():
            chances = model(**tokenizer(text, return_tensors="pt")).logits.softmax(-1)[0]
        assert tags.codes[i] == model.config.id2label[int(chances.argmax())]
        assert tags.scores[i] == pytest.approx(float(chances.max()), abs=1e-5)
    assert len({code for code in tags.codes if code}) > 1


FILE_NAMES = ["IMG_2034.jpg", "https://example.org/a.jpg", "USA", "640 x 480 px"]


def test_xlm_roberta_tags_file_names_as_the_paper_did(
    roberta: XlmRoberta, xlm_folder: Path
) -> None:
    assert all(roberta.tag(FILE_NAMES).codes)
    assert roberta.sees_noise
    tagger = xlm(xlm_folder, tag_noise=False)
    tagger.setup()
    tags = tagger.tag([*FILE_NAMES, CAPTIONS[0][1]])
    assert tags.codes == [None, None, None, None, *roberta.tag([CAPTIONS[0][1]]).codes]
    assert tags.scores[:4].tolist() == [0.0] * 4


def test_xlm_roberta_chooses_among_the_languages_named(
    roberta: XlmRoberta, xlm_folder: Path
) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(xlm_folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(xlm_folder)
    named = ["ja", "de"]
    columns = [model.config.label2id[code] for code in named]
    tagger = xlm(xlm_folder, languages=named)
    tagger.setup()
    texts = [text for _, text in CAPTIONS]
    tags = tagger.tag(texts)
    assert set(tags.codes) <= set(named)
    assert tags.codes != roberta.tag(texts).codes
    for text, code, score in zip(texts, tags.codes, tags.scores, strict=True):
        with torch.inference_mode():
            logits = model(**tokenizer(text, return_tensors="pt")).logits[0][columns]
        chances = logits.softmax(-1).tolist()
        assert score == pytest.approx(max(chances), abs=1e-5)
        assert code == named[chances.index(max(chances))]


def test_xlm_roberta_says_nothing_when_it_is_not_sure(
    roberta: XlmRoberta, xlm_folder: Path
) -> None:
    tags = roberta.tag(TEXTS)
    least = float(np.median(tags.scores[::2]))
    tagger = xlm(xlm_folder, min_score=least, batch_size=4)
    tagger.setup()
    sure = tagger.tag(TEXTS)
    is_sure = tags.scores >= np.float32(least)
    assert 0 < is_sure.sum() < len(CAPTIONS)
    assert [code is not None for code in sure.codes] == is_sure.tolist()
    np.testing.assert_array_equal(sure.scores, np.where(is_sure, tags.scores, 0))


def test_a_language_that_the_model_does_not_know(xlm_folder: Path, blocked_network: None) -> None:
    """It is refused before any work where the model is at hand or the paper's, else on loading."""
    paper = XlmRoberta.Config().model
    for model in (xlm_folder, paper):
        with pytest.raises(ConfigError, match="no language 'jp' is known. Did you mean 'ja'?"):
            xlm(model, languages=["en", "jp"]).check()
        xlm(model, languages=["en", "ja"]).check()
    xlm("somebody/else", languages=["nv"]).check()
    with pytest.raises(ConfigError, match="language_tagger.languages: no language 'ko'"):
        xlm(xlm_folder, languages=["ko"]).setup()


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


def test_xlm_roberta_loads_without_further_words(
    xlm_folder: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    tagger = xlm(xlm_folder)
    tagger.setup()
    assert tagger.tag(["Ein Haus am See", "x" * 100_000]).scores.shape == (2,)
    assert "".join(capfd.readouterr()) == ""  # no bars, no advice
    assert [r.message for r in caplog.records if r.name.startswith("transformers")] == []


def test_a_model_that_the_hub_does_not_have(hub: LoopbackHub) -> None:
    hub.faults.append(Fault("GET", "models/papluca/xlm", 404, 99))
    pytest.importorskip("transformers")
    name = XlmRoberta.Config().model
    with pytest.raises(ConfigError) as caught:
        xlm(name).setup()
    line = str(caught.value)
    assert line.startswith(f"xlm-roberta: the model '{name}' cannot be loaded: ")
    assert 'use = "fasttext"' in line
    assert "\n" not in line
    assert hub.token not in line
    assert hub.faults[0].times == 98  # no retries


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
