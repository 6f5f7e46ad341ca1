"""What of a run may be published.

A dataset card shows the run file as it was written and the facts of the components. Before that,
:func:`scrubbed` removes secrets, and the paths of files on the user's machine.
"""

from __future__ import annotations

import re

HIDDEN = "(hidden)"
_SECRET_KEY = re.compile(
    r"(?:^|[_-])(?:token|secret|pass|pwd|passwd|password|passphrase|credential|cookie|bearer|auth"
    r"|authorization|(?:api|access|private|signing)[_-]?key)s?(?:$|[_-])",
    re.IGNORECASE,
)
_URL = re.compile(r"\b(?!file:)([a-z][a-z0-9+.-]*://)(?:[^/\s?#]*@)?([^\s?#]*)(?:[?#]\S*)?", re.I)
# From the beginning of a path (/, //, ~/, ../, C:\, file:) to its last separator.
_FOLDERS = re.compile(r"(?:file:/*|~\w*|\b[a-z]:|\.\.|(?<=\w)/|(?<!\w))[/\\](?:[^\n]*[/\\])?", re.I)
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")  # of a camelCase key


def scrubbed(value: object, key: str = "") -> object:
    """Return a copy that may be published.

    - The value of a key that names a secret (``token``, ``password``, ``api_key``, ...) becomes
      ``(hidden)``, unless it is a reference such as ``{env = "NAME"}``.
    - Absolute paths and paths that begin with ``~`` or ``..`` keep only their last component:
      ``/home/me/data/pool`` becomes ``…/pool``.
    - URLs lose user names, passwords, queries and fragments.

    Args:
        value: Anything that JSON or TOML can hold.
        key: The key of the value in its table, if it has one.
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
