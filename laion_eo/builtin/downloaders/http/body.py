"""Reading an answer's body without trusting its length, its compression or its end."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import aiohttp

from laion_eo.builtin.downloaders.http.client import Clock
from laion_eo.builtin.downloaders.http.inspection import HEADER, SNIFFED
from laion_eo.builtin.downloaders.http.refusal import RefusedError
from laion_eo.digests import HashedBytes
from laion_eo.types import DownloadStatus

SMALL = 512 * 1024
"""Bytes: bodies up to here count as small. Most images of the web are; the rest shares a budget."""
LARGE_BYTES = 192 * 2**20
"""Bytes that all larger bodies may take together."""
PIECE = 256 * 1024
"""Bytes unpacked at a time, so that a compression bomb is noticed long before it is unpacked."""
PEEKS = (SNIFFED, HEADER)
"""Sizes at which an unfinished body is inspected: enough for its format, and for its header."""


class MemoryBudget:
    """The memory that bodies may take, from their first byte until they have been handed over.

    Args:
        bodies: Bodies at a time.
        max_bytes: The most that one body can have.
    """

    def __init__(self, bodies: int, max_bytes: int) -> None:
        self._small = asyncio.Semaphore(bodies)
        self._large = asyncio.Semaphore(max(1, LARGE_BYTES // max_bytes))

    @asynccontextmanager
    async def reservation(self) -> AsyncIterator[Reservation]:
        """Give a body a reservation; what it took is given back at the end of the block."""
        reservation = Reservation(self._small, self._large)
        try:
            yield reservation
        finally:
            reservation.release()


class Reservation:
    """What one body may take of the memory."""

    def __init__(self, small: asyncio.Semaphore, large: asyncio.Semaphore) -> None:
        self._small = small
        self._large = large
        self._held: list[asyncio.Semaphore] = []

    async def begin(self, clock: Clock) -> None:
        """Wait until one more body may be read."""
        await self._take(self._small, clock)

    async def grow(self, clock: Clock) -> None:
        """Wait until this one may become large."""
        await self._take(self._large, clock)

    async def _take(self, semaphore: asyncio.Semaphore, clock: Clock) -> None:
        if semaphore in self._held:
            return
        async with clock.paused():
            await semaphore.acquire()
        self._held.append(semaphore)

    def release(self) -> None:
        """Give everything back."""
        while self._held:
            self._held.pop().release()


async def read_body(
    answer: aiohttp.ClientResponse,
    max_bytes: int,
    reservation: Reservation,
    clock: Clock,
    peek: Callable[[bytes], bool],
) -> HashedBytes:
    """Read a body.

    Args:
        answer: The answer.
        max_bytes: More are refused, before or after unpacking.
        reservation: The body's memory.
        clock: Stands still while the body waits for memory.
        peek: Called with what is there so far, at the sizes of :data:`PEEKS`, until it returns
            True; it may raise to stop.

    Raises:
        RefusedError: Too large, badly packed, or what ``peek`` raised.
    """
    too_large = RefusedError(
        DownloadStatus.TOO_LARGE, f"more than {max_bytes} bytes", answer.status
    )
    if (answer.content_length or 0) > max_bytes:
        raise too_large
    await reservation.begin(clock)
    body = bytearray()
    peeks = [size for size in PEEKS if size < max_bytes]
    async for piece in pieces(answer):
        body += piece
        if len(body) > max_bytes:
            raise too_large
        if len(body) > SMALL:
            await reservation.grow(clock)
        if peeks and len(body) >= peeks[0]:
            peeks = [] if peek(bytes(body)) else [size for size in peeks if size > len(body)]
    return HashedBytes(body)


async def read_start(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    """Read at most ``limit`` bytes of a body, and leave the rest."""
    body = bytearray()
    async for piece in pieces(answer):
        body += piece
        if len(body) >= limit:
            break
    return bytes(body[:limit])


async def pieces(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield a body piece by piece, unpacked, each of at most :data:`PIECE` bytes if packed.

    Raises:
        RefusedError: Packed in a way that is unknown or broken.
    """
    unpack = _unpacker(answer)
    async for part in answer.content.iter_any():
        if unpack is None:
            yield part
            continue
        for piece in unpack(part):
            yield piece


def _unpacker(answer: aiohttp.ClientResponse) -> Callable[[bytes], Iterator[bytes]] | None:
    coding = answer.headers.get("Content-Encoding", "identity").strip().lower()
    if coding in ("identity", ""):
        return None
    if coding not in ("gzip", "x-gzip", "deflate"):
        reason = f"Content-Encoding {coding!r}, though we asked for identity"
        raise RefusedError(DownloadStatus.BAD_ANSWER, reason, answer.status)
    stream = zlib.decompressobj(wbits=47 if "gzip" in coding else 15)

    def unpack(part: bytes) -> Iterator[bytes]:
        try:
            while part:
                yield stream.decompress(part, PIECE)
                part = stream.unconsumed_tail
        except zlib.error as error:
            reason = f"Content-Encoding {coding}: {error}"
            raise RefusedError(DownloadStatus.BAD_ANSWER, reason, answer.status) from None

    return unpack
