from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laion_eo.addresses import (
    host_address,
    is_private_name,
    is_public,
    is_this_machine,
    written_host,
)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("8.8.8.8", "8.8.8.8"), ("8.8.8.8.", "8.8.8.8"), ("0x08.8.2056", "8.8.8.8"),
        ("134744072", "8.8.8.8"), ("010.010.010.010", "8.8.8.8"), ("::1", "::1"),
        ("::ffff:8.8.8.8", "::ffff:808:808"), ("example.org", None), ("example.org.", None),
        ("a_b.example", None), ("-a.example", None), ("xn--bcher-kva.example", None),
        ("1e3", None), ("0b1", None), ("127.0.0.1.example", None), ("localhost", None),
    ],
)  # fmt: skip
def test_a_host_is_an_address_or_a_name(host: str, address: str | None) -> None:
    assert host_address(host) == (address and ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "host",
    [
        "", ".", "..", "a..b", ".a", "a b", "a%b", "a/b", "a\\b", "a@b", "a:b", "v1.evil:x", "ä",
        "1.2.3.4.5", "256.1", "4294967296", "08", "0x", "1.0x", "a.1", "::1%lo", "1::2::3",
        "a" * 64, ".".join(["a" * 63] * 4), "a\x00", "１",
    ],
)  # fmt: skip
def test_or_it_is_none(host: str) -> None:
    with pytest.raises(ValueError):
        host_address(host)


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("localhost", True), ("LOCALHOST.", True), ("a.localhost", True), ("gone.invalid", True),
        ("127.9.9.9", True), ("0x7f.1", True), ("0.0.0.0", True), ("::1", True), ("::", True),
        ("::ffff:127.0.0.1", True), ("localhost.example", False), ("10.0.0.1", False),
        ("8.8.8.8", False), ("mylocalhost", False), ("v1.evil:x", False), ("", False),
    ],
)  # fmt: skip
def test_some_hosts_are_this_machine_by_their_spelling(host: str, here: bool) -> None:
    assert is_this_machine(host) is here


@pytest.mark.parametrize(
    ("host", "private"),
    [
        ("intranet", True), ("metadata.google.internal", True), ("a.local.", True), ("a.LAN", True),
        ("1.home.arpa", True), ("example.org", False), ("local.example", False), ("x.arpa", False),
    ],
)  # fmt: skip
def test_some_names_are_a_site_s_own(host: str, private: bool) -> None:
    assert is_private_name(host) is private


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://example.org/a", "example.org"), ("http://a:b@example.org:80?x", "example.org"),
        ("//example.org", "example.org"), ("http://[::1]:80/", "::1"), ("http://x:/", "x"),
        ("/a/b", None), ("a?b=http://c/", None), ("", None), ("http:a", None), ("http:///a", None),
        ("http://x#@y", "x"), ("http://x/\\y", "x"),
    ],
)  # fmt: skip
def test_a_url_says_its_host(url: str, host: str | None) -> None:
    assert written_host(url) == host


@settings(deadline=None, derandomize=True)
@given(st.ip_addresses(v=4), st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 3, 4]))
def test_every_way_to_write_an_address_is_seen_as_the_system_sees_it(
    address: ipaddress.IPv4Address, bases: int, parts: int
) -> None:
    """Each part in decimal, octal or hexadecimal, the last one taking the rest."""
    packed = address.packed
    numbers = [*packed[: parts - 1], int.from_bytes(packed[parts - 1 :], "big")]
    forms = [("%d", "0%o", "0x%x")[bases // 3**place % 3] % n for place, n in enumerate(numbers)]
    host = ".".join(forms)
    assert host_address(host) == address
    assert host_address(f"{host}.") == address
    assert socket.inet_aton(host) == packed


@settings(deadline=None, derandomize=True)
@given(st.one_of(st.text(max_size=30), st.text("0123456789abcdefx.:[]%@-_v\\", max_size=20)))
def test_what_is_connected_to_without_a_resolver_was_judged(host: str) -> None:
    """aiohttp takes digits and dots, and whatever has a colon, for an address."""
    try:
        address = host_address(host)
    except ValueError:
        return
    if ":" in host or host.replace(".", "").isdigit():
        assert address is not None
        assert is_public(address) in (True, False)
    else:
        assert host.isascii()
        assert len(host) <= 254


@settings(deadline=None, derandomize=True)
@given(st.ip_addresses(v=6))
def test_only_unicast_addresses_are_public(address: ipaddress.IPv6Address) -> None:
    if is_public(address):
        wrapped = int(address) >> 32 == int(ipaddress.ip_address("64:ff9b::")) >> 32
        mapped = address.ipv4_mapped is not None
        assert wrapped or mapped or address.packed[0] >> 5 == 1
