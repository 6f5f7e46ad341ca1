"""Why nothing of a pool could be embedded, in one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from laion_eo.types import DownloadStatus

_NETWORK = "is there a network, and are these hosts still there?"
_FORBIDDEN = "the sites do not allow it"
LIKELY = {
    DownloadStatus.REFUSED_ADDRESS: "private addresses have to be named: "
    "--set 'downloader.allow_hosts=[\"HOST\"]'",
    DownloadStatus.DNS_ERROR: _NETWORK,
    DownloadStatus.UNREACHABLE: _NETWORK,
    DownloadStatus.TIMEOUT: _NETWORK,
    DownloadStatus.TLS_ERROR: "is there a proxy between, or a wrong clock?",
    DownloadStatus.RATE_LIMITED: "the servers ask for a pause; try later",
    DownloadStatus.ROBOTS_TXT: _FORBIDDEN,
    DownloadStatus.X_ROBOTS_TAG: _FORBIDDEN,
    DownloadStatus.TDM_RESERVED: _FORBIDDEN,
    DownloadStatus.NOT_ALLOWED: "none of them is on the allow-list",
    DownloadStatus.BLOCKED: "all of them are on the block-list",
    DownloadStatus.BAD_URL: "file: URLs need --set downloader.allow_files=true; others http(s)",
    DownloadStatus.HTTP_ERROR: "the links are dead, or refused",
}
"""What is behind a status, most likely."""


def likely_cause(skipped: Iterable[str]) -> str:
    """Return how the images failed, and the likely cause of the most frequent failure.

    Args:
        skipped: The reason of each; of a download, its status comes first.

    Examples:
        >>> likely_cause(["dns-error: no such host", "dns-error: no such host"])
        '2 dns-error (no such host): is there a network, and are these hosts still there?'
    """
    statuses = {str(status): status for status in DownloadStatus}
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for reason in skipped:
        status, _, rest = reason.partition(": ")
        kind = status if status in statuses else ""
        counts[kind] += 1
        examples.setdefault(kind, (rest if kind else reason).strip())
    parts = [
        f"{count:,} {kind or 'not decoded'} ({examples[kind] or 'no reason given'})"
        for kind, count in counts.most_common(3)
    ]
    likely = (
        LIKELY.get(statuses[counts.most_common(1)[0][0]]) if counts.most_common(1)[0][0] else ""
    )
    return "; ".join(parts) + (f": {likely}" if likely else "")
