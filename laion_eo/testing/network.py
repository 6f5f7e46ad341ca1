"""No way out: sockets that reach this machine and nothing else."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock


class BlockedNetworkError(OSError):
    """A connection or a look-up that would have left this machine."""


def _leaves(host: object) -> bool:
    if host in (None, "", "localhost", b"localhost"):
        return False
    try:
        return not ipaddress.ip_address(str(host).partition("%")[0]).is_loopback
    except ValueError:
        return True


def _guarded(connect: Callable[[socket.socket, Any], Any]) -> Callable[[socket.socket, Any], Any]:
    def guard(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and _leaves(address[0]):
            raise BlockedNetworkError(f"the test would have connected to {address[0]}")
        return connect(self, address)

    return guard


@contextmanager
def blocked() -> Iterator[None]:
    """Refuse connections and look-ups of names that leave this machine while the block runs.

    It guards Python's own sockets. Libraries that open theirs in C (GDAL's, say) pass it by.
    """
    look_up = socket.getaddrinfo

    def guarded_look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        if _leaves(host):
            raise BlockedNetworkError(f"the test would have looked up {host}")
        return look_up(host, *args, **kwargs)

    with (
        mock.patch.object(socket.socket, "connect", _guarded(socket.socket.connect)),
        mock.patch.object(socket.socket, "connect_ex", _guarded(socket.socket.connect_ex)),
        mock.patch.object(socket, "getaddrinfo", guarded_look_up),
    ):
        yield
