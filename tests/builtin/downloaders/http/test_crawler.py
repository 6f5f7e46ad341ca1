from __future__ import annotations

import logging
import socket
import ssl
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from fakes.loopback import serve_connections
from fakes.proxy import Proxy, serve_proxy
from hypothesis import given, settings
from hypothesis import strategies as st
from sites import JPEG, Answer, Site, site

from laion_eo.builtin.downloaders.http.downloader import HttpDownloader
from laion_eo.builtin.downloaders.http.options import MAX_PURPOSE, HttpOptions, in_header
from laion_eo.component import Context
from laion_eo.config import DatasetOptions, validate
from laion_eo.contact import VARIABLE, NoContactError, keep_contact
from laion_eo.errors import ConfigError
from laion_eo.types import JSON, Download, DownloadStatus
from laion_eo.version import __version__

MAIL = "someone@example.org"
WEB = "http://pictures.example.org"
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No contact and no proxy but those of the test."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def downloader(purpose: str = "", **options: JSON) -> HttpDownloader:
    config = {"allow_hosts": ["127.0.0.1"], "delay": 0.0, "retries": 0, **options}
    return HttpDownloader(
        validate(HttpDownloader.Config, config, "run.toml: [downloader]"), Context(purpose=purpose)
    )


def fetch(*urls: str, **options: JSON) -> list[Download]:
    found = {got.url: got for got in downloader(**options).download(urls)}
    return [found[url] for url in urls]


# Who asks.


def test_a_contact_is_needed_before_the_first_request() -> None:
    with site() as served:
        urls = [f"http://127.0.0.1:{served.port}/a.jpg", f"{WEB}/a.jpg"]
        with pytest.raises(NoContactError) as caught:
            next(downloader().download(urls))
    assert served.diary == []
    message = str(caught.value)
    assert f"{WEB}/a.jpg" in message
    for way in ("[downloader]", VARIABLE, "config.toml"):
        assert way in message
    assert "\n" not in message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:1/a.jpg", "http://127.9.9.9:1/", "http://[::1]:1/", "http://gone.invalid/",
        "file:///a.jpg", "no url", "http://10.0.0.1/", "http://[v1.evil:x]/", "http://8.8.8.8:0/",
    ],
)  # fmt: skip
def test_none_is_needed_for_what_stays_here_or_is_refused(url: str) -> None:
    [got] = fetch(url, allow_hosts=["localhost"])
    assert got.status is not DownloadStatus.OK


def test_none_is_needed_where_the_allow_list_has_nothing_outside(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"url": ["http://127.0.0.1:1/"]}), tmp_path / "list.parquet")
    [got] = fetch(f"{WEB}/a.jpg", allow_list=str(tmp_path / "list.parquet"))
    assert got.status is DownloadStatus.NOT_ALLOWED


def test_without_one_no_redirect_leaves_this_machine() -> None:
    away = Answer(302, b"", (f"Location: {WEB}/b.jpg",))
    with site({"/a.jpg": away}) as served:
        [got] = fetch(f"http://127.0.0.1:{served.port}/a.jpg")
    assert got.status is DownloadStatus.REFUSED_ADDRESS
    assert got.reason == "pictures.example.org is another machine, and this run has no contact"


def agent_of(served: Site, purpose: str = "", **options: JSON) -> str:
    [got] = downloader(purpose, **options).download([f"http://127.0.0.1:{served.port}/a.jpg"])
    assert got.status is DownloadStatus.OK
    agents = {agent.removeprefix("User-Agent: ") for _, _, agent in served.diary}
    served.diary.clear()
    [agent] = agents  # robots.txt is asked for under the same name
    return agent


