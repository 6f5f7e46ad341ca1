"""What the hostile server does: every case with the status in which its download must end."""

from __future__ import annotations

import asyncio
import gzip

from PIL import Image, features

from laion_eo.testing import hostile_files as files
from laion_eo.testing.hostile import Behaviour, Case, Exchange, head
from laion_eo.types import DownloadStatus as S

JPEG = files.encoded(files.photo(), "JPEG")
PNG = files.encoded(files.photo(), "PNG")
GIF = files.encoded(files.photo(), "GIF")
WEBP = files.encoded(files.photo(), "WEBP")
TIFF = files.encoded(files.photo(), "TIFF")
SEEN = (files.WIDTH, files.HEIGHT)
TURNED = (files.HEIGHT, files.WIDTH)
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
    """Return a whole answer in one chunk."""
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


async def _endless(exchange: Exchange) -> None:
    comment = b"\xff\xfe\xff\xff" + bytes(65_533)  # a JPEG that is comment after comment
    await exchange.send(head(200) + JPEG[:2])
    while True:
        await exchange.send(comment)


async def _endless_chunks(exchange: Exchange) -> None:
    await exchange.send(head(200, "Transfer-Encoding: chunked"))
    start = JPEG[:2] + b"\xff\xfe\xff\xff" + bytes(65_533)
    while True:
        await exchange.send(f"{len(start):x}\r\n".encode() + start + b"\r\n")


