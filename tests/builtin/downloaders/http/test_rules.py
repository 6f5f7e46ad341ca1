from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sites import Answer, Loopback, Site, download, site
from yarl import URL

from laion_eo.builtin.downloaders.http import rules
from laion_eo.builtin.downloaders.http.client import Client
from laion_eo.builtin.downloaders.http.options import HttpOptions
from laion_eo.builtin.downloaders.http.rate_limits import RateLimits
from laion_eo.builtin.downloaders.http.refusal import RefusedError
from laion_eo.builtin.downloaders.http.robots import parse_robots
from laion_eo.builtin.downloaders.http.rules import SiteRules, crawl_delay, matches, parse_tdm
from laion_eo.types import DownloadStatus


def test_robots_txt_is_read_once_and_obeyed() -> None:
    rules = b"User-agent: laion-eo\nDisallow: /no\n\nUser-agent: *\nDisallow: /\n"
    with site({"/robots.txt": Answer(200, rules)}) as served:
        got = download(served, ["/a.jpg", "/b.jpg", "/no/c.jpg"])
    assert got["/a.jpg"].status is DownloadStatus.OK  # our own rules count, not those for all
    assert got["/no/c.jpg"].status is DownloadStatus.ROBOTS_TXT
    assert served.paths().count("/robots.txt") == 1
    assert "/no/c.jpg" not in served.paths()


@pytest.mark.parametrize(
    ("agent", "status"),
    [
        ("laion-eo/2.1", DownloadStatus.ROBOTS_TXT),
        ("laion-eo Foo", DownloadStatus.ROBOTS_TXT),
        ("laion", DownloadStatus.OK),
        ("laion-eoX", DownloadStatus.OK),
    ],
)
def test_our_name_is_the_whole_token(agent: str, status: DownloadStatus) -> None:
    text = f"User-agent: {agent}\nCrawl-delay: 0\nUser-agent: other\nDisallow: /\n"
    with site({"/robots.txt": Answer(200, text.encode())}) as served:
        assert download(served, ["/a.jpg"])["/a.jpg"].status is status


def test_robots_txt_can_be_switched_off() -> None:
    with site({"/robots.txt": Answer(200, b"User-agent: *\nDisallow: /\n")}) as served:
        got = download(served, ["/a.jpg"], robots_txt=False)
    assert got["/a.jpg"].status is DownloadStatus.OK
    assert "/robots.txt" not in served.paths()


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (404, DownloadStatus.OK),
        (403, DownloadStatus.OK),
        (429, DownloadStatus.ROBOTS_TXT),
        (503, DownloadStatus.ROBOTS_TXT),
    ],
)
def test_robots_txt_that_cannot_be_read(code: int, status: DownloadStatus) -> None:
    with site({"/robots.txt": Answer(code)}) as served:
        assert download(served, ["/a.jpg"], retry_after=False)["/a.jpg"].status is status


def test_robots_txt_that_fails_once_is_asked_for_again() -> None:
    with site({"/robots.txt": Answer(503)}) as served:
        served.later["/robots.txt"] = Answer(200, b"User-agent: *\nDisallow: /no\n")
        got = download(served, ["/a.jpg", "/no.jpg"], retries=1)
    assert got["/a.jpg"].status is DownloadStatus.OK
    assert got["/no.jpg"].status is DownloadStatus.ROBOTS_TXT
    assert served.paths().count("/robots.txt") == 2


def checked(served: Site, rules: SiteRules, *hosts: str) -> Coroutine[Any, Any, list[str]]:
    """Return how the rules judge an image of each host, one after the other."""

    async def work() -> list[str]:
        ends = []
        for host in hosts:
            try:
                await rules.check(URL(f"http://{host}:{served.port}/a.jpg"))
                ends.append("ok")
            except RefusedError as refusal:
                ends.append(refusal.status.value)
        return ends

    return work()


@pytest.mark.parametrize(("seconds", "asked"), [(60.0, 2), (0.0, 10)])
def test_a_site_that_fails_is_believed_a_while_and_then_asked_again(
    seconds: float, asked: int
) -> None:
    """Its tries are counted once for all of its URLs, not for each of them."""

    async def work(served: Site) -> list[str]:
        options = HttpOptions(delay=0.0, retries=1, max_wait=0.01)
        async with Client(options, RateLimits(8, 8, 0.0), Loopback(())) as client:
            rules = SiteRules(client, failure_seconds=seconds)
            return await checked(served, rules, *["one.test"] * 5)

    with site({"/robots.txt": Answer(500)}) as served:
        assert asyncio.run(work(served)) == ["robots-txt"] * 5
    assert served.paths() == ["/robots.txt"] * asked


