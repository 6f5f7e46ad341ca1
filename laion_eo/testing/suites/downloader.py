"""The suite of downloaders."""

from __future__ import annotations

import inspect

from laion_eo.kinds import Downloader
from laion_eo.kinds.contract import check_download
from laion_eo.testing.suites.base import ComponentTests
from laion_eo.types import DownloadStatus

HOSTILE = (
    "",
    "no-url",
    "http://",
    "http://[::1",
    "javascript:alert(1)",
    "file:///etc/hostname",
    "http://127.0.0.1:1/nobody-listens",
    "http://no-such-host.invalid/a.jpg",
    "http://127.0.0.1\x00/a.jpg",
    "http://exa mple/ä.jpg",
)


class DownloaderTests(ComponentTests):
    """Tests of a :class:`~laion_eo.kinds.Downloader`.

    They ask a server on 127.0.0.1 and URLs that lead nowhere. A downloader that fetches from
    elsewhere (an archive, say) overrides :meth:`good_urls`.
    """

    def good_urls(self, web_url: str) -> list[str]:
        """Return URLs whose images are available.

        Args:
            web_url: The image server's; it ends in a slash.
        """
        return [f"{web_url}{name}.png" for name in ("green00", "green01", "red31", "copy")]

    def test_every_url_has_its_end(self, component: Downloader, web_url: str) -> None:
        """One Download per URL, good and hostile ones mixed; none raises."""
        urls = [*HOSTILE, *self.good_urls(web_url), f"{web_url}missing.png"]
        ends = [check_download(component, end, urls) for end in component.download(urls)]
        assert sorted(end.url for end in ends) == sorted(urls)

    def test_images_come_complete(self, component: Downloader, web_url: str) -> None:
        """An image that is there is ok: its bytes, their sha256, its size and format."""
        for end in component.download(self.good_urls(web_url)):
            assert check_download(component, end, [end.url]).status is DownloadStatus.OK, end.reason

    def test_failures_have_a_reason(self, component: Downloader, web_url: str) -> None:
        """What is not ok says why, in one line, and brings no bytes."""
        for end in component.download([*HOSTILE, f"{web_url}missing.png"]):
            assert end.status is not DownloadStatus.OK, end.url
            assert end.reason.strip(), end.url
            assert "\n" not in end.reason
            assert end.content is None

    def test_what_is_no_image_is_refused(self, component: Downloader, web_url: str) -> None:
        """A file that is there but is no image is not ok."""
        (end,) = component.download([f"{web_url}pairs.csv"])
        assert end.status is not DownloadStatus.OK

    def test_no_urls(self, component: Downloader) -> None:
        """No URLs give no downloads."""
        assert list(component.download([])) == []

    def test_it_can_be_left(self, component: Downloader, web_url: str) -> None:
        """A run may stop between two downloads, and another may begin."""
        downloads = component.download(self.good_urls(web_url))
        next(downloads)
        if inspect.isgenerator(downloads):
            downloads.close()
        again = list(component.download(self.good_urls(web_url)))
        assert len(again) == len(self.good_urls(web_url))
