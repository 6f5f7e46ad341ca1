"""What a run file can say of the downloader ``http``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from laion_eo.component import ComponentConfig
from laion_eo.config import RunPath
from laion_eo.images import MAX_PIXELS
from laion_eo.version import __version__

CONTACT = "https://huggingface.co/datasets/mikonvergence/LAION-EO"
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
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
        user_agent: Who asks, and why; ``{contact}`` is replaced by the contact.
        contact: Where the owner of a site can reach us: an address or a URL.
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
    user_agent: str = Field(
        default=f"laion-eo/{__version__} (collects image-text pairs of Earth observation "
        "for research; contact: {contact})",
        pattern=r"^[!-~][ -~]*$",
    )
    contact: str = Field(default=CONTACT, pattern=r"^[ -~]*$")
    robots_txt: bool = True
    x_robots_tag: bool = True
    tdm_reservation: bool = True
    retry_after: bool = True
    max_wait: Seconds = 30.0

    @property
    def agent(self) -> str:
        """The User-Agent header."""
        return self.user_agent.replace("{contact}", self.contact)

    @property
    def token(self) -> str:
        """The name by which robots.txt and X-Robots-Tag call us."""
        return self.agent.partition("/")[0].partition(" ")[0].lower()
