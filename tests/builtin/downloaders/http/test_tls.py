from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import trustme
from fakes.hostile_files import encoded, photo
from fakes.loopback import serve_connections

from laion_eo.builtin.downloaders.http.downloader import HttpDownloader
from laion_eo.component import Context
from laion_eo.errors import ConfigError
from laion_eo.types import Download, DownloadStatus

BODY = encoded(photo(), "JPEG")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def secure(authority: trustme.CA) -> Iterator[int]:
    """The port of a TLS server whose certificate is for 127.0.0.1, by an unknown authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1]
        code, body = (b"200 OK", BODY) if path == b"/a.jpg" else (b"404 Not Found", b"")
        writer.write(
            b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (code, len(body))
        )
        writer.write(body)

    with serve_connections(answer, context) as port:
        yield port


def download(url: str, ca_file: Path | None, *hosts: str, polite: bool = True) -> Download:
    config = HttpDownloader.Config(
        allow_hosts=hosts, ca_file=ca_file, delay=0.0, retries=0,
        robots_txt=polite, tdm_reservation=polite,
    )  # fmt: skip
    [got] = HttpDownloader(config, Context()).download([url])
    return got


def test_a_certificate_of_an_unknown_authority_is_a_tls_error(secure: int) -> None:
    got = download(f"https://127.0.0.1:{secure}/a.jpg", None, "127.0.0.1")
    assert got.status is DownloadStatus.TLS_ERROR
    assert "certificate" in got.reason.lower()


def test_a_trusted_authority_is_no_error(
    secure: int, authority: trustme.CA, tmp_path: Path
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    got = download(f"https://127.0.0.1:{secure}/a.jpg", tmp_path / "ca.pem", "127.0.0.1")
    assert got.status is DownloadStatus.OK, got.reason


def test_a_certificate_for_another_name_is_a_tls_error(
    secure: int, authority: trustme.CA, tmp_path: Path
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    got = download(f"https://localhost:{secure}/a.jpg", tmp_path / "ca.pem", "localhost")
    assert got.status is DownloadStatus.TLS_ERROR


def test_a_server_that_says_no_goodbye_keeps_no_connection_open(
    authority: trustme.CA, tmp_path: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(BODY)

    def answer(server: socket.socket) -> socket.socket:
        """Answer one request, and return the wire, at whose other end nobody has said goodbye."""
        with context.wrap_socket(server.accept()[0], server_side=True) as secured:
            asked = b""
            while not asked.endswith(b"\r\n\r\n") and (data := secured.recv(65536)):
                asked += data
            secured.sendall(head + BODY)
            return socket.socket(fileno=secured.detach())

    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        server.settimeout(60)
        answered = pool.submit(answer, server)
        port = server.getsockname()[1]
        got = download(
            f"https://127.0.0.1:{port}/a.jpg", tmp_path / "ca.pem", "127.0.0.1", polite=False
        )
        with answered.result() as wire:
            wire.settimeout(60)
            with suppress(ConnectionResetError):
                while wire.recv(65536):  # ends once the other end is closed
                    pass
    assert got.status is DownloadStatus.OK, got.reason


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_authorities_that_cannot_be_read_are_named(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "ca.pem").write_text(text)
    with pytest.raises(ConfigError, match=r"ca\.pem: no certificates \(PEM\).*downloader\.ca_file"):
        download("https://127.0.0.1:1/", tmp_path / "ca.pem", "127.0.0.1")