async def _endless_headers(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\n")
    for number in range(10**9):
        await exchange.send(f"X-More-{number}: {'x' * 1000}\r\n".encode() * 16)


async def _limited_once(exchange: Exchange) -> None:
    if exchange.visits == 1:
        await exchange.reply(b"", 429, "Retry-After: 1")
    else:
        await exchange.reply(JPEG)


async def _down_once(exchange: Exchange) -> None:
    await exchange.reply(JPEG if exchange.visits > 1 else b"", 200 if exchange.visits > 1 else 503)


async def _reset_once(exchange: Exchange) -> None:
    if exchange.visits == 1:
        exchange.reset()
    else:
        await exchange.reply(JPEG)


async def _longer_each_time(exchange: Exchange) -> None:
    await exchange.reply(
        b"", 302, f"Location: {exchange.base}/case/redirect-chain/{exchange.visits}"
    )


async def _length_too_short(exchange: Exchange) -> None:
    lead = f"HTTP/1.1 200 OK\r\nContent-Length: {len(JPEG) - 500}\r\n\r\n"
    await exchange.send(lead.encode() + JPEG[:-500])
    await asyncio.sleep(0.05)
    await exchange.send(JPEG[-500:])


def _image(name: str, does: str, data: bytes, size: tuple[int, int] = SEEN, *headers: str) -> Case:
    return Case(name, S.OK, does, body(data, 200, *headers), size=size)


def _file(name: str, status: S, does: str, data: bytes, *headers: str) -> Case:
    return Case(name, status, does, body(data, 200, *headers))


SOUND = [
    _image("jpeg", "a plain JPEG", JPEG),
    _image("jpeg-progressive", "a progressive JPEG", files.encoded(files.photo(), "JPEG", progressive=True)),
    _image("jpeg-cmyk", "a JPEG in CMYK", files.encoded(files.photo().convert("CMYK"), "JPEG")),
    _image("jpeg-grey", "a grey JPEG", files.encoded(files.photo().convert("L"), "JPEG")),
    _image("jpeg-thumbnail", "a JPEG with a JPEG in its metadata", files.jpeg_with_thumbnail()),
    _image("jpeg-trailer", "a JPEG with 100 kB behind its end", JPEG + bytes(100_000)),
    _image("png", "a PNG", PNG),
    _image("png-16-bit", "a PNG of 16 bits", files.encoded(Image.new("I;16", SEEN, 40_000), "PNG")),
    _image("png-palette", "a PNG with a palette", files.encoded(files.photo().convert("P"), "PNG")),
    _image("png-alpha", "a transparent PNG", files.encoded(files.photo().convert("RGBA"), "PNG")),
    _image("gif", "a GIF of one frame", GIF),
    _image("webp", "a WebP", WEBP),
    _image("tiff", "a TIFF", TIFF),
    *(
        _image(f"exif-{n}", f"a JPEG with EXIF orientation {n}", files.rotated_jpeg(n), SEEN if n < 5 else TURNED)
        for n in range(1, 9)
    ),
    _image("called-html", "a JPEG that calls itself text/html", JPEG, SEEN, "Content-Type: text/html"),
    _image("gzip", "a JPEG packed with gzip", gzip.compress(JPEG), SEEN, "Content-Encoding: gzip"),
    _image("other-bot", "noai for another robot", JPEG, SEEN, "X-Robots-Tag: otherbot: noai"),
    Case("chunked", S.OK, "a JPEG in chunks", raw(chunked(JPEG)), size=SEEN),
    Case("no-length", S.OK, "a JPEG that ends with the connection", raw(head(200) + JPEG), size=SEEN),
    Case("redirect", S.OK, "one redirect", redirect("{base}/case/jpeg"), size=SEEN),
    Case("redirect-relative", S.OK, "a relative redirect", redirect("/case/jpeg#top"), size=SEEN),
    Case("limited-once", S.OK, "429 with Retry-After: 1, then a JPEG", _limited_once, size=SEEN),
    Case("down-once", S.OK, "503, then a JPEG", _down_once, size=SEEN),
    Case("reset-once", S.OK, "a reset, then a JPEG", _reset_once, size=SEEN),
    _file("animated-gif", S.ANIMATED, "a GIF that moves", files.animation("GIF")),
    _file("animated-webp", S.ANIMATED, "a WebP that moves", files.animation("WEBP")),
    _file("animated-png", S.ANIMATED, "a PNG that moves", files.animation("PNG")),
]  # fmt: skip
if features.check("avif"):
    SOUND.append(_image("avif", "an AVIF", files.encoded(files.photo(), "AVIF")))

FILES = [
    _file("zero-bytes", S.EMPTY, "200 and no bytes", b""),
    Case("zero-chunks", S.EMPTY, "200 and no chunks", raw(chunked(b"")[:-5])),
    _file("html", S.WEB_PAGE, "200 and a web page called image/jpeg", files.HTML, "Content-Type: image/jpeg"),
    _file("html-in-utf-16", S.WEB_PAGE, "a web page in UTF-16", files.HTML.decode().encode("utf-16")),
    _file("svg", S.UNLISTED_FORMAT, "an SVG with a script", files.SVG, "Content-Type: image/png"),
    _file("pdf", S.UNLISTED_FORMAT, "a PDF", files.PDF),
    _file("mp4", S.UNLISTED_FORMAT, "a video", files.MP4),
    _file("bmp", S.UNLISTED_FORMAT, "a BMP", files.encoded(files.photo(), "BMP")),
    _file("ico", S.UNLISTED_FORMAT, "an icon", files.encoded(files.photo(), "ICO")),
    _file("json", S.NOT_AN_IMAGE, "an error in JSON", b'{"error": "hotlinking forbidden"}'),
    _file("noise", S.NOT_AN_IMAGE, "random bytes", files.photo().tobytes()),
    _file("header-only", S.NOT_AN_IMAGE, "a JPEG without a size", b"\xff\xd8\xff\xda\x00\x02" + bytes(40) + b"\xff\xd9"),
    _file("png-damaged", S.NOT_AN_IMAGE, "a PNG whose header is wrong", PNG[:16] + b"\xff" * 13 + PNG[29:]),
    _file("truncated-jpeg", S.TRUNCATED, "half a JPEG, its length true", JPEG[: len(JPEG) // 2]),
    _file("truncated-thumbnail", S.TRUNCATED, "half a JPEG, whole thumbnail", files.jpeg_with_thumbnail()[:-2000]),
    _file("truncated-png", S.TRUNCATED, "half a PNG", PNG[: len(PNG) // 2]),
    _file("truncated-gif", S.TRUNCATED, "half a GIF", GIF[: len(GIF) // 2]),
    _file("truncated-webp", S.TRUNCATED, "half a WebP", WEBP[: len(WEBP) // 2]),
    _file("truncated-tiff", S.TRUNCATED, "half a TIFF", TIFF[: len(TIFF) // 2]),
    _file("png-bomb", S.TOO_MANY_PIXELS, "a PNG of 10,000,000,000 pixels", files.png_bomb()),
    _file("png-text-bomb", S.NOT_AN_IMAGE, "a PNG with a comment of 16 MiB", files.png_text_bomb()),
    _file("jpeg-bomb", S.TOO_MANY_PIXELS, "a JPEG of 65,500 x 65,500", files.jpeg_bomb()),
    _file("tracker", S.TOO_SMALL, "a GIF of 1 x 1", files.encoded(files.photo(0, (1, 1)), "GIF")),
    _file("icon", S.TOO_SMALL, "a PNG of 8 x 8", files.encoded(files.photo(0, (8, 8)), "PNG")),
    _file("too-long", S.TOO_LARGE, "a JPEG with 4 MB of comment", JPEG[:2] + (b"\xff\xfe\xff\xff" + bytes(65_533)) * 64 + JPEG[2:]),
]  # fmt: skip

WIRE = [
    Case("slow-drip", S.TIMEOUT, "a byte now and then", _slow_drip, None),
    Case("slow-head", S.TIMEOUT, "headers byte by byte", _slow_head, None),
    Case("stall", S.TIMEOUT, "600 bytes, then nothing", _stall),
    Case("silence", S.TIMEOUT, "takes the request and says nothing", _silence, None),
    Case("hang-up", S.UNREACHABLE, "closes without an answer", _hang_up, None),
    Case("reset", S.UNREACHABLE, "resets without an answer", _reset, None),
    Case("reset-in-body", S.TRUNCATED, "resets in mid-body", _reset_in_body),
    Case("length-too-long", S.TRUNCATED, "promises more than it sends", body(JPEG, 200, f"Content-Length: {len(JPEG) + 500}")),
    Case("length-too-short", S.TRUNCATED, "promises less than it sends", _length_too_short),
    Case("length-huge", S.TOO_LARGE, "promises 5 GB", raw(head(200, "Content-Length: 5000000000") + JPEG)),
    Case("length-negative", S.BAD_ANSWER, "a length of -1", raw(head(200, "Content-Length: -1") + JPEG), None),
    Case("length-twice", S.BAD_ANSWER, "two lengths", raw(head(200, "Content-Length: 5", "Content-Length: 9") + JPEG), None),
    Case("endless", S.TOO_LARGE, "a body without an end", _endless),
    Case("endless-chunks", S.TOO_LARGE, "chunks without an end", _endless_chunks),
    Case("chunks-cut", S.TRUNCATED, "half of the chunks", raw(chunked(JPEG)[:-2000])),
    Case("chunks-broken", S.BAD_ANSWER, "a chunk of no size", raw(head(200, "Transfer-Encoding: chunked") + b"xyz\r\n" + JPEG), None),
    Case("gzip-bomb", S.TOO_LARGE, "1 MB that unpacks to 1 GB", body(files.gzip_bomb(), 200, "Content-Encoding: gzip")),
    Case("gzip-broken", S.BAD_ANSWER, "says gzip, is none", body(JPEG, 200, "Content-Encoding: gzip")),
    Case("coding-unknown", S.BAD_ANSWER, "an unknown Content-Encoding", body(JPEG, 200, "Content-Encoding: zip")),
    Case("header-huge", S.BAD_ANSWER, "a header of 1 MB", raw(head(200, "X-Big: " + "x" * 2**20) + JPEG), None),
    Case("headers-endless", S.BAD_ANSWER, "headers without an end", _endless_headers, None),
    Case("not-http", S.BAD_ANSWER, "speaks another protocol", raw(b"SSH-2.0-OpenSSH_9.6\r\n"), None),
    Case("bare-bytes", S.BAD_ANSWER, "a JPEG without a head", raw(JPEG), None),
    Case("not-tls", S.TLS_ERROR, "https, but nobody there speaks TLS", body(JPEG), None, scheme="https"),
]  # fmt: skip

CODES = [
    *(
        Case(f"code-{code}", S.HTTP_ERROR, f"HTTP {code}", body(b"", code), code)
        for code in (204, 304, 401, 403, 404, 410, 418, 451, 500, 503)
    ),
    Case("redirect-nowhere", S.HTTP_ERROR, "302 without a Location", body(b"", 302), 302),
    Case("redirect-loop", S.TOO_MANY_REDIRECTS, "redirects to itself", redirect("/case/redirect-loop"), 302),
    Case("redirect-chain", S.TOO_MANY_REDIRECTS, "redirects on and on", _longer_each_time, 302),
    Case("redirect-private", S.REFUSED_ADDRESS, "redirects to 10.0.0.1", redirect("http://10.0.0.1/a.jpg"), None),
    Case("redirect-metadata", S.REFUSED_ADDRESS, "redirects to a cloud's metadata", redirect("http://169.254.169.254/latest/meta-data/"), None),
    Case("redirect-loopback-6", S.REFUSED_ADDRESS, "redirects to [::1]", redirect("http://[::1]/a.jpg"), None),
    Case("redirect-mapped", S.REFUSED_ADDRESS, "redirects to [::ffff:127.0.0.1]", redirect("http://[::ffff:127.0.0.1]/a.jpg"), None),
    Case("redirect-number", S.REFUSED_ADDRESS, "redirects to 2130706434, which is 127.0.0.2", redirect("http://2130706434/a.jpg"), None),
    Case("redirect-file", S.BAD_URL, "redirects to a file", redirect("file:///etc/passwd"), 302),
    Case("redirect-script", S.BAD_URL, "redirects to a script", redirect("javascript:alert(1)"), 302),
    Case("redirect-port", S.BAD_URL, "redirects to port 99999", redirect("http://127.0.0.1:99999/"), 302),
    Case("limited", S.RATE_LIMITED, "429 with Retry-After: 3600", body(b"", 429, "Retry-After: 3600"), 429, host="localhost"),
]  # fmt: skip

WISHES = [
    Case("noai", S.X_ROBOTS_TAG, "X-Robots-Tag: noai", body(JPEG, 200, "X-Robots-Tag: noai")),
    Case("noimageai", S.X_ROBOTS_TAG, "two X-Robots-Tags", body(JPEG, 200, "X-Robots-Tag: nofollow", "X-Robots-Tag: all, NoImageAI")),
    Case("noindex", S.X_ROBOTS_TAG, "noindex, for us by name", body(JPEG, 200, "X-Robots-Tag: laion-eo: noindex")),
    Case("noai-403", S.X_ROBOTS_TAG, "403 with noai", body(b"", 403, "X-Robots-Tag: noai"), 403),
    Case("tdm-header", S.TDM_RESERVED, "tdm-reservation: 1", body(JPEG, 200, "tdm-reservation: 1")),
    Case("tdm-listed", S.TDM_RESERVED, "listed in tdmrep.json", body(JPEG), None),
    Case("robots-disallowed", S.ROBOTS_TXT, "disallowed in robots.txt", body(JPEG), None),
]  # fmt: skip

CASES: tuple[Case, ...] = (*SOUND, *FILES, *WIRE, *CODES, *WISHES)
"""Every case, each under a name of its own."""
