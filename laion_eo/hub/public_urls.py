"""Which URLs may be published: those of public servers that carry nobody's credentials.

A list of links is read by everybody. A ``file:`` URL tells of a machine, an address of a site leads
its reader into the reader's own network, and a password, a key or a token in a URL opens what
it opens for whoever has it.

What is a token is decided by the name of the parameter, however it is spelled, and for names that
also mean other things (``key``) by the value; and by values that only tokens have, wherever they
stand. ``benchmarks/url_guard.py`` measures how often that is wrong.
"""

from __future__ import annotations

import html
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from enum import Enum
from functools import lru_cache
from urllib.parse import unquote

from laion_eo.addresses import host_address, is_private_name, is_public, written_host

HIDDEN = "***"
LONGEST_SHOWN = 120
"""Characters of a URL that a message shows."""
DECODINGS = 4
"""How many layers of percent-encoding are looked through; a URL with more is refused."""


class UrlFault(Enum):
    """Why a URL may not be published."""

    MISSING = "missing"
    SCHEME = "not http or https"
    UNREADABLE = "not a URL, or one that can be read in several ways"
    PRIVATE = "not of a public host"
    USER = "with a user name or password"
    KEY = "with a token, key or signature"


_NO_HOST = (UrlFault.SCHEME, UrlFault.UNREADABLE, UrlFault.PRIVATE)


