"""Lets PyPI's torchvision be imported beside a CPU-only torch.

PyPI carries torchvision built against a CUDA torch alone. Beside a CPU-only torch its compiled part
does not load, and the import fails on the schemas of two operators that nothing here calls.
"""

from __future__ import annotations

import sys
from typing import Any

_libraries: list[Any] = []  # a library's operators live as long as it does


def ensure_torchvision() -> None:
    """Import torchvision, defining the two operators if, and only if, the plain import fails.

    Raises:
        ModuleNotFoundError: torchvision is not installed.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if "does not exist" not in str(error):
            raise
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        import torch

        library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        arguments = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        for operator in ("nms", "qnms"):
            library.define(operator + arguments)  # type: ignore[no-untyped-call]
        _libraries.append(library)
        import torchvision
    assert torchvision.__version__
