"""What the hostile server does: every case with the status in which its download must end."""

from __future__ import annotations

import gzip

from PIL import Image
from yarl import URL

from fakes import hostile_files as files
from fakes.hostile_exchange import Case, Exchange, head
from fakes.hostile_wire import JPEG, WIRE, body, chunked, raw, redirect
from laion_eo.images import FORMATS
from laion_eo.testing.spellings import NOT_URLS, PRIVATE
from laion_eo.types import DownloadStatus as S

PNG = files.encoded(files.photo(), "PNG")
GIF = files.encoded(files.photo(), "GIF")
WEBP = files.encoded(files.photo(), "WEBP")
TIFF = files.encoded(files.photo(), "TIFF")
SEEN = (files.WIDTH, files.HEIGHT)
TURNED = (files.HEIGHT, files.WIDTH)


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


def _image(name: str, does: str, data: bytes, size: tuple[int, int] = SEEN, *headers: str) -> Case:
    return Case(name, S.OK, does, body(data, 200, *headers), size=size)


def _file(name: str, status: S, does: str, data: bytes, *headers: str) -> Case:
    return Case(name, status, does, body(data, 200, *headers))


SOUND = [
    _image("jpeg", "a plain JPEG", JPEG),
    _image(
        "jpeg-progressive",
        "a progressive JPEG",
        files.encoded(files.photo(), "JPEG", progressive=True),
    ),
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
        _image(
            f"exif-{n}",
            f"a JPEG with EXIF orientation {n}",
            files.rotated_jpeg(n),
            SEEN if n < 5 else TURNED,
        )
        for n in range(1, 9)
    ),
    _image(
        "called-html", "a JPEG that calls itself text/html", JPEG, SEEN, "Content-Type: text/html"
    ),
    _image("gzip", "a JPEG packed with gzip", gzip.compress(JPEG), SEEN, "Content-Encoding: gzip"),
    _image("other-bot", "noai for another robot", JPEG, SEEN, "X-Robots-Tag: otherbot: noai"),
    Case("chunked", S.OK, "a JPEG in chunks", raw(chunked(JPEG)), size=SEEN),
    Case(
        "no-length", S.OK, "a JPEG that ends with the connection", raw(head(200) + JPEG), size=SEEN
    ),
    Case("redirect", S.OK, "one redirect", redirect("{base}/case/jpeg"), size=SEEN),
    Case("redirect-relative", S.OK, "a relative redirect", redirect("/case/jpeg#top"), size=SEEN),
    Case("limited-once", S.OK, "429 with Retry-After: 1, then a JPEG", _limited_once, size=SEEN),
    Case("down-once", S.OK, "503, then a JPEG", _down_once, size=SEEN),
    Case("reset-once", S.OK, "a reset, then a JPEG", _reset_once, size=SEEN),
    _file("animated-gif", S.ANIMATED, "a GIF that moves", files.animation("GIF")),
    _file("animated-webp", S.ANIMATED, "a WebP that moves", files.animation("WEBP")),
    _file("animated-png", S.ANIMATED, "a PNG that moves", files.animation("PNG")),
]
if "AVIF" in FORMATS:
    SOUND.append(_image("avif", "an AVIF", files.encoded(files.photo(), "AVIF")))

