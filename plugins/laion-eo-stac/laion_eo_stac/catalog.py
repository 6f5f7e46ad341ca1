"""The items of a catalogue: those that an API finds, or those that a static one links to."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from laion_eo.errors import DataError
from laion_eo_stac.options import StacOptions
from laion_eo_stac.places import Guard

if TYPE_CHECKING:
    from pystac import Item
    from pystac_client import Client
    from requests import PreparedRequest, Response


RETRIES = 2
"""Retries of a request to the catalogue."""


def list_items(config: StacOptions, guard: Guard) -> list[Item]:
    """Return the items that the search finds, sorted by id, at most ``config.limit``.

    Raises:
        DataError: The catalogue cannot be read.
    """
    from pystac.errors import STACError
    from pystac_client.exceptions import APIError
    from pystac_client.warnings import PystacClientWarning
    from requests import RequestException

    try:
        with warnings.catch_warnings():
            # A static catalogue is no server and advertises no search: its links are followed.
            warnings.simplefilter("ignore", PystacClientWarning)
            found = sorted(_matching(config, guard), key=lambda item: item.id)
    except (APIError, STACError, RequestException, OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{config.catalog}: not a STAC catalogue that can be read: {reason}"
        ) from None
    return found[: config.limit]


def _matching(config: StacOptions, guard: Guard) -> Iterator[Item]:
    client = _open(config, guard)
    from pystac_client import ConformanceClasses

    if client.conforms_to(ConformanceClasses.ITEM_SEARCH):
        items = _search(client, config)
    else:
        items = (item for item in client.get_items(recursive=True) if _touches(item, config))
    for item in items:
        cover = item.properties.get("eo:cloud_cover")
        limit = config.max_cloud_cover
        if limit is None or (cover is not None and float(cover) <= limit):
            yield item


def _open(config: StacOptions, guard: Guard) -> Client:
    from pystac_client import Client
    from pystac_client.stac_api_io import StacApiIO
    from requests.adapters import HTTPAdapter

    local = urlsplit(config.catalog).scheme == ""

    class GuardedIO(StacApiIO):
        """Checks each link of the catalogue before it is followed."""

        def read_text(self, source: Any, *args: Any, **kwargs: Any) -> str:
            guard.check(str(getattr(source, "absolute_href", None) or source), local)
            return super().read_text(source, *args, **kwargs)

    class GuardedAdapter(HTTPAdapter):
        """Checks each request, so that no redirect leads elsewhere."""

        def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
            guard.check(str(request.url))
            return super().send(request, *args, **kwargs)

    io = GuardedIO(timeout=config.timeout)
    for scheme in ("http://", "https://"):
        io.session.mount(scheme, GuardedAdapter(max_retries=RETRIES))
    return Client.open(config.catalog, stac_io=io)


def _search(client: Client, config: StacOptions) -> Iterator[Item]:
    from pystac_client import ConformanceClasses

    wanted: dict[str, Any] = {"max_items": config.limit, "bbox": config.bbox}
    wanted |= {"datetime": config.datetime, "collections": config.collections or None}
    if client.conforms_to(ConformanceClasses.SORT):
        wanted["sortby"] = [{"field": "id", "direction": "asc"}]
    if config.max_cloud_cover is not None and client.conforms_to(ConformanceClasses.QUERY):
        wanted["query"] = {"eo:cloud_cover": {"lte": config.max_cloud_cover}}
    return client.search(**wanted).items()


def _touches(item: Item, config: StacOptions) -> bool:
    """Return whether an item of a static catalogue matches what an API would search for."""
    if config.collections and item.collection_id not in config.collections:
        return False
    if config.datetime and not _within(item, config.datetime):
        return False
    if config.bbox and item.bbox:
        west, south, east, north = config.bbox
        left, bottom, right, top = _flat(item.bbox)
        return left <= east and right >= west and bottom <= north and top >= south
    return True


def _flat(bbox: list[float]) -> tuple[float, float, float, float]:
    """Return west, south, east, north of a box with or without heights."""
    half = len(bbox) // 2
    return bbox[0], bbox[1], bbox[half], bbox[half + 1]


def _within(item: Item, wanted: str) -> bool:
    start, slash, end = wanted.partition("/")
    begin = item.datetime or item.common_metadata.start_datetime
    finish = item.datetime or item.common_metadata.end_datetime
    if begin is None or finish is None:
        return False
    first = _moment(start, late=False)
    last = _moment(end if slash else start, late=True)
    return (first is None or _utc(finish) >= first) and (last is None or _utc(begin) <= last)


def _moment(text: str, late: bool) -> datetime | None:
    """Parse one end of an interval: a day is its first or last moment, ``..`` is open."""
    if text in ("", ".."):
        return None
    moment = datetime.fromisoformat(text)
    if len(text) == len("2024-01-01") and late:
        moment = moment.replace(hour=23, minute=59, second=59, microsecond=999_999)
    return _utc(moment)


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