_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*):")
_SHOWN_SCHEMES = frozenset(["http", "https", "ftp", "file"])
_HIDDEN_SCHEMES = frozenset((
    "about", "blob", "chrome", "content", "data", "ftps", "git", "gs", "hdfs", "ipfs", "javascript",
    "mailto", "s3", "sftp", "ssh", "vbscript", "view-source", "ws", "wss",
))  # fmt: skip
"""Schemes of which a message shows no more than the name: their content may be anything."""
_HTTP = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_USERINFO = re.compile(r"^(\s*(?:[A-Za-z][A-Za-z0-9+.-]*:)?[/\\]*)[^/?#]*@")
# A URL within the URL, with a user; without its scheme, `//picture@2x.jpg` is a path.
_INNER_USERINFO = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/+[^/?#\s@]+@|//[^/?#\s:@]+:[^/?#\s@]+@")
# The value is only looked at, because it may hold another URL with parameters of its own.
_PARAMETER = re.compile(r"(?:^|[?&;#/,|])\s*([^=?&;#/,|\s]{1,80})\s*=(?=([^&;#\s]*))")
_JSON = re.compile(r"[\"']([^\"'\s]{1,80})[\"']\s*:\s*[\"']([^\"']+)[\"']")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# A token as a step of the path, below what calls it so.
_STEP = re.compile(r"/([^/?#=&;]{1,80})(?=/([^/?#]+))")
_NO_WORD = re.compile(r"[^a-z0-9]")

_NAMES = frozenset((
    "accesscode", "auth", "authorization", "bearer", "credentials", "hdnea", "hdntl", "hdnts",
    "hmac", "jwt", "keypairid", "pass", "passcode", "passkey", "pwd", "sess", "sig", "signed",
))  # fmt: skip
"""Parameters whose value is a credential, spelled in lower case without punctuation."""
_ENDINGS = (
    "accesskey", "accesskeyid", "apikey", "authkey", "consumerkey", "credential", "encryptionkey",
    "licensekey", "passphrase", "passwd", "password", "privatekey", "secret", "secretkey", "sessid",
    "sessionid", "sharedkey", "signature", "signingkey", "subscriptionkey", "token",
)  # fmt: skip
"""Endings of such names: ``access_token``, ``X-Amz-Signature``, ``AWSAccessKeyId``."""
_BEGINNINGS = ("aspsessionid",)
_VAGUE = frozenset(["access", "appid", "code", "key", "policy", "session", "sid", "ticket"])
"""Parameters that hold a credential if the value is as long and as random as one."""
_NOTHING = frozenset(["", "0", "1", "true", "false", "yes", "no", "null", "none", "undefined"])
"""Values that open nothing."""
_RANDOM = re.compile(r"[A-Za-z0-9_+=~-]{12,}")
_VALUES = re.compile(
    r"""
      (?<![A-Za-z0-9_-]) (?:
        eyJ[\w-]+\.eyJ[\w-]+                        # JSON Web Token: header and claims
      | eyJ(?:hbGciOi|0eXAiOi|raWQiOi)[\w.-]*       # its header alone: alg, typ, kid
      | hf_[A-Za-z0-9]{16,}                         # Hugging Face
      | gh[opsur]_[A-Za-z0-9]{16,} | github_pat_\w{16,} | glpat-[\w-]{16,}
      | npm_[A-Za-z0-9]{30,} | pypi-[\w-]{30,}
      | xox[abeoprs]-[\w-]{10,}                     # Slack
      | [rps]k_(?:live|test)_[A-Za-z0-9]{10,}       # Stripe
      | sk-(?:proj-|ant-)?[A-Za-z0-9_]{32,}
      | SG\.[\w-]{16,}\.[\w-]{16,}                  # SendGrid
      | (?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])       # Amazon
      | AIza[\w-]{35} | ya29\.[\w-]{16,} | GOCSPX-[\w-]{16,}   # Google
      | bot\d{5,}:[\w-]{3,}                         # Telegram
      )
    """,
    re.VERBOSE,
)


def fault_of_url(url: str | None) -> UrlFault | None:
    """Return why a URL may not be published; ``None`` if it may.

    Args:
        url: As the row has it.
    """
    if url is None or not url.strip():
        return UrlFault.MISSING
    authority = _HTTP.match(url)
    if authority is None:
        scheme = _SCHEME.match(url)
        web = scheme is None or scheme[1].lower() in ("http", "https")
        return UrlFault.UNREADABLE if web else UrlFault.SCHEME
    fault = _fault_of_authority(authority[0])
    if fault is not None:
        return fault
    forms = _forms(url[authority.end() :])
    if forms is None:
        return UrlFault.UNREADABLE
    if any(_INNER_USERINFO.search(form) for form in forms):
        return UrlFault.USER
    return UrlFault.KEY if any(True for form in forms for _ in _secrets(form)) else None


@lru_cache(maxsize=65_536)
def _fault_of_authority(start: str) -> UrlFault | None:
    """Judge a URL up to its path: many rows have the same."""
    try:
        host = written_host(start)
        if host is None:
            return UrlFault.UNREADABLE
        if "@" in start:
            return UrlFault.USER
        name = host if host.isascii() else host.encode("idna").decode()
        address = host_address(name)
    except ValueError:  # UnicodeError, too: no name in another script
        return UrlFault.USER if "@" in start else UrlFault.UNREADABLE
    if address is not None:
        return None if is_public(address) else UrlFault.PRIVATE
    local = is_private_name(name) or name.lower().rstrip(".").endswith(".localdomain")
    return UrlFault.PRIVATE if local else None


def _forms(rest: str) -> list[str] | None:
    """Return what stands behind the host as written and as decoded, layer by layer.

    Returns:
        ``None`` if there is no end to the layers, or a control character in one of them.
    """
    forms = [rest]
    for _ in range(DECODINGS):
        decoded = unquote(forms[-1], errors="replace")
        if decoded == forms[-1]:
            break
        forms.append(decoded)
    else:
        return None
    plain = [html.unescape(form) for form in forms]
    return None if _CONTROL.search(rest) else list(dict.fromkeys([*forms, *plain]))


def _secrets(text: str) -> Iterator[tuple[int, int]]:
    """Yield where the secrets are in a text behind the host."""
    for found in _VALUES.finditer(text):
        yield found.span()
    for pattern in (_PARAMETER, _JSON):
        for found in pattern.finditer(text):
            if _is_secret(found[1], found[2]):
                yield found.span(2)
    for found in _STEP.finditer(text):
        if _is_random(found[2]) and _is_secret(found[1], found[2]):
            yield found.span(2)


def _is_secret(name: str, value: str) -> bool:
    """Tell whether a parameter is a credential."""
    value = value.strip("\"' ")
    if value.lower() in _NOTHING or value == HIDDEN:
        return False
    word = _NO_WORD.sub("", unicodedata.normalize("NFKC", name).lower())
    if word in _NAMES or word.endswith(_ENDINGS) or word.startswith(_BEGINNINGS):
        return True
    return word in _VAGUE and _is_random(value)


def _is_random(value: str) -> bool:
    """Tell whether a value is as long and as random as a key: ``12`` and ``a-river`` are not."""
    if not _RANDOM.fullmatch(value):
        return False
    mixed = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    bits = -sum(n / len(value) * math.log2(n / len(value)) for n in Counter(value).values())
    return mixed and bits >= 3.0


def shown(url: str | None) -> str:
    """Return a URL for a message: one line, short, and with *** for what is secret in it."""
    if url is None:
        return "(none)"
    found = _SCHEME.match(url)
    scheme = found[1].lower() if found else ""
    if scheme not in _SHOWN_SCHEMES:
        return f"{scheme}:{HIDDEN}" if scheme in _HIDDEN_SCHEMES else _shown_word(url)
    text = _USERINFO.sub(rf"\g<1>{HIDDEN}@", url)
    start = re.match(r"[^/?#]*[/\\]*[^/?#]*", text)
    head = start[0] if start else ""
    rest = text[len(head) :]
    # A password with a slash in it: what looks like the host, and its port, is its beginning.
    if "@" in rest and fault_of_url(url) in _NO_HOST:
        return f"{scheme}://{HIDDEN}"
    return _plain(head + _hidden(rest))


def _shown_word(text: str) -> str:
    """Return what is no URL, if nothing in it can be a secret."""
    return HIDDEN if re.search(r"[@=:]", text) or _VALUES.search(text) else _plain(text)


def _hidden(rest: str) -> str:
    """Return what stands behind the host without its secrets; all hidden if one is encoded."""
    spans = sorted(_secrets(rest), reverse=True)
    secrets = {rest[start:stop] for start, stop in spans}
    for start, stop in spans:
        rest = rest[:start] + HIDDEN + rest[stop:]
    for secret in sorted(secrets, key=len, reverse=True):
        rest = rest.replace(secret, HIDDEN)
    forms = _forms(rest)  # of what is encoded, nobody can see where it begins
    left = forms is None or any(
        _INNER_USERINFO.search(form) or any(True for _ in _secrets(form)) for form in forms
    )
    return f"/{HIDDEN}" if left else rest


def _plain(text: str) -> str:
    """Return text without what moves a terminal's cursor, not longer than a line."""
    shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
    return shown if len(shown) <= LONGEST_SHOWN else f"{shown[: LONGEST_SHOWN - 1]}…"
