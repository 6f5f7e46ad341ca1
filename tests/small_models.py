"""Real models of open_clip and transformers, small enough to be made in a test."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from laion_eo.builtin.torchvision_mend import ensure_torchvision

MODEL, DIM = "laion-eo-small", 48
# A model of open_clip like any other, but quick to build: the tests load it some twenty times.
ARCHITECTURE = {
    "embed_dim": DIM,
    "vision_cfg": {"image_size": 224, "layers": 2, "width": 64, "head_width": 32, "patch_size": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
LABELS = ("ja", "nl", "de", "en")


def write_clip(folder: Path) -> Path:
    """Write a checkpoint of random weights, seeded, and tell open_clip of its model."""
    ensure_torchvision()
    import open_clip
    import torch

    (folder / f"{MODEL}.json").write_text(json.dumps(ARCHITECTURE))
    open_clip.add_model_config(folder / f"{MODEL}.json")
    file = folder / "small.pt"
    torch.manual_seed(3)
    torch.save(open_clip.create_model(MODEL, pretrained=None).state_dict(), file)
    return file


def write_xlm(folder: Path, texts: Sequence[str], taught: Mapping[str, str] | None = None) -> Path:
    """Write an XLM-R classifier of two small layers, random weights, seeded.

    Args:
        folder: Where to; created.
        texts: What its tokenizer is made of.
        taught: Texts and their codes, of :data:`LABELS`, that the weights are fitted to.
    """
    if find_spec("torchvision"):
        ensure_torchvision()
    import torch
    import transformers

    special = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokens = _tokens(texts, list(special.values()))
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=tokens, **special)
    torch.manual_seed(1)
    config = transformers.XLMRobertaConfig(
        vocab_size=tokens.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=514,
        initializer_range=0.5,
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
    )
    model = transformers.XLMRobertaForSequenceClassification(config)
    if taught:
        _teach(model.eval(), tokenizer, taught)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokens(texts: Sequence[str], special: list[str]) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

    tokens = Tokenizer(models.Unigram())
    tokens.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=300, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    tokens.train_from_iterator(texts, trainer)
    tokens.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokens


def _teach(model: Any, tokenizer: Any, taught: Mapping[str, str]) -> None:
    """Fit the head until the model tells the texts apart."""
    import torch

    inputs = tokenizer(list(taught), padding=True, return_tensors="pt")
    wanted = torch.tensor([LABELS.index(code) for code in taught.values()])
    steps = torch.optim.Adam(model.classifier.parameters(), lr=0.05)
    for _ in range(50):
        steps.zero_grad()
        model(**inputs, labels=wanted).loss.backward()
        steps.step()
