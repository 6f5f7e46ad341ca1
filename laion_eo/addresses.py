"""Hosts in URLs: which of them are addresses, however they are written, and which are public.

One parser judges for everybody. Wherever two programs read a URL differently, one of them checks a
host that the other does not ask; so a URL that can be read in two ways is refused.
"""

from __future__ import annotations

import ipaddress
import re
import socket

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
NAT64 = ipaddress.ip_network("64:ff9b::/96")
# All that is handed out of IPv6. Beyond it are old ways to write IPv4 addresses, and sites' own.
UNICAST = ipaddress.ip_network("2000::/3")
# Public by their numbers, for some versions of Python at least, but they answer only inside a
# cloud or a provider's network, or wrap another address: Azure's metadata and DHCP server, the
# special-purpose block that holds Oracle's, and that of IPv6 (Teredo, anycast of port control).
SPECIAL = tuple(map(ipaddress.ip_network, ("168.63.129.16/32", "192.0.0.0/24", "2001::/23")))
# RFC 6761, 7686, 8375, 9476 and what ICANN will not hand out: nobody on the internet has them.
PRIVATE_NAMES = ("localhost", "local", "internal", "invalid", "test", "onion", "alt", "home.arpa",
                 "corp", "home", "mail", "lan", "intranet", "private")  # fmt: skip

_AUTHORITY = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?//([^/?#]*)")
_HOST_AND_PORT = re.compile(r"(?:[^@\\]*@)?(\[[0-9A-Fa-f:.]+\]|[^\[\]:@\\]+)(?::([0-9]*))?")
_LABEL = re.compile(r"[A-Za-z0-9_-]{1,63}")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
LAST_PORT = 65_535
LONGEST_NAME = 253
"""Characters of a host's name, by DNS."""


def is_public(address: Address) -> bool:
    """Tell whether an address is one of the public internet, whatever it is wrapped in."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address not in UNICAST or address.scope_id is not None:
            return False
    inside = any(address in network for network in SPECIAL)
    return address.is_global and not address.is_multicast and not inside


def is_this_machine(host: str) -> bool:
    """Tell whether a host is this machine by its spelling alone; ``*.invalid`` is nowhere else."""
    try:
        address = host_address(host)
    except ValueError:
        return False
    if address is None:
        return host.lower().removesuffix(".").rpartition(".")[2] in ("localhost", "invalid")
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)


def is_private_name(host: str) -> bool:
    """Tell whether a name is one of a site or a machine: a bare word, or below such a domain."""
    name = host.lower().removesuffix(".")
    return "." not in name or name.endswith(tuple(f".{domain}" for domain in PRIVATE_NAMES))


def host_address(host: str) -> Address | None:
    """Return the address that a host is, however it is written (``0x7f.1``), or None for a name.

    Args:
        host: As a parser of URLs returns it: ASCII, IPv6 without its brackets.

    Raises:
        ValueError: It is neither: an IPv6 address with a zone, an IPvFuture, 256.1.1.1.
    """
    if ":" in host:
        address = ipaddress.IPv6Address(host)
        if address.scope_id is not None:
            raise ValueError(f"{host!r} is an address with a zone")
        return address
    name = host.removesuffix(".")
    labels = name.split(".")
    if len(name) > LONGEST_NAME or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError(f"{host!r} is not the name of a host")
    if not _NUMBER.fullmatch(labels[-1]):
        return None
    try:
        return ipaddress.IPv4Address(socket.inet_aton(name))
    except OSError:
        raise ValueError(f"{host!r} ends in a number, but is not an IPv4 address") from None


def written_host(url: str) -> str | None:
    """Return the host of a URL as it is written, or None where the URL names none.

    Args:
        url: A URL, or what is relative to one.

    Raises:
        ValueError: It can be read in several ways: control characters, backslashes, two ``@``,
            brackets around anything but IPv6, a port that is not ASCII digits. Or no server can
            have the port.
    """
    if _CONTROL.search(url):
        raise ValueError("a control character in the URL")
    found = _AUTHORITY.match(url)
    if found is None or not found[1]:
        return None
    parts = _HOST_AND_PORT.fullmatch(found[1])
    if parts is None:
        raise ValueError("the URL's host and port can be read in several ways")
    if parts[2] and not 0 < int(parts[2][:9]) <= LAST_PORT:
        raise ValueError(f"no server has the port {parts[2][:9]}")
    return parts[1].removeprefix("[").removesuffix("]")
