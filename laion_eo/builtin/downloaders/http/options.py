"""What a run file can say of the downloader ``http``."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from laion_eo import version
from laion_eo.addresses import host_address, written_host
from laion_eo.component import ComponentConfig
from laion_eo.config import UNQUOTED, RunPath, Secret
from laion_eo.contact import check_contact
from laion_eo.images import MAX_PIXELS

PURPOSE = "collects image-text pairs"
"""What is said of a run that does not say what it is for."""
MAX_PURPOSE = 100
"""Characters of a purpose in the User-Agent."""
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Contact = Annotated[str, AfterValidator(lambda text: check_contact(text) if text else "")]
Format = Literal["JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF", "BMP"]


class HttpOptions(ComponentConfig):
    """Options of the downloader.

    Attributes:
        concurrency: Requests at a time, all hosts together.
        per_host: Requests at a time to one host.
        delay: Seconds between the starts of two requests to one host; a Crawl-delay in the host's
            robots.txt counts instead where it is longer.
        timeout: Seconds that one try may take in all, redirects included; waiting out of
            politeness does not count.
        connect_timeout: Seconds for a connection, TLS included.
        idle_timeout: Seconds without a byte.
        retries: Further tries after a transient fault (a broken connection, 429, 5xx).
        max_bytes: Larger files are refused.
        max_pixels: Larger images are refused.
        min_side: Images with a shorter side, in pixels, are refused: trackers and icons. What the
            dataset wants is the filter ``min-size``'s business; raise this to save traffic.
        max_redirects: Redirects followed.
        formats: Formats taken, judged by the bytes.
        allow_hosts: Hosts that may have private or loopback addresses, by name.
        allow_files: Whether ``file:`` URLs are read, for pools on this machine.
        ca_file: Certificates to trust in place of the system's (PEM).
        allow_list: Parquet file, or a folder of them, with a column ``url``, ``md5`` or ``sha256``
            (the first of them that is there counts): nothing else is fetched, or kept. An empty
            list is an error.
        block_list: Text file, one MD5 or SHA-256 in hex a line: URLs with such a digest are not
            fetched, content with one is not kept. An empty file blocks nothing.
        proxy: An http proxy that every request goes through but those to ``allow_hosts``:
            ``http://host:port``, or ``{env = "HTTPS_PROXY"}``, which may hold a name and a
            password, or ``http://name:{env=PASSWORD}@host:port``. The proxy resolves the names
            then, so that it must keep private addresses out itself: see docs/politeness.md.
            HTTP_PROXY and HTTPS_PROXY alone do nothing.
        user_agent: Who asks, and why: it begins with our name in robots.txt. ``{purpose}`` is
            what the run is for, ``{version}`` laion-eo's, ``{contact}`` the contact, which is
            appended where it is missing.
        contact: Where the owner of a site can reach whoever runs this: an e-mail address or an
            http(s) URL. Needed once a URL leaves this machine: without it here, the environment's
            LAION_EO_CONTACT counts, or the one in the user's configuration file.
        robots_txt: Whether robots.txt is obeyed. A site that answers 429 or 5xx for it, or not at
            all, gives nothing, and is asked again a minute later; other codes mean no rules.
        x_robots_tag: Whether X-Robots-Tag (noai, noimageai, noindex, noimageindex) is obeyed.
        tdm_reservation: Whether TDMRep (headers and /.well-known/tdmrep.json) is obeyed.
        retry_after: Whether Retry-After is obeyed, and hosts that say 429 are spared for a while.
        max_wait: Seconds waited before a retry, at most. A Retry-After that asks for more ends as
            ``rate-limited``.
    """

    concurrency: int = Field(default=64, ge=1, le=1024)
    per_host: int = Field(default=4, ge=1)
    delay: float = Field(default=0.1, ge=0, allow_inf_nan=False)
    timeout: Seconds = 30.0
    connect_timeout: Seconds = 10.0
    idle_timeout: Seconds = 10.0
    retries: Count = 2
    max_bytes: int = Field(default=64 * 2**20, ge=1)
    max_pixels: int = Field(default=MAX_PIXELS, ge=1)
    min_side: Count = 16
    max_redirects: Count = 5
    formats: tuple[Format, ...] = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF")
    allow_hosts: tuple[str, ...] = ()
    allow_files: bool = False
    ca_file: RunPath | None = None
    allow_list: RunPath | None = None
    block_list: RunPath | None = None
    proxy: Annotated[
        Secret | str | None, AfterValidator(lambda value, info: _check_proxy(value, info))
    ] = None
    user_agent: str = Field(
        default="laion-eo/{version} ({purpose}; +{contact})",
        pattern=r"^[A-Za-z_-][ -~]*$",
    )
    contact: Contact = ""
    robots_txt: bool = True
    x_robots_tag: bool = True
    tdm_reservation: bool = True
    retry_after: bool = True
    max_wait: Seconds = 30.0

    @property
    def agent(self) -> str:
        """The User-Agent header, of a run that does not say what it is for."""
        return self.agent_for("", self.contact)

    def agent_for(self, purpose: str, contact: str) -> str:
        """Return the User-Agent header.

        Args:
            purpose: What the run is for; only what fits in a header is taken of it.
            contact: Checked; ``""`` leaves it out.
        """
        text = self.user_agent
        if "{contact}" not in text and contact:
            text += " (+{contact})"
        elif not contact:
            text = text.replace("; +{contact}", "")
        values = {
            "{purpose}": in_header(purpose) or PURPOSE,
            "{contact}": contact,
            # Filled in here, not in the default: an upgrade would fetch all images again.
            "{version}": version.__version__,
        }
        # In one go: what is filled in is not filled in again.
        return re.sub(
            r"\{(?:purpose|contact|version)\}", lambda found: values[found[0]], text
        ).strip()

    @property
    def token(self) -> str:
        """The name by which robots.txt and X-Robots-Tag call us, as RFC 9309 writes names."""
        found = re.match(r"[A-Za-z_-]+", self.user_agent)
        return found[0].lower() if found else ""


def in_header(text: str) -> str:
    """Return a text as it may stand in a comment of a User-Agent: ASCII, bounded, on one line.

    Examples:
        >>> in_header("Flüsse (von oben); X-Evil: {contact}")
        'Flusse von oben X-Evil: contact'
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return " ".join(re.sub(r"[^!-~]|[()\\<>\"{};]", " ", plain).split())[:MAX_PURPOSE].strip()


