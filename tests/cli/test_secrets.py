"""Planted secrets: after every command, no file, log or console has one of them."""

from __future__ import annotations

import logging
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

import numpy as np
import pytest
import tomli_w
from commands import Install, call
from fakes.hub_state import LoopbackHub
from fakes.proxy import serve_proxy
from knn_password import Guarded, serve_guarded
from public_pictures import HOST

from laion_eo.images import decode_image
from laion_eo.pipeline import RunResult, run
from laion_eo.registry import Registry
from laion_eo.testing.colours import Colours
from laion_eo.types import JSON

PLANTED = {
    "KNN_PASSWORD": "planted-01/kn@n:wö%",
    "TOKEN": "planted-02-token",
    "ELEMENT": "planted-03-element",
    "HEADER": "planted-04 header",
    "INNER": "planted-05-inner",
    "PROXY": "http://me:planted-06-proxy@127.0.0.1:1",
    "PROXY_PASSWORD": "planted-07@proxy",
    "SIGNATURE": "planted-08/sig+nature=",
    "KEY": "planted-09-key",
    "UNUSED": "planted-10-unused",
    "BUCKET": "planted-11-bucket",
    "SET": "planted-12-set",
}
MARKS = [value[value.index("planted") :].partition("@127")[0] for value in PLANTED.values()]


def traces(mark: str) -> list[bytes]:
    """What may be left of a secret."""
    found = {mark, quote(mark), quote(mark, safe=""), mark[:10]}
    found |= {b64encode(bytes(before) + mark.encode()).decode()[8:-4] for before in range(3)}
    return [text.encode() for text in found]


def leaks(content: bytes) -> list[str]:
    """Return the secrets of which there is a trace."""
    return [mark for mark in MARKS if any(trace in content for trace in traces(mark))]


Grep: TypeAlias = Callable[[], str]
"""Looks for secrets; returns what the console shows."""