def test_429_on_the_rules_spares_the_host() -> None:
    """Whatever it was asked for: a host that says 429 to tdmrep.json is not asked for an image."""
    busy = Answer(429, b"", ("Retry-After: 3600",))
    for path in ("/robots.txt", "/.well-known/tdmrep.json"):
        with site({path: busy}) as served:
            got = download(served, ["/a.jpg", "/b.jpg"])
        assert DownloadStatus.OK not in {one.status for one in got.values()}
        assert served.paths()[-1] == path
        assert served.paths().count(path) == 1


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_robots_txt_may_begin_with_a_byte_order_mark(mark: bytes) -> None:
    with site({"/robots.txt": Answer(200, mark + b"User-agent: *\nDisallow: /no\n")}) as served:
        assert download(served, ["/no.jpg"])["/no.jpg"].status is DownloadStatus.ROBOTS_TXT


@pytest.mark.parametrize(
    "target", ["http://10.0.0.1/robots.txt", "http://[::ffff:10.0.0.1]/", "file:///etc/passwd"]
)
def test_robots_txt_cannot_lead_us_astray(target: str) -> None:
    with site({"/robots.txt": Answer(302, b"", (f"Location: {target}",))}) as served:
        got = download(served, ["/a.jpg"])["/a.jpg"]
    assert got.status is DownloadStatus.ROBOTS_TXT
    assert "robots.txt redirects to what cannot be read" in got.reason
    assert served.paths() == ["/robots.txt"]


def test_robots_txt_may_be_elsewhere_but_not_nowhere() -> None:
    """RFC 9309: redirects are followed; one without an end is like no robots.txt."""
    there = Answer(200, b"User-agent: *\nDisallow: /no\n")
    files = {"/robots.txt": Answer(301, b"", ("Location: /rules",)), "/rules": there}
    with site(files) as served:
        assert download(served, ["/no.jpg"])["/no.jpg"].status is DownloadStatus.ROBOTS_TXT
    with site({"/robots.txt": Answer(301, b"", ("Location: /robots.txt",))}) as served:
        assert download(served, ["/no.jpg"])["/no.jpg"].status is DownloadStatus.OK
    assert served.paths().count("/robots.txt") == 1 + rules.RULES_REDIRECTS


def test_only_the_first_part_of_a_robots_txt_counts() -> None:
    start = b"User-agent: *\nDisallow: /early\n"
    padding = b"#" * (rules.RULES_BYTES - len(start)) + b"\n"
    robots = start + padding + b"Disallow: /late\n"
    with site({"/robots.txt": Answer(200, robots)}) as served:
        got = download(served, ["/early.jpg", "/late.jpg"])
    assert got["/early.jpg"].status is DownloadStatus.ROBOTS_TXT
    assert got["/late.jpg"].status is DownloadStatus.OK


def test_a_robots_txt_that_drips_is_given_up() -> None:
    with site() as served:
        served.silent = "/robots.txt"
        got = download(served, ["/a.jpg", "/b.jpg"], timeout=0.5)
    assert {one.status for one in got.values()} == {DownloadStatus.TIMEOUT}
    assert served.paths() == ["/robots.txt"]


def test_rules_are_forgotten_before_they_take_the_memory() -> None:
    """The oldest first: room for two of these files is room for two sites."""
    robots = Answer(200, b"User-agent: *\nDisallow: /no\n" + b"#" * 1000)

    async def work(served: Site) -> list[int]:
        async with Client(HttpOptions(delay=0.0), RateLimits(8, 8, 0.0), Loopback(())) as client:
            rules, counts = SiteRules(client, memory=2500), []
            for host in ("one.test", "two.test", "one.test", "three.test", "one.test", "two.test"):
                await checked(served, rules, host)
                counts.append(served.paths().count("/robots.txt"))
            return counts

    with site({"/robots.txt": robots}) as served:
        assert asyncio.run(work(served)) == [1, 2, 2, 3, 3, 4]


