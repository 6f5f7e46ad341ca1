from __future__ import annotations

import socket
from pathlib import Path
from urllib.request import urlopen

import pytest

from laion_eo.testing.network import BlockedNetworkError, blocked


@pytest.mark.usefixtures("blocked_network")
@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_no_connection_leaves_this_machine(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as out:
        for connect in (out.connect, out.connect_ex):
            with pytest.raises(BlockedNetworkError, match=f"connected to {address}"):
                connect((address, 80))


@pytest.mark.usefixtures("blocked_network")
def test_no_name_is_looked_up() -> None:
    with pytest.raises(BlockedNetworkError, match="looked up example.org"):
        socket.getaddrinfo("example.org", 80)


@pytest.mark.usefixtures("blocked_network")
def test_this_machine_can_be_reached(web: Path, web_url: str) -> None:
    with urlopen(f"{web_url}copy.png") as answer:
        assert answer.read() == (web / "copy.png").read_bytes()


def test_the_way_is_free_again_afterwards() -> None:
    before = (socket.socket.connect, socket.getaddrinfo)
    with blocked():
        assert socket.getaddrinfo is not before[1]
    assert (socket.socket.connect, socket.getaddrinfo) == before
