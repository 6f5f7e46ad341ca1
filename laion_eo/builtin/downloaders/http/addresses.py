"""Which URLs and addresses may be asked: public ones, and hosts that the run allows by name."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from laion_eo.builtin.downloaders.http.refusal import RefusedError
from laion_eo.types import DownloadStatus

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
NAT64 = ipaddress.ip_network("64:ff9b::/96")
# All that is handed out of IPv6. Beyond it are old ways to write IPv4 addresses, and sites' own.
UNICAST = ipaddress.ip_network("2000::/3")
# Public by their numbers, for some versions of Python at least, but they answer only inside a
# cloud: Azure's metadata and DHCP server, and the special-purpose block that holds Oracle's.
METADATA = (ipaddress.ip_network("168.63.129.16/32"), ipaddress.ip_network("192.0.0.0/24"))


def is_public(address: Address) -> bool:
    """Tell whether an address is one of the public internet, whatever it is wrapped in."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        return address in UNICAST and address.is_global
    inside = any(address in network for network in METADATA)
    return address.is_global and not address.is_multicast and not inside


def parse_url(text: str, base: URL | None = None, code: int | None = None) -> URL:
    """Read a URL, or a redirect's target; without a fragment, and without a name and password.

    Those belong to somebody else: neither ours to use, nor another site's to make us use.

    Args:
        text: The URL.
        base: What a redirect's target is relative to.
        code: The redirect's status code.

    Raises:
        RefusedError: ``bad-url``.
    """
    try:
        url = URL(text.strip()) if base is None else base.join(URL(text))
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError("not an http or https URL")
        _check_brackets(url.host)
        return url.with_fragment(None).with_user(None)
    except (ValueError, TypeError, IndexError) as error:  # yarl's, for "http://[]@"
        where = "" if base is None else "redirect to a bad URL: "
        raise RefusedError(DownloadStatus.BAD_URL, f"{where}{error}", code) from None


def _check_brackets(host: str) -> None:
    """Refuse what stands in brackets and is no IPv6 address: "[v1.evil:x]", of RFC 3986.

    No name has a colon, so that a resolver would be asked for something that nobody checks.

    Raises:
        ValueError: It is none.
    """
    if ":" in host:
        ipaddress.IPv6Address(host)


def check_url(url: URL, allow_hosts: Collection[str]) -> None:
    """Refuse what is not http(s), and addresses written as numbers that are not public.

    Names are judged by :class:`PublicResolver`, when they are resolved.

    Raises:
        RefusedError: ``bad-url`` or ``refused-address``.
    """
    if url.scheme not in ("http", "https") or not url.host:
        raise RefusedError(DownloadStatus.BAD_URL, "not an http or https URL")
    if url.host in allow_hosts:
        return
    address = _as_number(url.host)
    if address is not None:
        _refuse_private(address, url.host)


def _as_number(host: str) -> Address | None:
    """Return the address that a host is, if it is one, however it is written: 0x7f.1, say."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None  # a name


def _refuse_private(address: Address, host: str) -> None:
    if not is_public(address):
        stands = "" if host == str(address) else f"{host} stands for "
        reason = f"{stands}{address}, which is not a public address"
        raise RefusedError(DownloadStatus.REFUSED_ADDRESS, reason)


class PublicResolver(AbstractResolver):
    """Resolves names to public addresses alone.

    What it returns is what is connected to, and every new connection asks here (or the connector's
    cache of what came from here): a name that changes its address between a check and the
    connection (DNS rebinding) gains nothing.

    Args:
        allow_hosts: Names that may stand for any address.
        inner: Who is asked; the system by default.
    """

    def __init__(self, allow_hosts: Collection[str], inner: AbstractResolver | None = None) -> None:
        self._allowed = frozenset(allow_hosts)
        self._inner = inner or aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a host, if all of them are public or the host is allowed.

        Raises:
            RefusedError: ``dns-error`` or ``refused-address``.
        """
        try:
            found = await self._inner.resolve(host, port, family)
        except (OSError, UnicodeError) as error:
            transient = isinstance(error, OSError) and error.errno == socket.EAI_AGAIN
            reason = f"{host}: {getattr(error, 'strerror', None) or error}"
            raise RefusedError(DownloadStatus.DNS_ERROR, reason, transient=transient) from None
        if host not in self._allowed:
            for entry in found:
                _refuse_private(ipaddress.ip_address(entry["host"]), host)
        return found

    async def close(self) -> None:
        """Close the inner resolver."""
        await self._inner.close()
