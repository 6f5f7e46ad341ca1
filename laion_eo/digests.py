"""Bytes that know their digests: none is computed twice, and none has to be taken on trust."""

from __future__ import annotations

import hashlib
from functools import cached_property


class HashedBytes(bytes):
    """Bytes whose MD5 and SHA-256 are computed when first asked for, and then kept.

    Bytes never change, so a digest that they computed themselves stays true, whoever hands them
    on: a list lookup, the record of a download and the check of that record share one pass.
    """

    @classmethod
    def of(cls, data: bytes) -> HashedBytes:
        """Return the data as hashed bytes: themselves, if they are some already."""
        return data if type(data) is cls else cls(data)

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 in lower-case hex."""
        return hashlib.sha256(self).hexdigest()

    @cached_property
    def md5(self) -> str:
        """The MD5 in lower-case hex: what LAION's own tables know images by."""
        return hashlib.md5(self, usedforsecurity=False).hexdigest()