def _check_proxy(value: Secret | str | None, info: ValidationInfo) -> Secret | str | None:
    if not isinstance(value, str):
        return value
    secrets = (info.context or {}).get("secret", ())
    try:
        return check_proxy(value, secret=info.field_name in secrets)
    except ValueError as error:
        # Not an ordinary error, which quotes what was written: there may be a password in it.
        raise PydanticCustomError(UNQUOTED, "{reason}", {"reason": str(error)}) from None


def check_proxy(text: str, secret: bool) -> str:
    """Return the URL of a proxy; ``http://`` may be missing where it comes from the environment.

    Args:
        text: Such as ``http://proxy.example.org:3128``.
        secret: Whether the text is one: the message then leaves it out, and a name and a password
            may be in it.

    Raises:
        ValueError: It is not the URL of an http proxy.
    """
    url = f"http://{text}" if secret and "://" not in text else text
    try:
        host = written_host(url) or ""
        host_address(host)
    except ValueError:
        host = ""
    rest = url.removeprefix("http://").rstrip("/")
    if not host or not url.startswith("http://") or set("/?#") & set(rest):
        raise ValueError("a proxy's URL was expected, http://host:port (no https, no socks)")
    if "@" in rest and not secret:
        raise ValueError('a password is not written here: proxy = {env = "HTTPS_PROXY"}')
    return url
