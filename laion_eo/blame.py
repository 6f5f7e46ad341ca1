"""Who raised it: an exception from third-party code becomes one line that names its plugin."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from laion_eo.component import Component
from laion_eo.errors import LaionEOError, RunError
from laion_eo.redaction import hide_causes
from laion_eo.registry import Registry
from laion_eo.texts import one_line


def culprit(error: BaseException, registry: Registry) -> str | None:
    """Return who was at work when an exception was raised, or ``None`` if no plugin was.

    The innermost frame counts: of a scorer that calls a broken embedder, the embedder is named. The
    exception's traceback is read after the fact, so that calls that go well cost nothing.

    Args:
        error: What was raised; its traceback is read.
        registry: Knows whose the hooks are.

    Returns:
        Component, plugin and distribution, for a message.
    """
    found = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        found = _owner(frame, registry) or found
    # Python puts a RuntimeError in the place of a StopIteration that passes through a generator.
    if found is None and isinstance(error.__cause__, StopIteration):
        return culprit(error.__cause__, registry)
    return found


def _owner(frame: FrameType, registry: Registry) -> str | None:
    component = frame.f_locals.get("self")
    if isinstance(component, Component):
        return f"{component.name!r} ({component.provider})"
    hook = frame.f_code.co_name
    if hook.startswith("laion_eo_") and (owner := registry.owner_of(frame.f_code)):
        return f"the hook {hook} ({owner})"
    return None


@contextmanager
def naming_culprits(registry: Registry) -> Iterator[None]:
    """Turn what a component or a hook raises inside the block into one line that names it.

    Errors of laion-eo's own kinds pass: they say what to do already. So does what no plugin raised.

    Raises:
        RunError: A component or a hook raised; its exception is the cause.
    """
    try:
        yield
    except LaionEOError as error:
        hide_causes(error)
        raise
    except Exception as error:
        owner = culprit(error, registry)
        if owner is None:
            raise
        failed = RunError(f"{owner} raised {type(error).__name__}: {one_line(error)}")
        failed.__cause__ = error
        hide_causes(failed)
        raise failed from failed.__cause__