def test_the_run_file_counts_first_then_the_environment_then_what_was_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = f"laion-eo/{__version__} (collects image-text pairs"
    with site() as served:
        assert agent_of(served) == f"{start})"
        keep_contact("kept@example.org")
        assert agent_of(served) == f"{start}; +kept@example.org)"
        monkeypatch.setenv(VARIABLE, "env@example.org")
        assert agent_of(served) == f"{start}; +env@example.org)"
        assert agent_of(served, contact=MAIL) == f"{start}; +{MAIL})"
        assert agent_of(served, contact=MAIL, purpose="Clip art") == (
            f"laion-eo/{__version__} (Clip art; +{MAIL})"
        )
        assert agent_of(served, contact=MAIL, user_agent="mybot/2") == f"mybot/2 (+{MAIL})"
        assert agent_of(served, user_agent="mybot ({purpose})", purpose="x") == (
            "mybot (x) (+env@example.org)"
        )


def test_an_upgrade_changes_the_header_but_no_option(monkeypatch: pytest.MonkeyPatch) -> None:
    """The options enter the fingerprint of the downloads: all would be fetched again."""
    before = HttpOptions().model_dump()
    monkeypatch.setattr("laion_eo.version.__version__", "7.0")
    assert HttpOptions().model_dump() == before
    assert __version__ not in str(before)
    assert HttpOptions().agent == "laion-eo/7.0 (collects image-text pairs)"


def test_nothing_is_said_of_the_run_that_it_does_not_say_itself() -> None:
    assert DatasetOptions().purpose == ""
    assert DatasetOptions(config="ver-1").purpose == "collects image-text pairs: ver-1"
    named = DatasetOptions(config="ver-1", pretty_name="Rivers")
    assert named.purpose == "collects image-text pairs: Rivers"
    agent = HttpOptions().agent_for("", MAIL).lower()
    assert not any(word in agent for word in ("earth", "satellite", "research", "huggingface"))


@settings(deadline=None, derandomize=True)
@given(st.text(max_size=200))
def test_any_purpose_fits_into_the_header(purpose: str) -> None:
    agent = HttpOptions().agent_for(purpose, MAIL)
    assert agent.isascii()
    assert agent.isprintable()
    assert agent.count("(") == agent.count(")") == 1
    assert agent.endswith(f"; +{MAIL})")
    assert len(in_header(purpose)) <= MAX_PURPOSE


@pytest.mark.parametrize("contact", ["me", "me@example.org\r\nX: 1", "mé@example.org", "é", " "])
def test_a_contact_that_is_none_is_refused(contact: str) -> None:
    with pytest.raises(ConfigError, match=r"run\.toml: \[downloader\]: 'contact'"):
        downloader(contact=contact)


@pytest.mark.parametrize("agent", ["", "3bot/1", " bot", "bot\r\nX: 1", "bøt", "{contact}"])
def test_a_user_agent_begins_with_a_name_of_robots_txt(agent: str) -> None:
    with pytest.raises(ConfigError, match="'user_agent'"):
        downloader(user_agent=agent)


@pytest.mark.parametrize(
    ("agent", "token"),
    [
        ("laion-eo/2.1", "laion-eo"),
        ("Grey_Heron 3", "grey_heron"),
        ("bot9/1", "bot"),
        ("a(b)", "a"),
    ],
)
def test_the_name_ends_where_rfc_9309_ends_it(agent: str, token: str) -> None:
    assert HttpOptions(user_agent=agent).token == token


def test_the_token_of_the_default_stays() -> None:
    assert HttpOptions().token == "laion-eo"


@pytest.mark.parametrize(
    ("options", "accepted"),
    [
        ({}, False),
        ({"allow_hosts": ["pool.example.org"]}, False),
        ({"allow_hosts": ["127.0.0.1"]}, True),
        ({"allow_hosts": ["localhost"]}, True),
        ({"allow_files": True}, True),
        ({"contact": MAIL}, True),
    ],
)
def test_a_run_that_can_only_leave_this_machine_is_told_before_any_work(
    options: dict[str, JSON], accepted: bool
) -> None:
    one = HttpDownloader(HttpDownloader.Config.model_validate(options), Context())
    if accepted:
        one.check()
    else:
        with pytest.raises(NoContactError, match="LAION_EO_CONTACT"):
            one.check()