@pytest.fixture(autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LAION_EO_CONTACT", "me@example.org")


@pytest.fixture(autouse=True)
def _leaky_installed(install: Install) -> None:
    install("laion_eo.testing.colours", "")
    install("leaky", "")


@pytest.fixture
def grep(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[Grep]:
    """Look for the secrets in every file of a test, in a log at DEBUG, and on the console."""
    log = tmp_path / "debug.log"
    handler = logging.FileHandler(log)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)

    def look() -> str:
        shown = capfd.readouterr()
        assert leaks(f"{shown.out}{shown.err}".encode()) == []
        found = []
        for path in tmp_path.rglob("*"):
            written = path.read_bytes() if path.is_file() else b""
            found += [f"{path}: {mark}" for mark in leaks(written + str(path).encode())]
        assert found == []
        return shown.out + shown.err

    yield look
    root.removeHandler(handler)
    root.setLevel(level)
    handler.close()


@pytest.fixture
def knn(web: Path, web_url: str) -> Iterator[Guarded]:
    """A service with the green pictures of the web."""
    names = sorted(path.name for path in web.glob("green*.png"))
    pictures = [decode_image((web / name).read_bytes()) for name in names]
    vectors = Colours(Colours.Config(), None).embed_images(pictures)  # type: ignore[arg-type]
    urls = [f"{web_url}{name}" for name in names]
    with serve_guarded(np.asarray(vectors), urls, "me", PLANTED["KNN_PASSWORD"]) as server:
        yield server


@pytest.fixture
def data(anchors: Path, knn: Guarded) -> dict[str, JSON]:
    """A run file with a secret wherever it may have one."""
    port = knn.server_address[1]
    return {
        "anchors": {"use": "images", "root": str(anchors)},
        "normalizer": {"use": "none"},
        "embedder": {
            "use": "leaky",
            "token": {"env": "TOKEN"},
            "tokens": ["a", {"env": "ELEMENT"}],
            "headers": {"Authorization": "Bearer {env=HEADER}"},
            "account": {"name": "me", "keys": [{"env": "INNER"}]},
        },
        "retriever": {
            "use": "knn-service",
            "url": f"http://me:{{env=KNN_PASSWORD}}@127.0.0.1:{port}/",
            "index": "small",
            "k": 20,
            "retries": 0,
        },
        "downloader": {
            "use": "http",
            "allow_hosts": ["127.0.0.1"],
            "delay": 0.0,
            "retries": 0,
            "proxy": {"env": "PROXY"},
        },
        "filters": [{"use": "min-size"}],
        "scorers": [{"use": "image-similarity"}],
        "language_tagger": {"use": "letters"},
    }


@pytest.fixture
def write(tmp_path: Path) -> Callable[[dict[str, JSON]], Path]:
    """Write a run file."""

    def write_it(data: dict[str, JSON]) -> Path:
        file = tmp_path / "run.toml"
        file.write_text(tomli_w.dumps(data))
        return file

    return write_it


Write: TypeAlias = Callable[[dict[str, JSON]], Path]


@pytest.mark.filterwarnings("ignore:the token is")
def test_a_run_that_goes_well(
    data: dict[str, JSON], write: Write, tmp_path: Path, knn: Guarded, grep: Grep
) -> None:
    file = write(data)
    assert call("plan", file, "--out", tmp_path / "run") == 0
    assert call("run", file, "--out", tmp_path / "run") == 0
    assert knn.let_in > 0
    grep()
    written = (tmp_path / "run" / "run.toml").read_text()
    for name in ("KNN_PASSWORD", "TOKEN", "ELEMENT", "HEADER", "INNER", "PROXY"):
        assert name in written
    card = (tmp_path / "run" / "dataset" / "README.md").read_text()
    assert 'token = { env = "TOKEN" }' in card or 'env = "TOKEN"' in card


@pytest.mark.filterwarnings("ignore:the token is")
def test_another_secret_changes_no_result(
    data: dict[str, JSON],
    write: Write,
    tmp_path: Path,
    knn: Guarded,
    grep: Grep,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = write(data)
    assert call("run", file, "--out", tmp_path / "run") == 0
    for name in ("KNN_PASSWORD", "TOKEN", "ELEMENT", "HEADER", "INNER"):
        monkeypatch.setenv(name, f"planted-12-other-{name}")
    asked = knn.let_in
    assert call("run", file, "--out", tmp_path / "run") == 0
    assert "nothing was run" in grep()
    # The run file of the run directory does as well; only the card has another one to show.
    assert call("run", tmp_path / "run" / "run.toml", "--out", tmp_path / "run") == 0
    assert [line[9:] for line in grep().splitlines() if line.endswith("starts")] == [
        "dataset: starts"
    ]
    assert knn.let_in == asked
    monkeypatch.delenv("INNER")
    for command in ("plan", "run"):
        assert call(command, file, "--out", tmp_path / "run") == 2
        error = grep()
        assert "'account.keys.0': the environment variable INNER is not set" in error
        assert error.count("\n") == 1


@pytest.mark.parametrize("mood", ["401", "403", "500", "garbage", "redirect"])
@pytest.mark.filterwarnings("ignore:the token is")
def test_a_service_that_says_what_it_was_sent(
    mood: str, data: dict[str, JSON], write: Write, tmp_path: Path, knn: Guarded, grep: Grep
) -> None:
    knn.mood = mood
    assert call("run", write(data), "--out", tmp_path / "run") in (1, 2)
    grep()


@pytest.mark.parametrize("host", ["127.0.0.1:9", "no-such-host.invalid", "[::1]:9"])
@pytest.mark.filterwarnings("ignore:the token is")
def test_a_service_that_is_not_there(
    host: str, data: dict[str, JSON], write: Write, tmp_path: Path, grep: Grep
) -> None:
    data["retriever"]["url"] = f"http://me:{{env=KNN_PASSWORD}}@{host}"
    assert call("run", write(data), "--out", tmp_path / "run") == 1
    assert (tmp_path / "run" / "traceback.txt").is_file()
    grep()


@pytest.mark.filterwarnings("ignore:the token is")
def test_a_plugin_that_fails(
    data: dict[str, JSON], write: Write, tmp_path: Path, grep: Grep
) -> None:
    data["embedder"]["fails"] = {"env": "KEY"}
    assert call("run", write(data), "--out", tmp_path / "run") == 1
    text = (tmp_path / "run" / "traceback.txt").read_text()
    assert "ValueError: no answer for ***" in text
    grep()


@pytest.mark.filterwarnings("ignore:the token is")
def test_a_downloader_with_reasons(
    data: dict[str, JSON], write: Write, tmp_path: Path, grep: Grep
) -> None:
    data["downloader"] = {"use": "refusing", "key": {"env": "KEY"}}
    call("run", write(data), "--out", tmp_path / "run")
    grep()


@pytest.mark.parametrize(
    "change",
    [
        ("retriever", "url", "http://me:planted-13@127.0.0.1/"),
        ("retriever", "url", "http://me:{env=KNN_PASSWORD}@[bad"),
        ("retriever", "url", {"env": "PROXY_PASSWORD"}),
        ("retriever", "k", {"env": "KEY"}),
        ("retriever", "modality", "{env=KEY}"),
        ("embedder", "token", ["planted-13", {"env": "KEY"}]),
        ("embedder", "headers", {"a": {"env": "UNSET_ONE"}}),
        ("embedder", "unknown", "{env=KEY}"),
        ("downloader", "proxy", "http://me:planted-13@127.0.0.1:1"),
        ("downloader", "proxy", {"env": "HEADER"}),
        ("downloader", "proxy", "https://me:{env=PROXY_PASSWORD}@127.0.0.1:1"),
        ("downloader", "contact", {"env": "KEY"}),
        ("dataset", "contact", {"env": "KEY"}),
        ("anchors", "root", "/no/{env=KEY}"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:the token is")
def test_faults_of_a_run_file(
    change: tuple[str, str, JSON],
    data: dict[str, JSON],
    write: Write,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table, key, value = change
    data.setdefault(table, {})[key] = value
    file = write(data)
    for command in ("plan", "run"):
        assert call(command, file, "--out", tmp_path / "run") == 2
        shown = capsys.readouterr()
        assert shown.err.count("\n") == 1
        assert "planted" not in shown.err + shown.out
    for path in (tmp_path / "run").rglob("*"):
        assert path.is_dir() or b"planted" not in path.read_bytes()


@pytest.mark.filterwarnings("ignore:the token is")
def test_overrides_on_the_command_line(
    data: dict[str, JSON], write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(data)
    for change in (
        "retriever.url=http://me:planted-13@127.0.0.1/", "retriever.url.x=http://me:planted-13@h",
        "downloader.proxy=http://planted-13@127.0.0.1:1", "retriever.url=http://h/?sig=planted-13",
    ):  # fmt: skip
        assert call("run", file, "--out", tmp_path / "run", "--set", change) == 2
        shown = capsys.readouterr()
        assert "planted" not in shown.err + shown.out
        assert shown.err.count("\n") == 1
    call("run", file, "--out", tmp_path / "run", "--set", "embedder.token={env=SET}")
    assert '"{env=SET}"' in (tmp_path / "run" / "run.toml").read_text()


@pytest.mark.filterwarnings("ignore:the token is")
def test_from_python(data: dict[str, JSON], tmp_path: Path, knn: Guarded, grep: Grep) -> None:
    registry = Registry.discover()
    done: RunResult = run(data, tmp_path / "run", registry=registry)
    assert not leaks(repr(done).encode())
    knn.mood = "500"
    data["embedder"]["fails"] = "yes"
    with pytest.raises(Exception, match="raised OSError") as caught:
        run(data, tmp_path / "other", registry=registry)
    assert not leaks("".join(traceback.format_exception(caught.value)).encode())
    grep()


@pytest.mark.filterwarnings("ignore:the token is")
def test_index_and_check_links_through_a_proxy(
    web: Path, web_url: str, tmp_path: Path, grep: Grep, finished_run: RunResult
) -> None:
    token = ("--set", "token={env=SET}", "--set", 'headers={a = "{env=HEADER}"}')
    assert call("index", web, "--out", tmp_path / "pool", "--embedder", "leaky", *token) == 0
    port = int(web_url.rstrip("/").rpartition(":")[2])
    with serve_proxy(port) as proxy:
        way = f"proxy=http://me:{{env=PROXY_PASSWORD}}@127.0.0.1:{proxy.port}"
        out = tmp_path / "links.parquet"
        assert call("check-links", finished_run.folder, "--out", out, "--set", way) == 0
        wrong = ("--set", "proxy={env=HEADER}")
        assert call("check-links", finished_run.folder, "--out", tmp_path / "2", *wrong) == 2
    grep()


@pytest.mark.parametrize(
    "pool",
    [
        "http://127.0.0.1:9/pool?sig={env=SIGNATURE}",
        "http://me:{env=BUCKET}@127.0.0.1:9/pool",
        "simplecache::http://me:{env=BUCKET}@127.0.0.1:9/pool",
        "memory://{env=BUCKET}/none",
        "nosuch://me:{env=BUCKET}@h/",
        {"env": "BUCKET"},
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:the token is")
def test_pools_elsewhere(
    pool: JSON, data: dict[str, JSON], write: Write, tmp_path: Path, grep: Grep
) -> None:
    data["retriever"] = {"use": "exact-scan", "pool": pool, "k": 3}
    assert call("run", write(data), "--out", tmp_path / "run") in (1, 2)
    grep()


@pytest.mark.filterwarnings("ignore:the token is")
def test_a_release(
    data: dict[str, JSON],
    knn: Guarded,
    web_url: str,
    write: Write,
    tmp_path: Path,
    grep: Grep,
    hub: LoopbackHub,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    knn.urls = [url.replace(web_url, f"http://{HOST}/") for url in knn.urls]
    with serve_proxy(int(web_url.rstrip("/").rpartition(":")[2])) as proxy:
        monkeypatch.setenv("PROXY", f"http://me:planted-06-proxy@127.0.0.1:{proxy.port}")
        assert call("run", write(data), "--out", tmp_path / "run") == 0
    assert call("release", tmp_path / "run", "--repo", "org/planted", "--dry-run") == 0
    assert call("release", tmp_path / "run", "--repo", "org/planted") == 0
    repo = hub.repos["org/planted"]
    content = b"".join(blob.content for blob in repo.at("main").files.values())
    assert b'env = "TOKEN"' in content
    assert not leaks(content)
    grep()
