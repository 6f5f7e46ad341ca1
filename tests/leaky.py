"""Plugins that say what they know wherever they can: options, logs, facts, reasons, errors."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence

from pydantic import Field

from laion_eo.component import ComponentConfig
from laion_eo.config import Model
from laion_eo.hookspecs import hookimpl
from laion_eo.kinds import Downloader, Embedder
from laion_eo.testing.colours import Colours
from laion_eo.types import JSON, Download, DownloadStatus, Embeddings, Picture

logger = logging.getLogger("leaky")


class Account(Model):
    """A table of options inside the options."""

    name: str
    keys: tuple[str, ...] = ()


class Leaky(Colours):
    """The colours of the kit, behind accounts, tokens and headers."""

    name = "leaky"
    summary = "tells everything"

    class Config(ComponentConfig):
        token: str = ""
        tokens: tuple[str, ...] = ()
        headers: dict[str, str] = Field(default={})
        account: Account | None = None
        fails: str = ""

    config: Config

    def embed_images(self, images: Sequence[Picture]) -> Embeddings:
        """Embed n pictures, and tell the log; or fail, and tell why."""
        config = self.config
        logger.debug("asked with %s and %r", config.token, config)
        logger.debug("headers %s, keys %s", config.headers, config.account and config.account.keys)
        warnings.warn(f"the token is {config.token}", UserWarning, stacklevel=1)
        try:
            if config.fails:
                raise ValueError(f"no answer for {config.token} and {config.tokens}")
        except ValueError as error:
            logger.exception("failed")
            raise OSError(5, config.fails, config.token) from error
        return super().embed_images(images)

    def facts(self) -> dict[str, JSON]:
        """Return all that there is to know."""
        config = self.config
        known = {"token": config.token, config.token or "none": 1, "headers": config.headers}
        return {**known, "all": config.model_dump(mode="json"), "tokens": list(config.tokens)}


class Refusing(Downloader):
    """Fetches the pictures from a folder for whoever has the key, and says the key."""

    name = "refusing"
    summary = "no download without a reason"

    class Config(ComponentConfig):
        key: str

    config: Config

    def download(self, urls: Sequence[str]) -> Iterator[Download]:
        """Yield why none of the URLs is to be had."""
        for url in urls:
            yield Download(url, DownloadStatus.HTTP_ERROR, f"refused {self.config.key}", 403)


@hookimpl
def laion_eo_embedders() -> list[type[Embedder]]:
    return [Leaky]


@hookimpl
def laion_eo_downloaders() -> list[type[Downloader]]:
    return [Refusing]


@hookimpl
def laion_eo_card_sections(manifest: dict[str, JSON]) -> str:
    return f"## Everything\n\n{manifest['stages']['anchors']['facts']}"


@hookimpl
def laion_eo_after_run(manifest: dict[str, JSON]) -> None:
    manifest["leaky"] = manifest["stages"]["anchors"]["facts"]
