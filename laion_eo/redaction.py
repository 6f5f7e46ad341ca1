"""Texts without secrets: the last line of defence, behind references that are never written out.

Whatever a run file takes from the environment is remembered here once it is read. From then on
the messages of our errors, every log record of the process, and what commands print show ``***``
in its place, also where it is percent-encoded, escaped, or part of a base64 text such as the header
of HTTP's Basic authentication.

A value of fewer than 6 characters is not searched for: it would turn up in half of all texts.
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

HIDDEN = "***"
SHORTEST = 6
"""Characters of a value that is searched for, at least."""
_PARAMETER = (
    r"(?:[\w.-]*[-_.])?(?:sig|signature|token|secret|pass|passwd|password|pwd|credentials?|auth"
    r"|authorization|api[-_.]?key|access[-_.]?key(?:[-_.]?id)?|private[-_.]?key|apikey|accesskey"
    r"|awsaccesskeyid)"
)
_SECRET_PARAMETER = re.compile(_PARAMETER, re.IGNORECASE)
# Not of a reference, {env=NAME}, which is what messages advise.
_PASSWORD = re.compile(
    r"(\b[a-z][a-z0-9+.-]*://)[^/?#\s:@]*:(?!\{env=\w+\}@)[^/?#\s]*@", re.IGNORECASE
)
_LOGIN = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^/?#\s]*@", re.IGNORECASE)
_QUERY = re.compile(rf"([?&]{_PARAMETER}=)(?!\{{env=)[^&#\s'\"<>]+", re.IGNORECASE)
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"}

_remembered: set[str] = set()
_pattern: re.Pattern[str] | None = None


def names_secret(parameter: str) -> bool:
    """Tell whether a parameter of a URL's query is called like a secret: ``sig``, ``api_key``."""
    return _SECRET_PARAMETER.fullmatch(parameter) is not None


def remember(secret: str) -> None:
    """Leave a value out of every text from now on; of a URL, what is secret in it too."""
    _remember({secret, *_parts(secret)})


def remember_url(text: str) -> None:
    """Leave out what is secret in a URL, and not the rest of it, nor anything of another text."""
    _remember(set(_parts(text)))


def _remember(texts: set[str]) -> None:
    global _pattern
    found = {text for text in texts if len(text) >= SHORTEST} - _remembered
    if not found:
        return
    factory = logging.getLogRecordFactory()
    if not isinstance(factory, _Redacting):
        logging.setLogRecordFactory(_Redacting(factory))
    _remembered.update(found)
    ordered = sorted(_remembered, key=lambda text: (-len(text), text))
    _pattern = re.compile("|".join(form for text in ordered for form in _forms(text)))


def forget() -> None:
    """Forget every value: for tests, whose secrets are not each other's."""
    global _pattern
    _remembered.clear()
    _pattern = None


def _parts(secret: str) -> Iterator[str]:
    """Yield the password of a URL, or the name if that is all, and the parameters that are secret.

    As they are written, and as they are sent.
    """
    try:
        url = urlsplit(secret)
        parameters = parse_qsl(url.query)
    except ValueError:
        return
    name, _, password = url.netloc.rpartition("@")[0].partition(":")
    for part in (password or name, *(value for key, value in parameters if names_secret(key))):
        yield part
        yield unquote(part)


def _forms(secret: str) -> Iterator[str]:
    """Yield regular expressions of the ways to write a secret."""
    yield "".join(_character(character) for character in secret)
    for encoding in ("utf-8", "latin-1"):
        content = secret.encode(encoding, "ignore")
        # Three bytes make four characters, so there are three ways to lie in a longer text.
        for before in range(3):
            text = b64encode(bytes(before) + content).decode().rstrip("=")
            certain = text[-(-before * 8 // 6) : (before + len(content)) * 8 // 6]
            if len(certain) >= SHORTEST:
                yield re.escape(certain).replace(r"\+", "[+-]").replace("/", "[/_]")


def _character(character: str) -> str:
    """Return a regular expression of one character: itself, percent-encoded, or escaped."""
    encoded = "".join(
        "%" + "".join(f"[{digit}{digit.lower()}]" for digit in f"{byte:02X}")
        for byte in character.encode("utf-8", "surrogatepass")
    )
    forms = [encoded, re.escape(json.dumps(character)[1:-1]), re.escape(repr(character)[1:-1])]
    if not character.isalnum():
        forms.append(r"\\" + re.escape(character))
    if character == " ":
        forms.append(r"\+")
    if character in _HTML:
        forms.append(re.escape(_HTML[character]))
    return f"(?:{'|'.join(dict.fromkeys([*forms, re.escape(character)]))})"


def without_secrets(text: str) -> str:
    """Return a text with ``***`` in place of every value that is remembered."""
    return text if _pattern is None else _pattern.sub(HIDDEN, text)


def without_values(text: str) -> str:
    """Return a text without the values as they are filled in: fast, for texts of any length."""
    for value in sorted(_remembered, key=lambda value: (-len(value), value)):
        for form in (value, json.dumps(value)[1:-1], quote(value, safe="")):
            text = text.replace(form, HIDDEN)
    return text


def redacted(text: str) -> str:
    """Return a text as it may be shown: without secrets, and without the passwords of any URL.

    Examples:
        >>> redacted("https://me:hunter2@example.org/a?sig=abc&page=2: no answer")
        'https://***@example.org/a?sig=***&page=2: no answer'
    """
    plain = without_secrets(text)
    if "://" not in plain:
        return plain
    return _QUERY.sub(rf"\1{HIDDEN}", _PASSWORD.sub(rf"\1{HIDDEN}@", plain))


def without_login(url: str) -> str:
    """Return a URL without the name and the password in it."""
    return _LOGIN.sub(r"\1", url)


def redacted_json(value: Any) -> Any:
    """Return JSON whose texts, keys included, hold no value that is remembered."""
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, dict):
        return {redacted_json(key): redacted_json(item) for key, item in value.items()}
    return [redacted_json(item) for item in value] if isinstance(value, list) else value


def hide_causes(error: BaseException) -> None:
    """Keep Python from printing the causes of an exception if there is a secret in them.

    Their traceback stays as a note of the exception, redacted.
    """
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is None:
        return
    text = "".join(traceback.format_exception(cause))
    if (plain := redacted(text)) != text:
        error.__cause__, error.__suppress_context__ = None, True
        error.add_note(f"Its cause, without secrets:\n{plain}")


class _Redacting:
    """Makes log records that hold no secret, whoever logs and whoever listens."""

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make = make

    def __call__(self, *args: object, **kwargs: object) -> logging.LogRecord:
        record = self._make(*args, **kwargs)
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - the arguments' own code; logging would quote them
            message = str(record.msg)
            record.msg, record.args = message, ()
        if (plain := redacted(message)) != message:
            record.msg, record.args = plain, ()
        if record.exc_info and record.exc_info[1] is not None:
            text = "".join(traceback.format_exception(record.exc_info[1])).rstrip("\n")
            if (plain := redacted(text)) != text:
                record.exc_text, record.exc_info = plain, None
        return record
