from __future__ import annotations

import asyncio

import pytest
from sites import Answer, Loopback, download, site
from yarl import URL

from laion_eo.builtin.downloaders.http import rules
from laion_eo.builtin.downloaders.http.client import Client
from laion_eo.builtin.downloaders.http.options import HttpOptions
from laion_eo.builtin.downloaders.http.rate_limits import Pace
from laion_eo.builtin.downloaders.http.rules import SiteRules, matches, parse_tdm
from laion_eo.types import DownloadStatus


def test_robots_txt_is_read_once_and_obeyed() -> None:
    rules = b"User-agent: laion-eo\nDisallow: /no\n\nUser-agent: *\nDisallow: /\n"
    with site({"/robots.txt": Answer(200, rules)}) as served:
        got = download(served, ["/a.jpg", "/b.jpg", "/no/c.jpg"])
    assert got["/a.jpg"].status is DownloadStatus.OK  # our own rules count, not everybody's
    assert got["/no/c.jpg"].status is DownloadStatus.ROBOTS_TXT
    assert served.paths().count("/robots.txt") == 1
    assert "/no/c.jpg" not in served.paths()


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


def test_a_site_that_fails_is_believed_a_while_and_then_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its tries are counted once for all of its URLs, not for each of them."""
    paths = [f"/{n}.jpg" for n in range(5)]
    with site({"/robots.txt": Answer(500)}) as served:
        got = download(served, paths, retries=1, per_host=1)
        assert {one.status for one in got.values()} == {DownloadStatus.ROBOTS_TXT}
        assert served.paths() == ["/robots.txt"] * 2
        monkeypatch.setattr(rules, "FAILURE_SECONDS", 0.0)
        download(served, paths[:2], per_host=1)
    assert served.paths() == ["/robots.txt"] * 4


def test_429_on_the_rules_leaves_the_host_alone() -> None:
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


def test_rules_are_forgotten_before_they_take_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    robots = Answer(200, b"User-agent: *\nDisallow: /no\n" + b"#" * 1000)
    monkeypatch.setattr(rules, "RULES_MEMORY", 3000)

    async def held(port: int) -> list[int]:
        options = HttpOptions(delay=0.0)
        sizes = []
        async with Client(options, Pace(8, 8, 0.0), Loopback(())) as client:
            sites = SiteRules(client)
            for name in (f"host{n}.test" for n in range(6)):
                await sites.check(URL(f"http://{name}:{port}/a.jpg"))
                sizes.append(len(sites._sites))
        return sizes

    with site({"/robots.txt": robots}) as served:
        assert max(asyncio.run(held(served.port))) == 3
    assert served.paths().count("/robots.txt") == 6


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