@pytest.mark.parametrize("stated", [True, False])
def test_a_card_shows_only_a_contact_that_the_run_file_states(
    stated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, MAIL)
    one = downloader(**({"contact": MAIL} if stated else {}))
    with site() as served:
        [got] = one.download([f"http://127.0.0.1:{served.port}/a.jpg"])
    assert got.status is DownloadStatus.OK
    assert all(MAIL in agent for _, _, agent in served.diary)
    assert (MAIL in one.facts()["user_agent"]) is stated


# By which way.


@pytest.fixture
def web() -> Iterator[Site]:
    with site({"/robots.txt": Answer(200, b"User-agent: *\nDisallow: /no\n")}) as served:
        yield served


def through(proxy: Proxy) -> dict[str, JSON]:
    return {"proxy": f"http://127.0.0.1:{proxy.port}", "contact": MAIL}


def test_a_proxy_is_asked_for_the_rules_and_the_images(web: Site) -> None:
    with serve_proxy(web.port) as proxy:
        got, kept_out = fetch(f"{WEB}/a.jpg", f"{WEB}/no.jpg", **through(proxy))
    assert (got.status, got.content) == (DownloadStatus.OK, JPEG)
    assert kept_out.status is DownloadStatus.ROBOTS_TXT
    assert ("GET", f"{WEB}/robots.txt") in proxy.asked
    assert ("GET", f"{WEB}/no.jpg") not in proxy.asked
    assert {agent for _, _, agent in web.diary if MAIL not in agent} == set()
    assert proxy.auth == []


def test_the_proxy_of_the_environment_is_taken_where_the_run_file_names_it(
    web: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_proxy(web.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"who:top%40secret@127.0.0.1:{proxy.port}")
        one = downloader(proxy={"env": "HTTPS_PROXY"}, contact=MAIL)
        [got] = one.download([f"{WEB}/a.jpg"])
    assert got.status is DownloadStatus.OK
    assert set(proxy.auth) == {f"Basic {b64encode(b'who:top@secret').decode()}"}
    assert one.facts()["proxy"] == f"127.0.0.1:{proxy.port}"
    assert "secret" not in str(one.facts()) + str(one.config.model_dump(mode="json"))
    assert not any("proxy-authorization" in head.lower() for head in web.heads)


def test_a_password_of_the_proxy_is_referred_to(web: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_proxy(web.port) as proxy:
        monkeypatch.setenv("PROXY_PASSWORD", "top@secret")
        table = {"proxy": f"http://who:{{env=PROXY_PASSWORD}}@127.0.0.1:{proxy.port}"}
        config = HttpDownloader.Config.read(table | {"contact": MAIL}, "run")
        one = HttpDownloader(config, Context())
        [got] = one.download([f"{WEB}/a.jpg"])
    assert got.status is DownloadStatus.OK
    assert set(proxy.auth) == {f"Basic {b64encode(b'who:top@secret').decode()}"}
    assert config.model_dump()["proxy"] == table["proxy"]
    assert "secret" not in str(one.facts())


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/a.jpg", "http://2130706434/a.jpg", "http://[::1]/a.jpg",
        "http://[v1.evil:x]/a.jpg", "http://169.254.169.254/latest/", "http://intranet/a.jpg",
        "http://localhost:8080/a.jpg", "http://metadata.google.internal/", "http://a.b.local./",
        "http://127.0.0.1./a.jpg",
    ],
)  # fmt: skip
def test_a_proxy_opens_no_private_address(web: Site, url: str) -> None:
    with serve_proxy(web.port) as proxy:
        [got] = fetch(url, allow_hosts=[], **through(proxy))
    assert got.status in (DownloadStatus.REFUSED_ADDRESS, DownloadStatus.BAD_URL)
    assert proxy.asked == []


def test_nor_does_a_redirect_behind_it(web: Site) -> None:
    web.files["/a.jpg"] = Answer(302, b"", ("Location: http://192.168.0.1/b.jpg",))
    with serve_proxy(web.port) as proxy:
        [got] = fetch(f"{WEB}/a.jpg", **through(proxy))
    assert got.status is DownloadStatus.REFUSED_ADDRESS
    assert all("192.168" not in target for _, target in proxy.asked)


