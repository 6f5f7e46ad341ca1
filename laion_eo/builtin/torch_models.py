"""Shared by the components that run models with torch: devices, and weights from the Hub."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from laion_eo.errors import ConfigError

if TYPE_CHECKING:
    import torch


def pick_device(wanted: str, component: str) -> str:
    """Return the torch device to use.

    Args:
        wanted: ``auto`` takes a GPU where there is one, else the CPU; or torch's name of one.
        component: The component whose option it is, for the message.

    Raises:
        ConfigError: There is no such device here.
    """
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=wanted)
    # A torch that was built without CUDA raises AssertionError.
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(
            f"{component}: device = {wanted!r} is unavailable here: {brief(error)} "
            'device = "auto" takes what is available.'
        ) from None
    return wanted


def hub_is_offline() -> bool:
    """Tell whether the environment keeps huggingface_hub from the network: HF_HUB_OFFLINE."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def hub_folder(repo: str, patterns: Sequence[str], revision: str | None = None) -> Path:
    """Return the local folder with a model repository's files, after fetching missing ones.

    Without a network the files come from the Hub's cache. If they are not cached either, this fails
    at once; the model libraries would retry for most of a minute.

    Args:
        repo: ``organization/name`` on the Hub.
        patterns: Which files, such as ``*.safetensors``.
        revision: Branch, tag or commit; the default branch by default.

    Raises:
        ConfigError: The Hub does not answer or refuses, and the files are not cached.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=list(patterns)))
    # Each major version of huggingface_hub raises the exceptions of another HTTP library.
    except Exception as error:  # noqa: BLE001
        raise ConfigError(f"{repo} is unavailable from the Hub: {brief(error)}") from None


def state_sha256(model: torch.nn.Module) -> str:
    """Return the SHA-256 of a model's weights as float32, whatever the format of their file."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        # A flat, contiguous array is hashed without a copy.
        digest.update(tensor.detach().float().cpu().contiguous().view(-1).numpy())
    return digest.hexdigest()


def brief(error: BaseException) -> str:
    """Return an exception's class and the first sentence of its message, on one line."""
    sentence = next(iter(str(error).strip().splitlines()), "").partition(". ")[0].rstrip(" .:")
    return f"{type(error).__name__}: {sentence}." if sentence else f"{type(error).__name__}."
