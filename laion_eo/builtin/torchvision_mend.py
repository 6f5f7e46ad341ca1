"""Makes PyPI's torchvision importable with a CPU-only torch.

On PyPI, torchvision is built against a CUDA torch only. With a CPU-only torch its compiled part
does not load, and the import fails on the schemas of two operators that are never called here.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

OPERATORS = ("nms", "qnms")
_libraries: list[Any] = []  # operators exist as long as their library does


def ensure_torchvision() -> None:
    """Import torchvision, defining the two operators if, and only if, the plain import fails.

    Raises:
        ModuleNotFoundError: torchvision is not installed.
        RuntimeError: Its import fails for another reason.
    """
    try:
        import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        _define_operators()
        import_module("torchvision")


def _define_operators() -> None:
    import torch

    library = torch.library.Library("torchvision", "DEF")
    for operator in OPERATORS:
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _libraries.append(library)
