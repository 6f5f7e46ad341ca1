from __future__ import annotations

import http.client
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import urlopen

import pytest

from laion_eo.serving import serve_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("not for others")
    served = tmp_path / "served"
    (served / "a b").mkdir(parents=True)
    (served / "a b" / "köy 🛰.png").write_bytes(b"\x89PNG")
    (served / "large.bin").write_bytes(bytes(300_000))
    return served


def get(url: str) -> bytes:
    with urlopen(url, timeout=30) as answer:
        content: bytes = answer.read()
        return content


def test_files_come_from_loopback_byte_by_byte(folder: Path) -> None:
    with serve_folder(folder) as url:
        assert urlsplit(url).hostname == "127.0.0.1"
        assert url.endswith("/")
        assert get(url + quote("a b/köy 🛰.png")) == b"\x89PNG"
        with ThreadPoolExecutor(8) as threads:
            assert set(threads.map(get, [f"{url}large.bin"] * 16)) == {bytes(300_000)}
        with pytest.raises(HTTPError, match="404") as caught:
            get(f"{url}gone.png")
        caught.value.close()


@pytest.mark.parametrize(
    "path", ["/../secret.txt", "/%2e%2e/secret.txt", "/a%20b/../../secret.txt"]
)
def test_nothing_outside_the_folder_is_served(folder: Path, path: str) -> None:
    with serve_folder(folder) as url:
        address = urlsplit(url)
        client = http.client.HTTPConnection("127.0.0.1", address.port or 0, timeout=30)
        client.request("GET", path)  # as it is written: urlopen might tidy it
        assert client.getresponse().status == 404
        client.close()


def test_each_server_has_a_port_of_its_own_and_ends_with_the_block(folder: Path) -> None:
    with serve_folder(folder) as one, serve_folder(folder) as other:
        assert one != other
        assert get(f"{one}large.bin") == get(f"{other}large.bin")
    with pytest.raises(URLError):
        get(f"{one}large.bin")


def test_it_says_nothing_even_of_clients_that_hang_up(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with serve_folder(folder) as url:
        with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0)) as client:
            client.sendall(b"GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n")
            client.recv(1)
        with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0)) as client:
            client.sendall(b"no HTTP at all\r\n\r\n")
            client.recv(100)
        get(f"{url}large.bin")
    assert capfd.readouterr() == ("", "")
