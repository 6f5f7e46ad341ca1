"""Names the component behind a fault: what it returned is wrong, or cannot even be looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar, cast

from laion_eo.component import Component
from laion_eo.errors import LaionEOError, RunError
from laion_eo.texts import one_line

P = ParamSpec("P")
V = TypeVar("V")
T = TypeVar("T")


def fail(component: Component, what: str) -> RunError:
    """Return the error that names a component which broke its contract, and who provides it."""
    said = one_line(what, 1000)
    return RunError(f"{component.name!r} ({component.provider}) broke its contract: {said}.")


def blaming(
    check: Callable[Concatenate[Component, V, P], T],
) -> Callable[Concatenate[Component, V, P], T]:
    """Let a check name the component, too, where looking at a value runs code that raises.

    A value's length, its comparison and its text are methods of third parties.
    """

    @wraps(check)
    def checked(component: Component, value: V, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return check(component, value, *args, **kwargs)
        except LaionEOError:
            raise
        except Exception as error:
            what = f"a {type(value).__name__} that cannot be read: {type(error).__name__}: "
            raise fail(component, what + one_line(error)) from error

    return cast("Callable[Concatenate[Component, V, P], T]", checked)


def each(component: Component, values: Iterable[T]) -> Iterator[T]:
    """Yield what a component yields; what its iterator raises is put down to it.

    Raises:
        RunError: It is no iterable, or raises.
    """
    try:
        iterator = iter(values)
    except TypeError:
        raise fail(component, f"an iterable wanted, got {type(values).__name__}") from None
    while True:
        try:
            value = next(iterator)
        except StopIteration:
            return
        except (LaionEOError, OSError):  # a full disk is nobody's fault
            raise
        except Exception as error:
            who = f"{component.name!r} ({component.provider})"
            raise RunError(f"{who} raised {type(error).__name__}: {one_line(error)}") from error
        yield value


def of_type(component: Component, value: object, wanted: type[T], what: str = "") -> T:
    """Return a value if it is of a type.

    Args:
        component: Whose value it is.
        value: The value.
        wanted: The type.
        what: What the value is, for the message.

    Raises:
        RunError: It is not.
    """
    if not isinstance(value, wanted):
        of = f" as {what}" if what else ""
        raise fail(component, f"{wanted.__name__} wanted{of}, got {type(value).__name__}")
    return value
