from __future__ import annotations

import asyncio
import ipaddress
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from fakes.hostile import HostileServer, serve_hostile
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from laion_eo.builtin.downloaders.http.addresses import (
    PublicResolver,
    check_url,
    is_public,
    parse_url,
)
from laion_eo.builtin.downloaders.http.body import MemoryBudget
from laion_eo.builtin.downloaders.http.client import Client
from laion_eo.builtin.downloaders.http.downloader import HttpDownloader
from laion_eo.builtin.downloaders.http.fetch import Fetcher
from laion_eo.builtin.downloaders.http.options import HttpOptions
from laion_eo.builtin.downloaders.http.rate_limits import RateLimits
from laion_eo.builtin.downloaders.http.refusal import RefusedError
from laion_eo.builtin.hash_lists import HashList
from laion_eo.component import Context
from laion_eo.testing.spellings import NAMES, NOT_URLS, PUBLIC
from laion_eo.testing.spellings import PRIVATE as PRIVATE_URLS
from laion_eo.types import Download, DownloadStatus

PRIVATE = (
    "127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "100.100.100.200", "0.0.0.0", "224.0.0.1", "255.255.255.255", "168.63.129.16",
    "192.0.0.192", "::", "::1", "fe80::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2002:a9fe:a9fe::",
    "::127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b:1::a00:1", "fec0::1", "5f00::1",
    "2001:0:808:808::", "2001:1::1", "2001:db8::1", "64:ff9b::a9fe:a9fe", "fe80::1%eth0",
    "2606:4700::1111%eth0",
)  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_public_addresses_are(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/", "http://[::1]/", "http://2130706433/", "http://0x7f.1/",
        "http://127.1/", "http://0177.0.0.1/", "http://１２７.0.0.1/", "http://[fe80::1%25eth0]/",
    ],
)  # fmt: skip
def test_addresses_are_seen_however_they_are_written(url: str) -> None:
    with pytest.raises(RefusedError) as caught:
        check_url(URL(url), ())
    assert caught.value.status is DownloadStatus.REFUSED_ADDRESS


def ending(url: str, base: str | None = None) -> DownloadStatus | str:
    """Return how both checks of a URL end: a status, or the host that would be asked."""
    try:
        found = parse_url(url, URL(base) if base else None, 302)
        check_url(found, ())
    except RefusedError as refusal:
        return refusal.status
    return found.raw_host or ""


@pytest.mark.parametrize("url", NOT_URLS, ids=ascii)
def test_no_spelling_of_no_host_passes(url: str) -> None:
    assert ending(url) is DownloadStatus.BAD_URL
    # Relative to another URL some are paths on its host.
    redirected = ending(url, "http://8.8.8.8/a/b")
    assert redirected in (DownloadStatus.BAD_URL, DownloadStatus.REFUSED_ADDRESS, "8.8.8.8")


@pytest.mark.parametrize("url", PRIVATE_URLS, ids=ascii)
def test_no_spelling_of_a_private_address_passes(url: str) -> None:
    assert ending(url) is DownloadStatus.REFUSED_ADDRESS
    assert ending(url, "http://8.8.8.8/a/b") is DownloadStatus.REFUSED_ADDRESS
    if "[" not in url:  # nor where the scheme is the redirecting page's
        assert ending(url.partition(":")[2], "https://8.8.8.8/") is DownloadStatus.REFUSED_ADDRESS


@pytest.mark.parametrize(("url", "host"), PUBLIC.items(), ids=ascii)
def test_what_only_looks_odd_asks_the_host_it_names(url: str, host: str) -> None:
    assert ending(url) == host
    assert ending(url, "http://1.1.1.1/") == host


@pytest.mark.parametrize("url", NAMES, ids=ascii)
@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "169.254.169.254", "::ffff:10.0.0.1"])
def test_no_name_of_a_private_address_is_resolved(url: str, address: str) -> None:
    host = ending(url)
    assert isinstance(host, str)
    names = FakeNames({host: [address]})
    with pytest.raises(RefusedError) as caught:
        asyncio.run(PublicResolver((), names).resolve(host, 80))
    assert caught.value.status is DownloadStatus.REFUSED_ADDRESS


def test_one_private_address_among_public_ones_is_enough() -> None:
    class Both(FakeNames):
        async def resolve(self, *_: object) -> Any:
            return [{"host": "8.8.8.8"}, {"host": "127.0.0.1"}]

    with pytest.raises(RefusedError, match="stands for 127.0.0.1"):
        asyncio.run(PublicResolver((), Both({})).resolve("evil.test"))


