"""Calls to the Hub: retried where that helps, and one clear line where it does not."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from laion_eo.errors import ConfigError, LaionEOError, RunError
from laion_eo.retrying import RetryPolicy, retry_after
from laion_eo.version import __version__

logger = logging.getLogger("laion_eo")

T = TypeVar("T")
POLICY = RetryPolicy(tries=5, first_wait=1.0, longest_wait=600.0)
"""Waits of 1, 2, 4 and 8 seconds, or what the Hub asks for, up to ten minutes."""
NO_ANSWER = 0
"""Stands for a connection that broke, or never was, among the status codes."""
TRANSIENT = frozenset({NO_ANSWER, 409, 412, 429, 500, 502, 503, 504})
"""Status codes after which a retry may succeed."""
NOT_DONE = frozenset({409, 412, 429})
"""Of these, the ones that say for sure that the request was not carried out."""
_LOGIN = "log in with `hf auth login`, or set HF_TOKEN to a token that may write there"


def connect() -> Any:
    """Return the Hub's client, with the token of the Hub's login or of ``HF_TOKEN``.

    Raises:
        ConfigError: ``HF_HUB_OFFLINE`` forbids to ask the Hub.
    """
    from huggingface_hub import HfApi, constants

    if constants.HF_HUB_OFFLINE:
        raise ConfigError("HF_HUB_OFFLINE is set, and this asks the Hub: unset it first.")
    return HfApi(library_name="laion-eo", library_version=__version__)


def hub_errors() -> tuple[type[Exception], ...]:
    """Return what a call to the Hub raises when the Hub or the network is at fault."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    # The base of all errors of the HTTP library, which differs with the client's version.
    known = [c for c in HfHubHTTPError.__mro__ if c.__module__.startswith(("httpx", "requests"))]
    return (known[-1], LocalEntryNotFoundError, json.JSONDecodeError)


def with_retries(call: Callable[[], T], what: str, on: Collection[int] = TRANSIENT) -> T:
    """Call the Hub, and retry as :data:`POLICY` says.

    Args:
        call: Makes the calls, from the start each time.
        what: What is asked of which repository, for messages: ``"org/name: releasing"``.
        on: Statuses that are worth a retry.

    Raises:
        ConfigError: The Hub refuses: token, rights, names, metadata.
        RunError: The Hub fails, or cannot be reached.
    """
    # The client wraps failed uploads in a RuntimeError.
    errors: tuple[type[Exception], ...] = (*hub_errors(), RuntimeError)
    failed = 0
    while True:
        try:
            return call()
        except errors as error:
            fault = _cause(error)
            if fault is None:
                raise
            failed += 1
            status, asked = _status_and_wait(fault)
            wait = POLICY.wait(failed, asked) if status in on else None
            if wait is None:
                raise _explain(fault, status, what, failed) from error
            logger.warning("%s: %s; retrying in %.3g s", what, _short(fault, status), wait)
            time.sleep(wait)


def _cause(error: Exception) -> Exception | None:
    """Return the Hub's or the network's error: the client wraps those of uploads."""
    if isinstance(error, hub_errors()):
        return error
    return error.__cause__ if isinstance(error.__cause__, hub_errors()) else None


def _status_and_wait(error: Exception) -> tuple[int, float | None]:
    """Return an error's HTTP status, or NO_ANSWER, and the seconds that the Hub asks to wait."""
    response = getattr(error, "response", None)
    if response is None:
        return NO_ANSWER, None
    return int(response.status_code), retry_after(response.headers.get("Retry-After"))


def _short(error: Exception, status: int) -> str:
    if status:
        return f"the Hub answered {status}"
    return f"no answer from the Hub ({type(error).__name__})"


def _explain(error: Exception, status: int, what: str, tries: int) -> LaionEOError:
    """Turn the client's report into one line; it carries neither headers nor the token."""
    short = _short(error, status)
    if status == 401:
        return ConfigError(f"{what}: {short}, not logged in or a bad token: {_LOGIN}.")
    if status == 403:
        return ConfigError(f"{what}: {short}, the token may not do that: {_LOGIN}.")
    if status == 404:
        return ConfigError(f"{what}: {short}, no such repository, revision or file (or no rights).")
    if status == 412:
        return RunError(f"{what}: the repository kept changing meanwhile; run the command again.")
    if status == 409:
        return RunError(
            f"{what}: {short}, another change is in progress there; run it again later."
        )
    if status == 429:
        return RunError(f"{what}: {short}, too many requests; run the command again later.")
    if status == NO_ANSWER or status >= 500:
        return RunError(f"{what}: {short}, {tries} times; run the same command again later.")
    message = " ".join(str(getattr(error, "server_message", None) or error).split())
    return ConfigError(f"{what}: {short}: {message}")
