"""Components of somebody else's plugin, which do not do what they should."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from laion_eo.component import Component
from laion_eo.hookspecs import hookimpl
from laion_eo.kinds import KINDS
from laion_eo.registry import Registry
from laion_eo.testing import colours


def returning(base: type[Component], method: str, change: Callable[[Any], Any]) -> type[Component]:
    """A component whose method returns something else than its base's."""

    def changed(self: Any, *args: Any) -> Any:
        return change(getattr(base, method)(self, *args))

    return type("ThirdParty", (base,), {"name": "third-party", method: changed})


def raising(base: type[Component], method: str) -> type[Component]:
    def fall(value: Any) -> Any:
        raise ZeroDivisionError("no luck\ntoday")

    return returning(base, method, fall)


def installed(cls: type[Component]) -> tuple[Registry, str]:
    """A registry with the component in a plugin of the distribution theirs 1.2, and its table."""
    kind = next(kind for kind in KINDS if issubclass(cls, kind.base))
    registry = Registry.discover([colours])
    hook = hookimpl(specname=kind.hook)(lambda: [cls])
    registry.add(SimpleNamespace(**{kind.hook: hook}), "theirs", "their-package 1.2")
    registry.entries.clear()
    registry._collect()
    return registry, kind.table