def test_what_is_no_address_is_a_dns_error() -> None:
    with pytest.raises(RefusedError) as caught:
        asyncio.run(PublicResolver((), FakeNames({"x.test": ["no address"]})).resolve("x.test"))
    assert caught.value.status is DownloadStatus.DNS_ERROR


def test_every_spelling_ends_in_a_status_and_asks_nobody(server: HostileServer) -> None:
    """Through the whole downloader, at the port of a server here, which nobody allowed."""
    here = [url.replace("127.0.0.1/", f"127.0.0.1:{server.port}/") for url in PRIVATE_URLS]
    here += [url.replace("7f.1/", f"7f.1:{server.port}/") for url in PRIVATE_URLS]
    urls = [*dict.fromkeys((*NOT_URLS, *PRIVATE_URLS, *here))]
    config = HttpDownloader.Config(retries=0, delay=0.0)
    before = server.visits.total()
    found = list(HttpDownloader(config, Context()).download(urls))
    assert {got.url for got in found} == set(urls)
    ends = {got.status for got in found}
    assert ends == {DownloadStatus.BAD_URL, DownloadStatus.REFUSED_ADDRESS}
    assert server.visits.total() == before


@pytest.mark.parametrize(
    "url", ["ftp://8.8.8.8/", "file:///etc/passwd", "gopher://x/", "http:///x"]
)
def test_other_schemes_are_bad(url: str) -> None:
    with pytest.raises(RefusedError) as caught:
        check_url(URL(url), ())
    assert caught.value.status is DownloadStatus.BAD_URL


@pytest.mark.parametrize(
    "url",
    ["http://[]@", "http://[::1", "http://a:99999999/", "http://[v1.evil:x]/", "http://[vF.::1]/"],
)
def test_what_is_no_url_has_a_status(url: str) -> None:
    config = HttpDownloader.Config(retries=0)
    [got] = HttpDownloader(config, Context()).download([url])
    assert got.status is DownloadStatus.BAD_URL
    with pytest.raises(RefusedError, match="redirect to a bad URL"):
        parse_url(url, URL("http://8.8.8.8/"))


@settings(deadline=None, derandomize=True)
@given(
    st.one_of(
        st.text(max_size=60),
        st.builds("{}://{}{}{}".format, st.sampled_from(["http", "https", "ftp", "HTTP", "file"]),
                  st.sampled_from(["", "a@", "a:b@", "[", "]@"]) , st.text(max_size=20),
                  st.sampled_from(["", "/", ":80/", ":99999", "]:1/", "/%zz", "/\x00"])),
        st.ip_addresses().map("http://{}/".format),
        st.ip_addresses(v=6).map("http://[{}]/".format),
    ),
    st.booleans(),
)  # fmt: skip
def test_any_text_is_a_url_without_a_password_or_a_bad_url(text: str, redirected: bool) -> None:
    try:
        url = parse_url(text, URL("http://example.org/a") if redirected else None, 302)
    except RefusedError as refusal:
        assert (refusal.status, refusal.code) == (DownloadStatus.BAD_URL, 302)
        return
    assert url.scheme in ("http", "https")
    assert (url.user, url.password, url.fragment) == (None, None, "")
    try:
        check_url(url, ())
    except RefusedError as refusal:
        assert refusal.status is DownloadStatus.REFUSED_ADDRESS


@settings(deadline=None, derandomize=True)
@given(st.ip_addresses(v=4))
def test_an_address_is_judged_alike_however_it_is_wrapped(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    wrapped = [f"::ffff:{address}", f"64:ff9b::{number >> 16:x}:{number & 0xFFFF:x}",
               f"2002:{number >> 16:x}:{number & 0xFFFF:x}::"]  # fmt: skip
    assert {is_public(ipaddress.ip_address(one)) for one in wrapped} == {is_public(address)}
    written = [str(address), str(number), f"{number:#x}", f"0{number:o}"]
    refused = []
    for host in written:
        try:
            check_url(URL(f"http://{host}/"), ())
        except RefusedError:
            refused.append(host)
    assert refused == ([] if is_public(address) else written)


class FakeNames(AbstractResolver):
    """Answers as scripted: each look-up of a name takes its next address."""

    def __init__(self, names: dict[str, list[str]]) -> None:
        self.names = names
        self.asked: list[str] = []

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002
    ) -> list[ResolveResult]:
        self.asked.append(host)
        answers = self.names.get(host)
        if not answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        address = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        pass