def test_a_robots_txt_made_to_hang_its_reader_does_not() -> None:
    rules = b"User-agent: *\nDisallow: /" + b"*a" * 40 + b"b$\n"
    with site({"/robots.txt": Answer(200, rules)}) as served:
        path = "/" + "a" * 2000 + ".jpg"
        assert download(served, [path], timeout=5.0)[path].status is DownloadStatus.OK


def test_crawl_delay_counts_where_it_is_longer() -> None:
    rules = b"User-agent: *\nCrawl-delay: 0.3\n"
    with site({"/robots.txt": Answer(200, rules)}) as served:
        download(served, ["/a.jpg", "/b.jpg", "/c.jpg"], tdm_reservation=False)
    times = served.times()
    assert times[-1] - times[0] > 2 * 0.3 - 0.1  # waiting is never shorter, whatever the machine


NUMBERS = st.one_of(
    st.floats().map(str), st.integers().map(str), st.sampled_from(["1e999", "0x1", "1_0", "--1"])
)
lines = st.one_of(
    st.text(max_size=60),
    st.builds(
        "{}: {}".format,
        st.sampled_from(["User-agent", "Disallow", "Allow", "Request-rate", "Visit-time", "Host"]),
        st.one_of(st.text(max_size=40), st.sampled_from(["*", "laion-eo", "/%", "/%F0%9", "*$*"])),
    ),
    NUMBERS.map("Crawl-delay: {}".format),
)


@settings(deadline=None, derandomize=True)
@given(st.lists(lines, max_size=12).map("\n".join), st.text(max_size=40))
def test_any_robots_txt_can_be_read(text: str, path: str) -> None:
    robots = parse_robots("User-agent: *\n" + text, "laion-eo")
    assert 0.0 <= crawl_delay(robots, "laion-eo") <= rules.MAX_CRAWL_DELAY
    url = URL("http://a.test/") / path.lstrip("/") if path.strip("/.") else URL("http://a.test/")
    assert robots.can_fetch(str(url), "laion-eo") in (True, False)


jsons = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["location", "tdm-reservation", "x"]), inner, max_size=3)
    ),
)


@settings(deadline=None, derandomize=True)
@given(st.one_of(st.text(max_size=60), jsons.map(json.dumps)), st.text(max_size=40))
def test_any_tdmrep_says_something_or_nothing(text: str, path: str) -> None:
    for location, reserved in parse_tdm(text):
        assert isinstance(reserved, bool)
        assert matches(location, path) in (True, False)


def as_regex(location: str) -> str:
    """Return a location as a pattern that says the same, and takes for ever where we do not."""
    body = location.removesuffix("$")
    return ".*".join(map(re.escape, body.split("*"))) + ("$" if location.endswith("$") else "")


@settings(deadline=None, derandomize=True)
@given(st.text("ab*$", max_size=8), st.text("ab$", max_size=8))
def test_locations_match_as_their_patterns_do(location: str, path: str) -> None:
    assert matches(location, path) == bool(re.match(as_regex(location), path, re.DOTALL))


def test_tdmrep_can_be_switched_off() -> None:
    listed = b'[{"location": "/", "tdm-reservation": 1}]'
    with site({"/.well-known/tdmrep.json": Answer(200, listed)}) as served:
        kept = download(served, ["/a.jpg"])["/a.jpg"]
        taken = download(served, ["/a.jpg"], tdm_reservation=False)["/a.jpg"]
    assert (kept.status, taken.status) == (DownloadStatus.TDM_RESERVED, DownloadStatus.OK)


def test_tdm_rules_are_read_in_order_and_nonsense_says_nothing() -> None:
    text = '[{"location": "/free/*"}, {"location": "/", "tdm-reservation": 1}, 3, {"location": 4}]'
    assert parse_tdm(text) == (("/free/*", False), ("/", True))
    assert parse_tdm("<html>") == parse_tdm('"x"') == parse_tdm("[" * 100_000) == ()


@pytest.mark.parametrize(
    ("location", "path", "result"),
    [
        ("/", "/x", True),
        ("/a/*.jpg$", "/a/b.jpg", True),
        ("/a/*.jpg$", "/a/b.jpg.png", False),
        ("/a$", "/a", True),
        ("/a$", "/ab", False),
        ("/*a$", "/ba", True),
        ("/*ab*ab$", "/ab", False),
        ("/" + "*a" * 50 + "b$", "/" + "a" * 5000, False),
    ],
)
def test_locations(location: str, path: str, result: bool) -> None:
    assert matches(location, path) is result
