"""Who crawls: where the owner of a site can reach whoever runs this.

The run file's ``contact`` counts first, then the environment variable ``LAION_EO_CONTACT``, then
the ``config.toml`` of the user, where the command line keeps what it asked for once.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import tomli_w

from laion_eo.addresses import host_address, is_public, is_this_machine, written_host
from laion_eo.errors import ConfigError
from laion_eo.files import write_atomically
from laion_eo.types import JSON

VARIABLE = "LAION_EO_CONTACT"
MAX_CONTACT = 200
"""Characters; a contact travels with every request."""
_ADDRESS = re.compile(r"(?:mailto:)?[A-Za-z0-9.!#$%&'*+/=?^_`|~-]+@([A-Za-z0-9.-]+)")
# In a User-Agent they end the comment that the contact stands in, or escape what follows; braces
# stand for what is filled in.
_UNSAFE = re.compile(r"[^!-~]|[()\\<>\"{}]")


class NoContactError(ConfigError):
    """A run would send requests to other machines, and nobody says who runs it."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"{where} sends requests to other machines, and the owners of sites must be able to "
            'reach you: set contact = "you@your.org" (an e-mail address or a URL) in [downloader], '
            f"the environment variable {VARIABLE}, or contact in {config_file()}."
        )


def check_contact(text: str) -> str:
    """Return a contact if the owner of a site could use it.

    Args:
        text: An e-mail address, with or without ``mailto:``, or an http(s) URL.

    Raises:
        ValueError: It is neither, or not fit for a header: control characters, spaces,
            parentheses, anything but ASCII, more than 200 characters.
    """
    if len(text) > MAX_CONTACT or _UNSAFE.search(text):
        raise ValueError(
            f"a contact has at most {MAX_CONTACT} characters, ASCII, without spaces, parentheses, "
            "quotes, braces and backslashes"
        )
    found = _ADDRESS.fullmatch(text)
    host = found[1] if found else _public_page(text)
    if not host or not _is_elsewhere(host):
        raise ValueError("an e-mail address or a public http(s) URL was expected")
    return text


def _is_elsewhere(host: str) -> bool:
    address = host_address(host)
    if address is not None:
        return is_public(address)
    return "." in host and not is_this_machine(host)


def _public_page(text: str) -> str | None:
    """Return the host of an http(s) URL that has no password in it."""
    parts = urlsplit(text)
    host = written_host(text)
    return host if parts.scheme in ("http", "https") and parts.username is None else None


def config_file() -> Path:
    """Return the user's configuration file, which need not be there."""
    import click

    return Path(click.get_app_dir("laion-eo")) / "config.toml"


def known_contact() -> str:
    """Return the contact of the environment, or else the one that was kept; ``""`` without one.

    Raises:
        ConfigError: It is no contact, or the configuration file cannot be read.
    """
    text: JSON = os.environ.get(VARIABLE, "").strip()
    where = f"the environment variable {VARIABLE}"
    if not text:
        where = str(config_file())
        text = _kept(config_file()).get("contact", "")
    if not isinstance(text, str):
        raise ConfigError(f"{where}: contact: a string was expected.")
    try:
        return check_contact(text) if text else ""
    except ValueError as error:
        raise ConfigError(f"{where}: contact: {error}.") from None


def keep_contact(text: str) -> Path:
    """Keep a contact in the user's configuration file, and return that file.

    Raises:
        ConfigError: The file that is there cannot be read; it stays as it is.
        OSError: As the disk says.
        ValueError: It is no contact.
    """
    path = config_file()
    data = {**_kept(path), "contact": check_contact(text)}
    write_atomically(path.resolve(), tomli_w.dumps(data).encode())  # a link stays one
    return path


def _kept(path: Path) -> dict[str, JSON]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}.") from None
