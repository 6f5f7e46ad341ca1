"""What of a run may be shown to the world.

A dataset card shows the run file as it was written and the facts of the components. Before that,
:func:`scrubbed` takes out what is nobody's business: secrets, and where things lie on the user's
machine.
"""

from __future__ import annotations

import re

from laion_eo.types import JSON

HIDDEN = "(hidden)"
_SECRET_KEY = re.compile(
    r"(?:^|[_-])(?:token|secret|pass|pwd|passwd|password|passphrase|credential|cookie|bearer|auth"
    r"|authorization|(?:api|access|private|signing)[_-]?key)s?(?:$|[_-])",
    re.IGNORECASE,
)
_URL = re.compile(r"\b(?!file:)([a-z][a-z0-9+.-]*://)(?:[^/\s?#]*@)?([^\s?#]*)(?:[?#]\S*)?", re.I)
# From where a path begins (/, //, ~/, ../, C:\, file:) to its last separator.
_FOLDERS = re.compile(r"(?:file:/*|~\w*|\b[a-z]:|\.\.|(?<=\w)/|(?<!\w))[/\\](?:[^\n]*[/\\])?", re.I)
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")  # of a camelCase key


def scrubbed(value: JSON, key: str = "") -> JSON:
    """Return a copy that may be published.

    - The value of a key that is called like a secret (``token``, ``password``, ``api_key``, ...)
      becomes ``(hidden)``, unless it is a reference such as ``{env = "NAME"}``.
    - Of paths that are absolute or lead to the home or upwards, the last component alone stays:
      ``/home/me/data/pool`` becomes ``…/pool``.
    - URLs lose user names, passwords, queries and fragments.

    Args:
        value: What JSON or TOML can hold.
        key: The key that it stands under.
    """
    secret = _SECRET_KEY.search(_WORDS.sub("_", key))
    if isinstance(value, dict):
        if secret and value.keys() == {"env"}:
            return dict(value)
        return {k: scrubbed(v, key if secret else k) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [scrubbed(item, key) for item in value]
    if secret and value not in (None, ""):
        return HIDDEN
    if not isinstance(value, str):
        return value
    public, end = "", 0
    for url in _URL.finditer(value):
        public += _without_folders(value[end : url.start()]) + url[1] + url[2]
        end = url.end()
    return public + _without_folders(value[end:])


def _without_folders(text: str) -> str:
    return _FOLDERS.sub("…/", text.rstrip("/\\") or text)
