"""laion-eo: from an anchor dataset to a dataset of its domain.

The functions below are the Python face of the commands of the same names. They are loaded on first
use, so that importing the package costs nothing but this file.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from laion_eo.pipeline import index, plan, run

__version__ = "0.1.0"
__all__ = ["__version__", "index", "plan", "run"]

_LAZY = {"index": "laion_eo.pipeline", "plan": "laion_eo.pipeline", "run": "laion_eo.pipeline"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
