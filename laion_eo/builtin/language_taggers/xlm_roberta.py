"""Language tagger ``xlm-roberta``, which the paper used (section 2.4)."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from pydantic import Field

from laion_eo.builtin.language_taggers.base import (
    PAPER_LANGUAGES,
    OfLetters,
    unknown_languages,
)
from laion_eo.builtin.torch_models import (
    brief,
    hub_folder,
    hub_is_offline,
    pick_device,
    state_sha256,
)
from laion_eo.builtin.torchvision_mend import ensure_torchvision
from laion_eo.component import require_packages
from laion_eo.config import NameOrRunPath
from laion_eo.errors import ConfigError
from laion_eo.fingerprint import files_identity
from laion_eo.types import JSON

# What transformers raises about a folder without a model.
_UNREADABLE = (ConfigError, OSError, ValueError, TypeError, LookupError, RuntimeError)
PAPER_MODEL = "papluca/xlm-roberta-base-language-detection"
PACKAGES = ("torch", "safetensors", "transformers")
HUB_FILES = ("*.json", "*.safetensors", "*.model")


class XlmRoberta(OfLetters):
    """The paper's tagger (section 2.4): XLM-RoBERTa, fine-tuned on 20 languages.

    By default it does what the paper did: it sees captions as they are, and tags file names, too.
    """

    name = "xlm-roberta"
    summary = "papluca/xlm-roberta-base-language-detection, as in the paper"

    class Config(OfLetters.Config):
        """Options.

        Attributes:
            model: Name on the Hub, or a local folder that ``save_pretrained`` wrote
                (``models/xlmr`` starts at the run file's folder; one beside it is ``./xlmr``).
            revision: Revision on the Hub.
            batch_size: Texts that are tagged together.
            max_tokens: Tokens to which longer texts are truncated.
            device: ``auto`` takes a GPU if there is one.
        """

        tag_noise: bool = True
        model: NameOrRunPath = PAPER_MODEL
        revision: str = "main"
        batch_size: int = Field(default=64, ge=1)
        max_tokens: int = Field(default=128, ge=8, le=512)
        device: str = "auto"

    config: Config

    def identity(self) -> JSON:
        """Return a hash of the names, sizes and modification times of a local model's files."""
        folder = Path(self.config.model)
        return files_identity(sorted(folder.iterdir())) if folder.is_dir() else None

    def check(self) -> None:
        """Raise for packages and weights that are known to be missing.

        Raises:
            ConfigError: A package of the extra ``language``; the local folder is not there; the Hub
                is switched off (``HF_HUB_OFFLINE``) and its cache does not have the model; or the
                model is known not to know one of the languages to choose from.
        """
        require_packages(self.name, PACKAGES, "laion-eo[language]")
        local = Path(self.config.model)
        try:
            if local.is_absolute() and not local.is_dir():
                raise ConfigError("there is no such folder.")
            if hub_is_offline() and not (self._folder() / "config.json").is_file():
                raise ConfigError("the Hub's cache does not have it.")
        except ConfigError as error:
            raise self._error(str(error)) from None
        self._check_languages(self._declared())

    def _declared(self) -> Collection[str] | None:
        """Return the model's languages as far as they are known without loading it."""
        file = Path(self.config.model) / "config.json"
        if not file.is_absolute():
            return PAPER_LANGUAGES if self.config.model == PAPER_MODEL else None
        try:
            return set(json.loads(file.read_bytes())["id2label"].values())
        except (OSError, ValueError, LookupError, AttributeError, TypeError):
            return None  # what is wrong with it, setup says

    def _check_languages(self, known: Collection[str] | None) -> None:
        if known and (fault := unknown_languages(self.config.languages, known)):
            raise ConfigError(f"xlm-roberta: language_tagger.languages: {fault}.")

    def _error(self, reason: str) -> ConfigError:
        return ConfigError(
            f"xlm-roberta: the model {self.config.model!r} cannot be loaded: {reason} "
            'Name a local folder with language_tagger.model, or use = "fasttext".'
        )

    def setup(self) -> None:
        """Load tokenizer and model.

        Raises:
            ConfigError: transformers is not installed, the model or the device is unavailable, or
                the model does not know one of the languages to choose from.
        """
        try:
            import torch  # noqa: F401 - without it, transformers fails only on loading a model
            from safetensors import SafetensorError

            # transformers works without torchvision, but not with one that fails to import.
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
            raise self._error(reason) from None
        labels = model.config.id2label
        self._check_languages(set(labels.values()))
        chosen = self.config.languages or labels.values()
        self._columns = [number for number, label in sorted(labels.items()) if label in chosen]
        self._folder_name = folder.name
        self._model = model.eval().to(self._device)

    def _folder(self) -> Path:
        if Path(self.config.model).is_absolute():
            return Path(self.config.model)
        return hub_folder(self.config.model, HUB_FILES, self.config.revision)

    def _detect(self, texts: list[str]) -> list[tuple[str, float]]:
        import torch

        # Texts of similar length share a batch, so that little of it is padding.
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        found: list[tuple[str, float]] = [("", 0.0)] * len(texts)
        for start in range(0, len(order), self.config.batch_size):
            batch = order[start : start + self.config.batch_size]
            inputs = self._tokenizer(
                [texts[i] for i in batch],
                padding=True,
                truncation=True,
                max_length=self.config.max_tokens,
                return_tensors="pt",
            ).to(self._device)
            with torch.inference_mode():
                logits = self._model(**inputs).logits.float()[:, self._columns]
                chances = logits.softmax(-1).max(-1)
            labels = [self._model.config.id2label[number] for number in self._columns]
            scores, indices = chances.values.tolist(), chances.indices.tolist()
            for i, score, label in zip(batch, scores, indices, strict=True):
                found[i] = (labels[label], score)
        return found

    def facts(self) -> dict[str, JSON]:
        """Return the model's name, revision (from the Hub: a commit) and hash, and the device."""
        return {
            "model": self.config.model,
            "revision": self._folder_name,
            "weights_sha256": state_sha256(self._model),
            "device": self._device,
        }


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Keep transformers from showing progress bars and advice while it loads a model."""
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
