from __future__ import annotations

import hashlib
import pickle

from laion_eo.digests import HashedBytes


def test_digests_are_those_of_the_bytes() -> None:
    data = HashedBytes(b"an image")
    assert data.sha256 == hashlib.sha256(b"an image").hexdigest()
    assert data.md5 == hashlib.md5(b"an image", usedforsecurity=False).hexdigest()
    assert data == b"an image"


def test_a_digest_is_computed_once() -> None:
    data = HashedBytes(b"an image")
    assert data.sha256 is data.sha256
    assert HashedBytes.of(data) is data


def test_bytes_that_only_claim_a_digest_are_hashed() -> None:
    """Another class may say anything: only what this one computed itself is believed."""

    class Liar(HashedBytes):
        @property
        def sha256(self) -> str:
            return "0" * 64

    assert HashedBytes.of(Liar(b"x")).sha256 == hashlib.sha256(b"x").hexdigest()
    assert HashedBytes.of(b"x").sha256 == hashlib.sha256(b"x").hexdigest()


def test_hashed_bytes_survive_a_pickle() -> None:
    data = HashedBytes(b"an image")
    again = pickle.loads(pickle.dumps((data, data.sha256)))
    assert again == (data, data.sha256)