def test_nobody_asks_the_proxy_for_itself(web: Site) -> None:
    with serve_proxy(web.port) as proxy:
        options = through(proxy) | {"proxy": f"http://localhost:{proxy.port}"}
        [got] = fetch(f"http://localhost:{proxy.port}/a.jpg", **options)
    assert got.status is DownloadStatus.REFUSED_ADDRESS
    assert proxy.asked == []


def test_hosts_that_the_run_allows_are_asked_directly(web: Site) -> None:
    with serve_proxy(web.port) as proxy:
        [got] = fetch(f"http://127.0.0.1:{web.port}/a.jpg", **through(proxy))
    assert got.status is DownloadStatus.OK
    assert proxy.asked == []


def test_tls_goes_through_a_tunnel(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("pictures.example.org").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    served = Site({})
    with serve_connections(served.answer, context) as port, serve_proxy(port) as proxy:
        options = {**through(proxy), "ca_file": str(tmp_path / "ca.pem")}
        good, bad = fetch(
            "https://pictures.example.org/a.jpg", "https://other.example.org/a.jpg", **options
        )
    assert good.status is DownloadStatus.OK, good.reason
    assert bad.status is DownloadStatus.TLS_ERROR  # whom the tunnel leads to is still checked
    assert ("CONNECT", "pictures.example.org:443") in proxy.asked


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_refuses_is_a_status(web: Site, scheme: str) -> None:
    with serve_proxy(web.port, 407) as proxy:
        [got] = fetch(f"{scheme}://pictures.example.org/a.jpg", **through(proxy))
    assert got.status in (DownloadStatus.HTTP_ERROR, DownloadStatus.UNREACHABLE)
    assert "407" in got.reason


def test_a_proxy_that_is_not_there_is_a_status() -> None:
    [got] = fetch(f"{WEB}/a.jpg", proxy="http://127.0.0.1:1", contact=MAIL)
    assert got.status is DownloadStatus.UNREACHABLE


@pytest.mark.parametrize(
    "value",
    ["https://proxy:1", "socks5://proxy:1", "proxy:1", "http://", "http://[v1.x]:1", "http://a/b",
     "http://who:secret@proxy:1", "http://proxy:1?a=secret", "http://a b:1", ""],
)  # fmt: skip
def test_what_is_no_proxy_is_refused_and_not_repeated(value: str) -> None:
    with pytest.raises(ConfigError, match=r"run\.toml: \[downloader\]: 'proxy'") as caught:
        downloader(proxy=value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "value", ["socks5://who:secret@proxy:1", "http://who:secret@proxy:x", "a b"]
)
def test_nor_is_what_the_environment_has(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_PROXY", value)
    with pytest.raises(ConfigError, match="variable MY_PROXY holds no proxy") as caught:
        downloader(proxy={"env": "MY_PROXY"}, contact=MAIL).check()
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_ignored_proxy_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def look_up(*_: object, **__: object) -> None:
        raise OSError("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setenv("https_proxy", "http://who:secret@127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "localhost")
    caplog.set_level(logging.DEBUG, "laion_eo")
    one = downloader(contact=MAIL)
    for url in ("http://10.0.0.1/", f"{WEB}/a.jpg", f"{WEB}/b.jpg"):
        [got] = one.download([url])
        assert got.status is not DownloadStatus.OK
    [record] = [record for record in caplog.records if record.name == "laion_eo"]
    assert record.levelname == "WARNING"
    assert "HTTPS_PROXY: set, and ignored" in record.message
    assert "proxy = {env =" in record.message
    assert "secret" not in caplog.text


def test_a_proxy_is_not_worth_a_word_where_nothing_leaves_this_machine(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, web: Site
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    [got] = fetch(f"http://127.0.0.1:{web.port}/a.jpg", contact=MAIL)
    assert got.status is DownloadStatus.OK  # and it was not used
    assert not [record for record in caplog.records if record.name == "laion_eo"]
