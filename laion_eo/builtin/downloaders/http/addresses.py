"""Which URLs and addresses may be asked: public ones, and hosts that the run allows by name."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from laion_eo.addresses import Address, host_address, is_private_name, is_public, written_host
from laion_eo.builtin.downloaders.http.refusal import RefusedError
from laion_eo.types import DownloadStatus

__all__ = ["PublicResolver", "check_name", "check_url", "is_public", "parse_url"]


def parse_url(text: str, base: URL | None = None, code: int | None = None) -> URL:
    """Read a URL, or a redirect's target; without a fragment, and without a name and password.

    Those belong to somebody else: neither ours to use, nor another site's to make us use. A
    public address is written as everybody writes it afterwards: 0x08.0x08.2056 is 8.8.8.8.

    Args:
        text: The URL.
        base: What a redirect's target is relative to.
        code: The redirect's status code.

    Raises:
        RefusedError: ``bad-url``.
    """
    try:
        text = text.strip()
        written_host(text)
        url = URL(text) if base is None else base.join(URL(text))
        # url.host is asked for too: it can raise where raw_host does not, for "http://xn--a".
        if url.scheme not in ("http", "https") or not url.raw_host or not url.host:
            raise ValueError("not an http or https URL")
        address = host_address(url.raw_host)
        # A private one stays as it is written, so that allow_hosts does not allow its disguises.
        if address is not None and url.raw_host != str(address) and is_public(address):
            url = url.with_host(str(address))
        return url.with_fragment(None).with_user(None)
    except (ValueError, TypeError, IndexError) as error:  # yarl's, for "http://[]@"
        where = "" if base is None else "redirect to a bad URL: "
        raise RefusedError(DownloadStatus.BAD_URL, f"{where}{error}", code) from None


def check_url(url: URL, allow_hosts: Collection[str]) -> None:
    """Refuse what is not http(s), what is no host, and addresses that are not public.

    Names are judged by :class:`PublicResolver`, when they are resolved. A host that passes here is
    a name or an address: anything else would be connected to without being asked for there.

    Raises:
        RefusedError: ``bad-url`` or ``refused-address``.
    """
    host = url.raw_host
    if url.scheme not in ("http", "https") or not host:
        raise RefusedError(DownloadStatus.BAD_URL, "not an http or https URL")
    try:
        if url.host in allow_hosts:
            return
        address = host_address(host)
    except ValueError as error:
        # An address with a zone stands for a machine on this one's own network.
        status = "REFUSED_ADDRESS" if "%" in host and ":" in host else "BAD_URL"
        raise RefusedError(DownloadStatus[status], str(error)) from None
    if address is not None:
        _refuse_private(address, host)


def check_name(url: URL, allow_hosts: Collection[str]) -> None:
    """Refuse names that nobody on the internet has, where a proxy would resolve them.

    Raises:
        RefusedError: ``refused-address``.
    """
    host = url.raw_host or ""
    if url.host not in allow_hosts and host_address(host) is None and is_private_name(host):
        raise RefusedError(DownloadStatus.REFUSED_ADDRESS, f"{host} is not a public name")


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
            addresses = [ipaddress.ip_address(entry["host"]) for entry in found]
        except (OSError, ValueError) as error:  # UnicodeError is one
            transient = isinstance(error, OSError) and error.errno == socket.EAI_AGAIN
            reason = f"{host}: {getattr(error, 'strerror', None) or error}"
            raise RefusedError(DownloadStatus.DNS_ERROR, reason, transient=transient) from None
        if host not in self._allowed:
            for address in addresses:
                _refuse_private(address, host)
        return found

    async def close(self) -> None:
        """Close the inner resolver."""
        await self._inner.close()
