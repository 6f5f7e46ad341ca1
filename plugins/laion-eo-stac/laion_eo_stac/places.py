"""Where a catalogue's links may lead: a catalogue is a stranger's, and so are its links."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from laion_eo.addresses import Address, host_address, is_public, written_host
from laion_eo.errors import DataError


class Guard:
    """Lets through http(s) URLs of public addresses, and of hosts that are allowed by name.

    The catalogue's client and GDAL read a URL for themselves, and ask for its addresses again. So
    only URLs that every parser reads alike pass, with hosts in ASCII and addresses as everybody
    writes them.

    Args:
        allow_hosts: Hosts that may have private or loopback addresses.
    """

    def __init__(self, allow_hosts: Sequence[str]) -> None:
        self._known = dict.fromkeys(allow_hosts, True)

    def check(self, href: str, local: bool = False) -> str:
        """Return the link if it may be followed.

        Args:
            href: A URL or a path.
            local: Whether paths may be: only of a catalogue that is on this disk itself.

        Raises:
            DataError: It may not.
        """
        shown = href if href.isprintable() else ascii(href)
        try:
            parts = urlsplit(href)
            host = parts.hostname and written_host(href)
            if parts.scheme in ("http", "https") and parts.hostname and host:
                if not self._is_public(host.lower()):
                    raise DataError(
                        f"{shown}: {host} is not a public address; name it in "
                        "anchors.allow_hosts if you trust it."
                    )
                return href
        except ValueError as error:
            raise DataError(f"{shown}: not a URL that may be followed: {error}.") from None
        # GDAL reads more than paths: /vsicurl/http://... is a request.
        if local and parts.scheme == "" and "://" not in href and not href.startswith("/vsi"):
            return href
        raise DataError(f"{shown}: not an http or https URL.")

    def _is_public(self, host: str) -> bool:
        if host not in self._known:
            address = host_address(host)
            if address is not None and not _is_canonical(host):
                raise ValueError(f"{host} stands for {address}, and is to be written so")
            self._known[host] = all(map(is_public, [address] if address else _look_up(host)))
        return self._known[host]


def _is_canonical(host: str) -> bool:
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return False


def _look_up(host: str) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, None)
    except OSError as error:
        raise DataError(f"{host}: {error}") from None
    return [ipaddress.ip_address(entry[4][0]) for entry in found]
