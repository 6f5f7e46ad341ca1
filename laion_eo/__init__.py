"""laion-eo: from an anchor dataset to a dataset of its domain.

The functions below are the Python face of the commands of the same names. They are loaded on first
use, so that importing the package costs nothing but this file.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from laion_eo.version import __version__

if TYPE_CHECKING:
    from laion_eo.dataset.links import check_links
    from laion_eo.dataset.loading import load_dataset
    from laion_eo.dataset.pull import pull
    from laion_eo.evaluation import evaluate, plan_labels
    from laion_eo.integrity.explain import explain
    from laion_eo.integrity.export import export
    from laion_eo.integrity.release import release
    from laion_eo.integrity.verify import verify
    from laion_eo.pipeline import plan, run
    from laion_eo.pools import index
    from laion_eo.scaffold.domain import init

_LAZY = {
    "check_links": "laion_eo.dataset.links",
    "evaluate": "laion_eo.evaluation",
    "explain": "laion_eo.integrity.explain",
    "export": "laion_eo.integrity.export",
    "index": "laion_eo.pools",
    "init": "laion_eo.scaffold.domain",
    "load_dataset": "laion_eo.dataset.loading",
    "plan": "laion_eo.pipeline",
    "plan_labels": "laion_eo.evaluation",
    "pull": "laion_eo.dataset.pull",
    "release": "laion_eo.integrity.release",
    "run": "laion_eo.pipeline",
    "verify": "laion_eo.integrity.verify",
}
__all__ = [
    "__version__",
    "check_links",
    "evaluate",
    "explain",
    "export",
    "index",
    "init",
    "load_dataset",
    "plan",
    "plan_labels",
    "pull",
    "release",
    "run",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