def fetch_with(
    names: FakeNames,
    allow: tuple[str, ...],
    *urls: str,
    limits: RateLimits | None = None,
    **more: float,
) -> list[Download]:
    """Fetch one after the other; names stand for what the fake says."""

    async def work() -> list[Download]:
        values = {"allow_hosts": allow, "delay": 0.0, "retries": 1, "timeout": 5.0, **more}
        options = HttpOptions.model_validate(values)
        resolver = PublicResolver(options.allow_hosts, names)
        async with Client(options, limits or RateLimits(8, 8, 0.0), resolver) as client:
            fetcher, memory, found = Fetcher(client, HashList()), MemoryBudget(8, 2**20), []
            for url in urls:
                async with memory.reservation() as reservation:
                    found.append(await fetcher.fetch(url, reservation))
            return found

    return asyncio.run(work())


@pytest.fixture(scope="module")
def server() -> Iterator[HostileServer]:
    with serve_hostile() as running:
        yield running


def test_a_name_of_a_private_address_is_refused(server: HostileServer) -> None:
    names = FakeNames({"evil.test": ["127.0.0.1"]})
    [got] = fetch_with(names, (), f"http://evil.test:{server.port}/case/jpeg")
    assert got.status is DownloadStatus.REFUSED_ADDRESS
    assert "evil.test stands for 127.0.0.1" in got.reason


def test_the_same_name_is_reached_where_the_run_allows_it(server: HostileServer) -> None:
    names = FakeNames({"pool.test": ["127.0.0.1"]})
    [got] = fetch_with(names, ("pool.test",), f"http://pool.test:{server.port}/case/jpeg")
    assert got.status is DownloadStatus.OK


def test_rebinding_gains_nothing(server: HostileServer) -> None:
    """The name is public when it is looked at first, and private when a new connection needs it."""
    names = FakeNames({"rebind.test": ["10.0.0.9", "127.0.0.1"]})
    before = server.visits.total()
    first, second = fetch_with(
        names, (), "http://rebind.test:1/a.jpg", f"http://rebind.test:{server.port}/case/jpeg"
    )
    assert first.status is DownloadStatus.REFUSED_ADDRESS
    assert second.status is DownloadStatus.REFUSED_ADDRESS
    assert names.asked == ["rebind.test", "rebind.test"]  # asked anew, and judged anew
    assert server.visits.total() == before


class CountedLimits(RateLimits):
    """Rate limits that note who was asked."""

    def __init__(self) -> None:
        super().__init__(8, 8, 0.0)
        self.asked: list[str] = []

    @asynccontextmanager
    async def connection(self, name: str) -> AsyncIterator[None]:
        self.asked.append(name)
        async with super().connection(name):
            yield


@pytest.mark.skipif(sys.platform != "linux", reason="how others treat a full queue differs")
def test_a_host_that_lets_nobody_in_is_tried_once() -> None:
    """The system itself tries several times; what comes of it is believed for a while."""
    limits = CountedLimits()
    with socket.socket() as full, ExitStack() as guests:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):  # those who fill its queue
            guest = guests.enter_context(socket.socket())
            guest.setblocking(False)
            guest.connect_ex(full.getsockname())
        urls = [f"http://127.0.0.1:{full.getsockname()[1]}/{n}.jpg" for n in range(3)]
        found = fetch_with(
            FakeNames({}), ("127.0.0.1",), *urls, limits=limits, retries=2, connect_timeout=0.3
        )
    assert {got.status for got in found} == {DownloadStatus.TIMEOUT}
    assert "no connection within 0.3 s" in found[0].reason
    assert limits.asked == ["127.0.0.1"]


def test_dead_names_have_a_status_of_their_own_and_no_retry() -> None:
    names = FakeNames({})
    [got] = fetch_with(names, (), "http://gone.test/a.jpg")
    assert got.status is DownloadStatus.DNS_ERROR
    assert got.reason == "gone.test: Name or service not known"
    assert names.asked == ["gone.test"]


def test_a_name_is_looked_up_once_for_all_its_urls(server: HostileServer) -> None:
    """Each of these answers closes its connection: the next one needs the address again."""
    names = FakeNames({"pool.test": ["127.0.0.1"]})
    urls = [f"http://pool.test:{server.port}/case/jpeg?{n}" for n in range(4)]
    found = fetch_with(names, ("pool.test",), *urls)
    assert {got.status for got in found} == {DownloadStatus.OK}
    assert names.asked == ["pool.test"]


def test_a_dead_name_is_asked_for_once_for_all_its_urls() -> None:
    names = FakeNames({})
    found = fetch_with(names, (), *(f"http://gone.test/{n}.jpg" for n in range(5)))
    assert {got.status for got in found} == {DownloadStatus.DNS_ERROR}
    assert names.asked == ["gone.test"]