FILES = [
    _file("zero-bytes", S.EMPTY, "200 and no bytes", b""),
    Case("zero-chunks", S.EMPTY, "200 and no chunks", raw(chunked(b"")[:-5])),
    _file(
        "html",
        S.WEB_PAGE,
        "200 and a web page called image/jpeg",
        files.HTML,
        "Content-Type: image/jpeg",
    ),
    _file(
        "html-in-utf-16", S.WEB_PAGE, "a web page in UTF-16", files.HTML.decode().encode("utf-16")
    ),
    _file("svg", S.UNLISTED_FORMAT, "an SVG with a script", files.SVG, "Content-Type: image/png"),
    _file("pdf", S.UNLISTED_FORMAT, "a PDF", files.PDF),
    _file("mp4", S.UNLISTED_FORMAT, "a video", files.MP4),
    _file("bmp", S.UNLISTED_FORMAT, "a BMP", files.encoded(files.photo(), "BMP")),
    _file("ico", S.UNLISTED_FORMAT, "an icon", files.encoded(files.photo(), "ICO")),
    _file("json", S.NOT_AN_IMAGE, "an error in JSON", b'{"error": "hotlinking forbidden"}'),
    _file("noise", S.NOT_AN_IMAGE, "random bytes", files.photo().tobytes()),
    _file(
        "header-only",
        S.NOT_AN_IMAGE,
        "a JPEG without a size",
        b"\xff\xd8\xff\xda\x00\x02" + bytes(40) + b"\xff\xd9",
    ),
    _file(
        "png-damaged",
        S.NOT_AN_IMAGE,
        "a PNG whose header is wrong",
        PNG[:16] + b"\xff" * 13 + PNG[29:],
    ),
    _file("truncated-jpeg", S.TRUNCATED, "half a JPEG, its length true", JPEG[: len(JPEG) // 2]),
    _file(
        "truncated-thumbnail",
        S.TRUNCATED,
        "half a JPEG, a complete thumbnail",
        files.jpeg_with_thumbnail()[:-2000],
    ),
    _file("truncated-png", S.TRUNCATED, "half a PNG", PNG[: len(PNG) // 2]),
    _file("truncated-gif", S.TRUNCATED, "half a GIF", GIF[: len(GIF) // 2]),
    _file("truncated-webp", S.TRUNCATED, "half a WebP", WEBP[: len(WEBP) // 2]),
    _file("truncated-tiff", S.TRUNCATED, "half a TIFF", TIFF[: len(TIFF) // 2]),
    _file("png-bomb", S.TOO_MANY_PIXELS, "a PNG of 10,000,000,000 pixels", files.png_bomb()),
    _file("png-text-bomb", S.NOT_AN_IMAGE, "a PNG with a comment of 16 MiB", files.png_text_bomb()),
    _file("jpeg-bomb", S.TOO_MANY_PIXELS, "a JPEG of 65,500 x 65,500", files.jpeg_bomb()),
    _file("tracker", S.TOO_SMALL, "a GIF of 1 x 1", files.encoded(files.photo(0, (1, 1)), "GIF")),
    _file("icon", S.TOO_SMALL, "a PNG of 8 x 8", files.encoded(files.photo(0, (8, 8)), "PNG")),
    _file(
        "too-long",
        S.TOO_LARGE,
        "a JPEG with 4 MB of comment",
        JPEG[:2] + (b"\xff\xfe\xff\xff" + bytes(65_533)) * 64 + JPEG[2:],
    ),
]

CODES = [
    *(
        Case(f"code-{code}", S.HTTP_ERROR, f"HTTP {code}", body(b"", code), code)
        for code in (204, 304, 401, 403, 404, 410, 418, 451, 500, 503)
    ),
    Case("redirect-nowhere", S.HTTP_ERROR, "302 without a Location", body(b"", 302), 302),
    Case(
        "redirect-loop",
        S.TOO_MANY_REDIRECTS,
        "redirects to itself",
        redirect("/case/redirect-loop"),
        302,
    ),
    Case("redirect-chain", S.TOO_MANY_REDIRECTS, "redirects on and on", _longer_each_time, 302),
    Case(
        "redirect-private",
        S.REFUSED_ADDRESS,
        "redirects to 10.0.0.1",
        redirect("http://10.0.0.1/a.jpg"),
        None,
    ),
    Case(
        "redirect-metadata",
        S.REFUSED_ADDRESS,
        "redirects to a cloud's metadata",
        redirect("http://169.254.169.254/latest/meta-data/"),
        None,
    ),
    Case(
        "redirect-loopback-6",
        S.REFUSED_ADDRESS,
        "redirects to [::1]",
        redirect("http://[::1]/a.jpg"),
        None,
    ),
    Case(
        "redirect-mapped",
        S.REFUSED_ADDRESS,
        "redirects to [::ffff:127.0.0.1]",
        redirect("http://[::ffff:127.0.0.1]/a.jpg"),
        None,
    ),
    Case(
        "redirect-number",
        S.REFUSED_ADDRESS,
        "redirects to 2130706434, which is 127.0.0.2",
        redirect("http://2130706434/a.jpg"),
        None,
    ),
    Case("redirect-file", S.BAD_URL, "redirects to a file", redirect("file:///etc/passwd"), 302),
    Case(
        "redirect-script", S.BAD_URL, "redirects to a script", redirect("javascript:alert(1)"), 302
    ),
    Case(
        "redirect-port",
        S.BAD_URL,
        "redirects to port 99999",
        redirect("http://127.0.0.1:99999/"),
        302,
    ),
    Case(
        "limited",
        S.RATE_LIMITED,
        "429 with Retry-After: 3600",
        body(b"", 429, "Retry-After: 3600"),
        429,
        host="localhost",
    ),
]

OPT_OUTS = [
    Case("noai", S.X_ROBOTS_TAG, "X-Robots-Tag: noai", body(JPEG, 200, "X-Robots-Tag: noai")),
    Case(
        "noimageai",
        S.X_ROBOTS_TAG,
        "two X-Robots-Tags",
        body(JPEG, 200, "X-Robots-Tag: nofollow", "X-Robots-Tag: all, NoImageAI"),
    ),
    Case(
        "noindex",
        S.X_ROBOTS_TAG,
        "noindex, for us by name",
        body(JPEG, 200, "X-Robots-Tag: laion-eo: noindex"),
    ),
    Case("noai-403", S.X_ROBOTS_TAG, "403 with noai", body(b"", 403, "X-Robots-Tag: noai"), 403),
    Case("tdm-header", S.TDM_RESERVED, "tdm-reservation: 1", body(JPEG, 200, "tdm-reservation: 1")),
    Case("tdm-listed", S.TDM_RESERVED, "listed in tdmrep.json", body(JPEG), None),
    Case(
        "redirect-disallowed",
        S.ROBOTS_TXT,
        "redirects to what robots.txt disallows",
        redirect("/case/robots-disallowed"),
        None,
    ),
    Case("robots-disallowed", S.ROBOTS_TXT, "disallowed in robots.txt", body(JPEG), None),
]

# In a header as UTF-8, which is what browsers read there. Left out are paths of the redirecting
# host, and what is "127.0.0.1" itself, which the suite allows.
SPELLINGS = [
    *(
        Case(
            f"redirect-no-host-{number}",
            S.BAD_URL,
            f"redirects to {url!a}",
            redirect(url.encode("utf-8", "replace").decode("latin-1")),
            302,
        )
        for number, url in enumerate(NOT_URLS)
        if "://" in url and "///" not in url and url.isprintable()
    ),
    *(
        Case(
            f"redirect-spelling-{number}",
            S.REFUSED_ADDRESS,
            f"redirects to {url!a}",
            redirect(url.encode().decode("latin-1")),
            None,
        )
        for number, url in enumerate(PRIVATE)
        if URL(url).host != "127.0.0.1"
    ),
]

CASES: tuple[Case, ...] = (*SOUND, *FILES, *WIRE, *CODES, *OPT_OUTS, *SPELLINGS)
"""Every case, each under a name of its own."""
