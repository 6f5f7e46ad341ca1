"""A catalogue of made Sentinel-2 scenes, and a server that counts the bytes it sends."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from rasterio import Affine

pytest_plugins = ["laion_eo.testing.fixtures"]

SIDE = 1024
ASSETS = ("B04", "B03", "B02")


def write_cog(path: Path, value: int, side: int = SIDE, shift_east: float = 0.0) -> Path:
    """A cloud-optimised GeoTIFF of noise around a digital number, 10 m, UTM 32N; 0 is no data."""
    noise = np.random.default_rng(value).integers(-200, 200, (side, side))
    values = (value + noise).astype(np.uint16)
    values[:64, :64] = 0
    profile = {"driver": "COG", "dtype": "uint16", "count": 1, "nodata": 0, "crs": "EPSG:32632"}
    place = Affine(10, 0, 680_000 + shift_east, 0, -10, 5_150_000)
    size = {"height": side, "width": side, "transform": place, "blocksize": 256}
    with rasterio.open(path, "w", **profile, **size, compress="deflate") as raster:
        raster.write(values, 1)
    return path


def write_catalog(folder: Path, baseline: str = "05.09") -> Path:
    """Two scenes, a cloudy one in May and a clear one in July; relative links."""
    catalog = pystac.Catalog("made", "made scenes")
    collection = pystac.Collection(
        "sentinel-2-l2a",
        "made scenes",
        pystac.Extent(
            pystac.SpatialExtent([[-180.0, -90.0, 180.0, 90.0]]),
            pystac.TemporalExtent([[datetime(2023, 1, 1, tzinfo=UTC), None]]),
        ),
    )
    catalog.add_child(collection)
    for number, (month, cover) in enumerate([(5, 80.0), (7, 3.0)]):
        west = 11.35 + number
        box = [west, 46.35, west + 0.15, 46.5]
        item = pystac.Item(
            f"S2_{month:02d}",
            {"type": "Point", "coordinates": [box[0], box[1]]},
            box,
            datetime(2023, month, 3, 10, 11, tzinfo=UTC),
            {
                "eo:cloud_cover": cover,
                "platform": "sentinel-2a",
                "s2:processing_baseline": baseline,
            },
        )
        item.properties["s2:processing_baseline"] = baseline
        for band, asset in enumerate(ASSETS):
            path = folder / f"{item.id}_{asset}.tif"
            write_cog(path, 3000 + 100 * band, shift_east=76_000 * number)
            item.add_asset(asset, pystac.Asset(str(path), roles=["data"]))
        collection.add_item(item)
    catalog.normalize_hrefs(str(folder))
    catalog.make_all_asset_hrefs_relative()
    catalog.save(pystac.CatalogType.SELF_CONTAINED)
    return folder / "catalog.json"


class RangeHandler(BaseHTTPRequestHandler):
    """Serves a folder with ranges, as object stores do; keeps what it sent."""

    protocol_version = "HTTP/1.1"
    server: RangeServer

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.do_GET(body=False)

    def do_GET(self, body: bool = True) -> None:
        if self.path.startswith("/moved/"):
            self.send_response(302)
            place = f"http://localhost:{self.server.server_address[1]}"
            self.send_header("Location", place + self.path.removeprefix("/moved"))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path = self.server.folder / self.path.lstrip("/").partition("?")[0]
        if not path.is_file():
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content, size = path.read_bytes(), path.stat().st_size
        wanted = self.headers.get("Range", "")
        start, stop = 0, size
        if wanted.startswith("bytes="):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, stop = int(first), min(int(last or size) + 1, size)
        self.send_response(206 if wanted else 200)
        self.send_header("Accept-Ranges", "bytes")
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        if body:
            self.wfile.write(content[start:stop])
            self.server.sent[path.name] = self.server.sent.get(path.name, 0) + stop - start


class RangeServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, folder: Path, handler: type[BaseHTTPRequestHandler] = RangeHandler) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.folder = folder
        self.sent: dict[str, int] = {}
        self.asked: list[Any] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class ApiHandler(RangeHandler):
    """A STAC API over the items of the folder: a landing page and a search."""

    def answer(self, data: Any) -> None:
        content = json.dumps(data).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/geo+json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self, body: bool = True) -> None:
        if self.path != "/":
            return super().do_GET(body)
        root = "https://api.stacspec.org/v1.0.0"
        kinds = ("core", "item-search", "item-search#sort", "item-search#query")
        search = {"rel": "search", "type": "application/geo+json", "method": "POST"}
        about = {"type": "Catalog", "stac_version": "1.0.0", "id": "api", "description": "api"}
        links = [{"rel": "self", "href": self.server.url}]
        links.append({**search, "href": f"{self.server.url}/search"})
        return self.answer({**about, "conformsTo": [f"{root}/{k}" for k in kinds], "links": links})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(asked)
        items = []
        for path in sorted(self.server.folder.glob("sentinel-2-l2a/*/*.json")):
            item = json.loads(path.read_text())
            for asset in item["assets"].values():
                asset["href"] = f"{self.server.url}/{Path(asset['href']).name}"
            item["links"] = []
            items.append(item)
        self.answer({"type": "FeatureCollection", "features": items, "links": []})


@pytest.fixture(scope="session")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_catalog(tmp_path_factory.mktemp("catalog"))


@contextmanager
def serving(server: RangeServer) -> Iterator[RangeServer]:
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def server(catalog: Path) -> Iterator[RangeServer]:
    with serving(RangeServer(catalog.parent)) as running:
        yield running


@pytest.fixture
def api(catalog: Path) -> Iterator[RangeServer]:
    with serving(RangeServer(catalog.parent, ApiHandler)) as running:
        yield running


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RangeServer]:
    """Serves the test's own folder."""
    with serving(RangeServer(tmp_path)) as running:
        yield running
