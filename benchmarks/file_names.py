"""File names as machines make them: cameras, phones, content management, image banks, hashes.

    python benchmarks/file_names.py [COUNT] [SEED]

prints them, one a line. Half of them lose their endings, as they do where a page makes its ``alt``
texts of them. The same seed gives the same names.
"""

from __future__ import annotations

import hashlib
import random
import string
import sys
import uuid
from collections.abc import Callable

ENDINGS = ("jpg", "JPG", "jpeg", "png", "gif", "webp", "tif")
BANKS = (
    "shutterstock_{}",
    "AdobeStock_{}",
    "iStock-{}",
    "depositphotos_{}-stock-photo",
    "Alamy-{}",
)
SIZES = ("150x150", "300x200", "1024x683", "1920x1080", "scaled", "600x")
CAMERAS = ("IMG_{:04}", "DSC{:05}", "DSC_{:04}", "DSCN{:04}", "DSCF{:04}", "P10{:05}", "CIMG{:04}",
           "IMGP{:04}", "SAM_{:04}", "GOPR{:04}", "DJI_{:04}", "MVI_{:04}", "_MG_{:04}",
           "PICT{:04}", "100_{:04}", "IMG_E{:04}", "HPIM{:04}", "STA_{:04}")  # fmt: skip
MARKS = ("", "", "", " (1)", " (2)", " - Copy", " copy", "-edited", "~2", "_resized", " (Large)")


def _moment(draw: random.Random) -> tuple[str, ...]:
    """Return year, month, day, hour, minute and second."""
    numbers = (draw.randint(1, top) for top in (12, 28, 23, 59, 59))
    return (str(draw.randint(2003, 2024)), *(f"{number:02}" for number in numbers))


def camera(draw: random.Random) -> str:
    """Return what a camera calls a picture, and perhaps what somebody's copy of it is called."""
    return draw.choice(CAMERAS).format(draw.randint(1, 9999)) + draw.choice(MARKS)


def phone(draw: random.Random) -> str:
    """Return what phones and messengers call a picture."""
    y, mo, d, h, mi, s = _moment(draw)
    return draw.choice(
        (
            f"IMG_{y}{mo}{d}_{h}{mi}{s}",
            f"{y}{mo}{d}_{h}{mi}{s}",
            f"PXL_{y}{mo}{d}_{h}{mi}{s}123",
            f"{y}-{mo}-{d} {h}.{mi}.{s}",
            f"IMG-{y}{mo}{d}-WA00{d}",
            f"WhatsApp Image {y}-{mo}-{d} at {h}.{mi}.{s}",
            f"Screenshot_{y}{mo}{d}-{h}{mi}{s}",
            f"Screen Shot {y}-{mo}-{d} at {h}.{mi}.{s}",
            f"Bildschirmfoto {y}-{mo}-{d} um {h}.{mi}.{s}",
            f"signal-{y}-{mo}-{d}-{h}{mi}{s}",
            f"FB_IMG_{draw.randint(10**12, 10**13)}",
            f"received_{draw.randint(10**14, 10**15)}",
        )
    )


def content_management(draw: random.Random) -> str:
    """Return what a site's software makes of an upload."""
    number, size = draw.randint(1, 9999), draw.choice(SIZES)
    return draw.choice(
        (
            f"image-{number}-{size}",
            f"img_{number}_thumb",
            f"thumb_{number}_{size}",
            f"cropped-banner-{number}",
            f"header_bg_{number}_v2",
            f"gallery-{number}-large",
            f"slide{draw.randint(1, 30)}",
            f"product_{number}_{size}",
            f"{number}-{draw.randint(10**6, 10**7)}-{size}",
            f"Untitled-{draw.randint(1, 20)}",
            f"unnamed ({draw.randint(1, 20)})",
            f"download ({draw.randint(1, 20)})",
            f"image{draw.randint(1, 99):03}",
            f"/media/{number}/{size}",
            f"https://cdn{draw.randint(1, 9)}.example.org/uploads/{number}/{size}",
        )
    )


def bank(draw: random.Random) -> str:
    """Return what an image bank calls a picture."""
    if draw.random() < 0.3:
        token = hashlib.sha1(str(draw.random()).encode(), usedforsecurity=False).hexdigest()
        photo = f"photo-{draw.randint(10**12, 10**13)}-{token[:12]}"
        return draw.choice((photo, f"pexels-photo-{draw.randint(10**5, 10**7)}"))
    return draw.choice(BANKS).format(draw.randint(10**7, 10**9))


def token(draw: random.Random) -> str:
    """Return a hash, an identifier, or letters drawn by lot."""
    digest = hashlib.md5(str(draw.random()).encode(), usedforsecurity=False).hexdigest()
    mixed = "".join(draw.choices(string.ascii_letters + string.digits + "-_", k=11))
    lower = "".join(draw.choices(string.ascii_lowercase + string.digits, k=draw.randint(8, 14)))
    unique = str(uuid.UUID(int=draw.getrandbits(128)))
    return draw.choice(
        (digest, digest[:16], f"{digest[:8]}_o", mixed, lower, unique, unique.upper())
    )


def place(draw: random.Random) -> str:
    """Return what a sensor or a map tile is called, or a position."""
    y, mo, d, h, mi, s = _moment(draw)
    lat, lon = draw.uniform(-85, 85), draw.uniform(-180, 180)
    return draw.choice(
        (
            f"S2A_MSIL1C_{y}{mo}{d}T{h}{mi}{s}_N0204_R0{d}_T32TQM",
            f"LC08_L1TP_1{d}0{mo}_{y}{mo}{d}_01_T1",
            f"{draw.randint(1, 18)}/{draw.randint(0, 9999)}/{draw.randint(0, 9999)}",
            f"{abs(lat):.4f}{'NS'[lat < 0]} {abs(lon):.4f}{'EW'[lon < 0]}",
            f"{lat:.5f}, {lon:.5f}",
            f"{draw.randint(200, 5000)} x {draw.randint(200, 5000)} px",
            f"{d}.{mo}.{y}",
        )
    )


SCHEMES: tuple[Callable[[random.Random], str], ...] = (
    camera,
    phone,
    content_management,
    bank,
    token,
    place,
)


def file_names(count: int = 1000, seed: int = 0) -> list[str]:
    """Return names of all schemes in turn."""
    draw = random.Random(seed)
    names = [SCHEMES[number % len(SCHEMES)](draw) for number in range(count)]
    return [f"{n}.{draw.choice(ENDINGS)}" if draw.random() < 0.5 else n for n in names]


if __name__ == "__main__":
    print("\n".join(file_names(*map(int, sys.argv[1:3]))))
