from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, cast

import pytest
from fakes.hostile_files import encoded, gzip_bomb, photo
from hypothesis import given, settings
from hypothesis import strategies as st

from laion_eo.builtin.downloaders.http.body import PIECE, pieces
from laion_eo.builtin.downloaders.http.refusal import RefusedError
from laion_eo.types import DownloadStatus

JPEG = encoded(photo(), "JPEG")


@dataclass
class Answer:
    """As much of an answer as unpacking needs."""

    body: bytes
    coding: str
    status: int = 200
    step: int = 2**20

    @property
    def headers(self) -> dict[str, str]:
        return {"Content-Encoding": self.coding}

    @property
    def content(self) -> Answer:
        return self

    async def iter_any(self) -> AsyncIterator[bytes]:
        for place in range(0, len(self.body), self.step):
            yield self.body[place : place + self.step]


async def read(answer: Answer) -> list[bytes]:
    return [piece async for piece in pieces(cast("Any", answer))]


@pytest.mark.parametrize("step", [1, 100, 2**20])
@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip.compress(JPEG)),
        ("X-GZIP", gzip.compress(JPEG)),
        ("deflate", zlib.compress(JPEG)),
        ("identity", JPEG),
        ("", JPEG),
    ],
)
def test_bodies_are_unpacked(coding: str, packed: bytes, step: int) -> None:
    assert b"".join(asyncio.run(read(Answer(packed, coding, step=step)))) == JPEG


def test_a_bomb_comes_out_in_small_pieces() -> None:
    """However much arrives at once: nothing is unpacked before somebody asks for it."""

    async def first() -> int:
        async for piece in pieces(cast("Any", Answer(gzip_bomb(), "gzip"))):
            return len(piece)
        return 0

    bomb = len(gzip_bomb())
    tracemalloc.start()
    try:
        assert asyncio.run(first()) <= PIECE
        assert tracemalloc.get_traced_memory()[1] < 8 * PIECE + 4 * bomb
    finally:
        tracemalloc.stop()


packed = st.one_of(
    st.binary(max_size=200),
    st.binary(max_size=200).map(gzip.compress),
    st.binary(max_size=200).map(lambda data: gzip.compress(data)[:-9] + data),
    st.binary(max_size=200).map(zlib.compress),
)


@settings(deadline=None, derandomize=True)
@given(packed, st.sampled_from(["gzip", "deflate"]), st.integers(1, 40))
def test_any_packed_body_is_unpacked_or_a_bad_answer(body: bytes, coding: str, step: int) -> None:
    try:
        found = asyncio.run(read(Answer(body, coding, step=step)))
    except RefusedError as refusal:
        assert refusal.status is DownloadStatus.BAD_ANSWER
        assert refusal.reason.startswith(f"Content-Encoding {coding}: ")
    else:
        assert all(len(piece) <= PIECE for piece in found)


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "compress"])
def test_other_codings_are_bad_answers(coding: str) -> None:
    with pytest.raises(RefusedError, match="though we asked for identity") as caught:
        asyncio.run(read(Answer(JPEG, coding)))
    assert caught.value.status is DownloadStatus.BAD_ANSWER
