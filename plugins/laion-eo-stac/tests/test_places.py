from __future__ import annotations

import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from laion_eo_stac.places import Guard

from laion_eo.errors import DataError
from laion_eo.testing.spellings import NAMES, NOT_URLS, PRIVATE, PUBLIC


def resolved(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let every name stand for these addresses."""

    def look_up(host: str, port: object) -> list[tuple[object, ...]]:
        return [(0, 0, 0, "", (address, 0)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.mark.parametrize("url", [*NOT_URLS, *PRIVATE], ids=ascii)
def test_no_spelling_passes(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    resolved(monkeypatch, "8.8.8.8")  # what another parser would be told
    for local in (False, True):
        with pytest.raises(DataError) as caught:
            Guard(()).check(url, local and "://" in url)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", NAMES, ids=ascii)
@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:10.0.0.1", "2002:7f00:1::"])
def test_no_name_of_a_private_address_passes(
    url: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolved(monkeypatch, "8.8.8.8", address)
    with pytest.raises(DataError):
        Guard(()).check(url)


@pytest.mark.parametrize("url", [url for url in PUBLIC if "8.8.8.8]" not in url], ids=ascii)
def test_public_addresses_pass(url: str) -> None:
    assert Guard(()).check(url) == url


def test_names_of_public_addresses_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    resolved(monkeypatch, "8.8.8.8", "2606:4700::1111")
    assert Guard(()).check("https://Data.example.org/a") == "https://Data.example.org/a"


def test_a_host_is_allowed_as_it_is_written_and_no_other_way() -> None:
    guard = Guard(("127.0.0.1", "localhost"))
    assert guard.check("http://127.0.0.1:8080/a")
    assert guard.check("http://LOCALHOST/a")
    for url in ("http://2130706433/", "http://127.1/", "http://127.0.0.1./", "http://[::1]/"):
        with pytest.raises(DataError):
            guard.check(url)


@pytest.mark.parametrize(
    "path",
    ["/vsicurl/http://127.0.0.1/a.tif", "/vsizip//vsicurl/a", "vrt://a", " http://127.0.0.1/"],
)
def test_a_local_catalogue_names_files_alone(path: str) -> None:
    with pytest.raises(DataError):
        Guard(()).check(path, local=True)
    assert Guard(()).check("/data/a.tif", local=True) == "/data/a.tif"


@settings(deadline=None, derandomize=True)
@given(st.one_of(st.text(max_size=40), st.text(max_size=20).map("http://{}/".format)))
def test_any_text_passes_or_is_one_line(text: str) -> None:
    def nobody(*_: object) -> None:
        raise OSError("no such name")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", nobody)
        try:
            assert Guard(()).check(text).startswith(("http://", "https://"))
        except DataError as error:
            assert "\n" not in str(error)
