"""Where the links of a third-party catalogue may lead."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from laion_eo.errors import DataError


class Guard:
    """Accepts http(s) URLs of public addresses, and of hosts that are allowed by name.

    Args:
        allow_hosts: Hosts that may have private or loopback addresses.
    """

    def __init__(self, allow_hosts: Sequence[str]) -> None:
        self._known = dict.fromkeys(allow_hosts, True)

    def check(self, href: str, local: bool = False) -> str:
        """Return the link if it may be followed.

        Args:
            href: A URL or a path.
            local: Whether paths are accepted: only for a catalogue that is on this disk itself.

        Raises:
            DataError: The link may not be followed.
        """
        parts = urlsplit(href)
        if parts.scheme in ("http", "https") and parts.hostname:
            if not self._is_public(parts.hostname):
                raise DataError(
                    f"{href}: {parts.hostname} is not a public address; name it in "
                    "anchors.allow_hosts if you trust it."
                )
            return href
        if local and parts.scheme == "":
            return href
        raise DataError(f"{href}: not an http or https URL.")

    def _is_public(self, host: str) -> bool:
        if host not in self._known:
            try:
                if ":" in host:  # in brackets; RFC 3986 allows there what is no address
                    ipaddress.IPv6Address(host)
                found = socket.getaddrinfo(host, None)
            except (OSError, ValueError) as error:
                raise DataError(f"{host}: {error}") from None
            addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
            self._known[host] = all(ipaddress.ip_address(one).is_global for one in addresses)
        return self._known[host]
