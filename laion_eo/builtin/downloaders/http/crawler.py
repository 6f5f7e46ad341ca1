"""Who asks, and by which way: the User-Agent with its contact, and the run's proxy."""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.request import getproxies_environment

from yarl import URL

from laion_eo.addresses import is_this_machine
from laion_eo.builtin.downloaders.http.addresses import check_name, check_url, parse_url
from laion_eo.builtin.downloaders.http.options import HttpOptions, check_proxy
from laion_eo.builtin.downloaders.http.refusal import RefusedError
from laion_eo.config import Secret
from laion_eo.contact import NoContactError, known_contact
from laion_eo.errors import ConfigError
from laion_eo.types import DownloadStatus

logger = logging.getLogger("laion_eo")


@dataclass(frozen=True)
class Crawler:
    """How requests go out.

    Attributes:
        agent: The User-Agent header.
        anonymous: Nobody gave a contact: only this machine is asked, wherever a redirect leads.
        proxy: What requests go through, without its name and password.
        proxy_headers: With those.
    """

    agent: str
    anonymous: bool = False
    proxy: URL | None = None
    proxy_headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, options: HttpOptions, purpose: str) -> Crawler:
        """Return the one of a run.

        Args:
            options: The run's.
            purpose: What the run is for.

        Raises:
            ConfigError: The proxy's environment variable, or the user's own contact, is wrong.
        """
        contact = options.contact or known_contact()
        proxy = _proxy(options)
        headers = {}
        if proxy is not None and proxy.user is not None:
            pair = b64encode(f"{proxy.user}:{proxy.password or ''}".encode())
            # aiohttp hands it to the proxy, as Proxy-Authorization.
            headers["Authorization"] = f"Basic {pair.decode()}"
        agent = options.agent_for(purpose, contact)
        return cls(agent, not contact, proxy and proxy.with_user(None), headers)

    @property
    def way(self) -> str | None:
        """Host and port of the proxy."""
        return f"{self.proxy.host_subcomponent}:{self.proxy.port}" if self.proxy else None

    def proxy_for(self, url: URL, allow_hosts: Collection[str]) -> URL | None:
        """Return the proxy of a request; hosts that the run allows by name are asked directly.

        Raises:
            RefusedError: ``refused-address``: another machine, without a contact; or a name that
                only the proxy's own network has.
        """
        if self.anonymous and not is_this_machine(url.raw_host or ""):
            reason = f"{url.host} is another machine, and this run has no contact"
            raise RefusedError(DownloadStatus.REFUSED_ADDRESS, reason)
        if self.proxy is None or url.host in allow_hosts:
            return None
        check_name(url, allow_hosts)
        if url.host == self.proxy.host:
            raise RefusedError(DownloadStatus.REFUSED_ADDRESS, f"{url.host} is the proxy")
        return self.proxy


def _proxy(options: HttpOptions) -> URL | None:
    if not isinstance(options.proxy, Secret):
        return None if options.proxy is None else URL(options.proxy)
    try:
        return URL(check_proxy(options.proxy.reveal().strip(), secret=True))
    except ValueError:  # not chained: yarl quotes what it was given
        raise ConfigError(
            f"[downloader] proxy: the environment variable {options.proxy.env} holds no proxy's "
            "URL, http://host:port (no https, no socks)."
        ) from None


def leaves(text: str, options: HttpOptions) -> bool:
    """Tell whether another machine would be asked for a URL."""
    try:
        url = parse_url(text)
        check_url(url, options.allow_hosts)
    except RefusedError:
        return False
    return not is_this_machine(url.raw_host or "")


def check_contact(crawler: Crawler, urls: Sequence[str], options: HttpOptions) -> None:
    """Refuse to ask another machine for anything without saying who asks.

    Raises:
        NoContactError: There is no contact, and a URL leaves this machine.
    """
    outside = (
        next((url for url in urls if leaves(url, options)), None) if crawler.anonymous else None
    )
    if outside is not None:
        raise NoContactError(f"the downloader 'http' ({outside[:100]!r})")


def say_ignored(crawler: Crawler, urls: Sequence[str], options: HttpOptions) -> bool:
    """Log that the environment's proxies are ignored, if it has any and they would matter here."""
    found = {"http", "https", "all"} & getproxies_environment().keys()
    if crawler.proxy or not found or not any(leaves(url, options) for url in urls):
        return False
    logger.warning(
        "%s: set, and ignored: behind a proxy nobody here sees which addresses are asked. Where it "
        'is the only way out: [downloader] proxy = {env = "HTTPS_PROXY"}.',
        ", ".join(f"{name.upper()}_PROXY" for name in sorted(found)),
    )
    return True
