"""Cases of the hostile server that need the raw wire: slow, broken and endless answers."""

from __future__ import annotations

import asyncio

from fakes import hostile_files as files
from fakes.hostile_exchange import Behaviour, Case, Exchange, head
from laion_eo.types import DownloadStatus as S

JPEG = files.encoded(files.photo(), "JPEG")
DRIP_SECONDS = 0.2
FOREVER = 3600.0


def body(data: bytes, code: int = 200, *headers: str) -> Behaviour:
    """Return the behaviour of a server that simply answers so."""
    return lambda exchange: exchange.reply(data, code, *headers)


def raw(data: bytes) -> Behaviour:
    """Return the behaviour of a server that sends these bytes for an answer, and hangs up."""
    return lambda exchange: exchange.send(data)


def redirect(target: str) -> Behaviour:
    """Return the behaviour of a server that redirects; ``{base}`` stands for its own URL."""
    return lambda exchange: exchange.reply(
        b"", 302, f"Location: {target.replace('{base}', exchange.base)}"
    )


def chunked(data: bytes) -> bytes:
    """Return a complete answer in one chunk."""
    lead = head(200, "Transfer-Encoding: chunked")
    return lead + f"{len(data):x}\r\n".encode() + data + b"\r\n0\r\n\r\n"


async def _slow_drip(exchange: Exchange) -> None:
    await exchange.send(head(200, f"Content-Length: {len(JPEG)}"))
    for place in range(len(JPEG)):
        await exchange.send(JPEG[place : place + 1])
        await asyncio.sleep(DRIP_SECONDS)


async def _slow_head(exchange: Exchange) -> None:
    for byte in head(200, "Content-Length: 0"):
        await exchange.send(bytes([byte]))
        await asyncio.sleep(DRIP_SECONDS)


async def _stall(exchange: Exchange) -> None:
    await exchange.send(head(200, f"Content-Length: {len(JPEG)}") + JPEG[:600])
    await asyncio.sleep(FOREVER)


async def _silence(exchange: Exchange) -> None:
    await asyncio.sleep(FOREVER)


async def _hang_up(exchange: Exchange) -> None:
    exchange.writer.close()


async def _reset(exchange: Exchange) -> None:
    exchange.reset()


async def _reset_in_body(exchange: Exchange) -> None:
    await exchange.send(head(200, f"Content-Length: {len(JPEG)}") + JPEG[: len(JPEG) // 2])
    await asyncio.sleep(0.05)
    exchange.reset()


def _endless(start: bytes) -> Behaviour:
    """Return the behaviour of a server that never ends: a JPEG with ever more comments."""
    comment = b"\xff\xfe\xff\xff" + bytes(65_533)

    async def behave(exchange: Exchange) -> None:
        await exchange.send(head(200) + start)
        while True:
            await exchange.send(comment)

    return behave


async def _endless_chunks(exchange: Exchange) -> None:
    await exchange.send(head(200, "Transfer-Encoding: chunked"))
    start = JPEG[:2] + b"\xff\xfe\xff\xff" + bytes(65_533)
    while True:
        await exchange.send(f"{len(start):x}\r\n".encode() + start + b"\r\n")


async def _endless_headers(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\n")
    for number in range(10**9):
        await exchange.send(f"X-More-{number}: {'x' * 1000}\r\n".encode() * 16)


WIRE = [
    Case("slow-drip", S.TIMEOUT, "a byte now and then", _slow_drip, None),
    Case("slow-head", S.TIMEOUT, "headers byte by byte", _slow_head, None),
    Case("stall", S.TIMEOUT, "600 bytes, then nothing", _stall),
    Case("silence", S.TIMEOUT, "takes the request and says nothing", _silence, None),
    Case("hang-up", S.UNREACHABLE, "closes without an answer", _hang_up, None),
    Case("reset", S.UNREACHABLE, "resets without an answer", _reset, None),
    Case("reset-in-body", S.TRUNCATED, "resets in mid-body", _reset_in_body),
    Case(
        "length-too-long",
        S.TRUNCATED,
        "promises more than it sends",
        body(JPEG, 200, f"Content-Length: {len(JPEG) + 500}"),
    ),
    Case(
        "length-too-short",
        S.BAD_ANSWER,
        "promises less than it sends",
        body(JPEG, 200, f"Content-Length: {len(JPEG) - 500}"),
        None,
    ),
    Case(
        "length-huge",
        S.TOO_LARGE,
        "promises 5 GB",
        raw(head(200, "Content-Length: 5000000000") + JPEG),
    ),
    Case(
        "length-negative",
        S.BAD_ANSWER,
        "a length of -1",
        raw(head(200, "Content-Length: -1") + JPEG),
        None,
    ),
    Case(
        "length-twice",
        S.BAD_ANSWER,
        "two lengths",
        raw(head(200, "Content-Length: 5", "Content-Length: 9") + JPEG),
        None,
    ),
    Case("endless", S.TOO_LARGE, "a body without an end", _endless(JPEG[:2])),
    Case(
        "endless-tracker",
        S.TOO_SMALL,
        "a PNG of 1 x 1, without an end",
        _endless(files.encoded(files.photo(0, (1, 1)), "PNG")),
    ),
    Case(
        "endless-bomb",
        S.TOO_MANY_PIXELS,
        "a PNG of 10,000,000,000 pixels, without an end",
        _endless(files.png_bomb()),
    ),
    Case("endless-page", S.WEB_PAGE, "a web page without an end", _endless(files.HTML)),
    Case("endless-chunks", S.TOO_LARGE, "chunks without an end", _endless_chunks),
    Case("chunks-cut", S.TRUNCATED, "half of the chunks", raw(chunked(JPEG)[:-2000])),
    Case(
        "chunks-broken",
        S.BAD_ANSWER,
        "a chunk of no size",
        raw(head(200, "Transfer-Encoding: chunked") + b"xyz\r\n" + JPEG),
        None,
    ),
    Case(
        "gzip-bomb",
        S.TOO_LARGE,
        "1 MB that unpacks to 1 GB",
        body(files.gzip_bomb(), 200, "Content-Encoding: gzip"),
    ),
    Case(
        "gzip-broken", S.BAD_ANSWER, "says gzip, is none", body(JPEG, 200, "Content-Encoding: gzip")
    ),
    Case(
        "coding-unknown",
        S.BAD_ANSWER,
        "an unknown Content-Encoding",
        body(JPEG, 200, "Content-Encoding: zip"),
    ),
    Case(
        "header-huge",
        S.BAD_ANSWER,
        "a header of 1 MB",
        raw(head(200, "X-Big: " + "x" * 2**20) + JPEG),
        None,
    ),
    Case("headers-endless", S.BAD_ANSWER, "headers without an end", _endless_headers, None),
    Case(
        "not-http", S.BAD_ANSWER, "speaks another protocol", raw(b"SSH-2.0-OpenSSH_9.6\r\n"), None
    ),
    Case("bare-bytes", S.BAD_ANSWER, "a JPEG without a head", raw(JPEG), None),
    Case(
        "not-tls",
        S.TLS_ERROR,
        "https, but nobody there speaks TLS",
        body(JPEG),
        None,
        scheme="https",
    ),
]
