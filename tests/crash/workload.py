"""A small pool on loopback, and the four commands over it, each in a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import tomli_w
from fakes.hub_state import LoopbackHub
from fakes.loopback import serve_connections
from made import client_env
from processes import source_folders

from laion_eo.testing.web import GREEN, RED, picture, small_run, write_anchors

IMAGES = 540
PART = 64
"""Rows of a part of a run."""
SAVED = 256
"""An indexing saves at least every so many images."""
IN_FLIGHT = 32
"""Requests at a time."""
REPO, TAG, CONFIG = "org/crashed", "v1.0.0", "ver-0"
COMMIT = "c" * 40
CONTACT = "https://crash.example"
WEB = "http://pictures.example.org"
INSIDE = Path(__file__).with_name("inside")


def encoded(number: int) -> bytes:
    """Return the picture of that number, its own bytes for each: JPEG or PNG, green or red."""
    stream = BytesIO()
    colour, size = RED if number % 9 == 4 else GREEN, 30 if number % 40 == 7 else 60
    picture(number, colour, size).save(stream, "PNG" if number % 2 else "JPEG")
    return stream.getvalue()


class Web:
    """A proxy that has the pictures at ``WEB``/N.img, and nothing else; counts what it was asked.

    The pool's URLs are those of a public host, because a release publishes no others.
    """

    def __init__(self) -> None:
        self.port = 0
        self.asked: Counter[str] = Counter()
        self._bodies = {f"{WEB}/{number}.img": encoded(number) for number in range(IMAGES)}

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
            body = self._bodies.get(path, b"")
            self.asked.update([path] if body else [])
            head = f"HTTP/1.1 {'200 OK' if body else '404 Gone'}\r\nContent-Length: {len(body)}"
            writer.write(f"{head}\r\n\r\n".encode() + body)
            await writer.drain()

    @property
    def proxy(self) -> str:
        """Its address, for a run file."""
        return f"http://127.0.0.1:{self.port}"

    def repeated(self) -> int:
        """Return how many pictures were fetched again."""
        return self.asked.total() - len(self.asked)


@dataclass
class Process:
    """A command in progress; all that it started has its mark in the environment."""

    child: subprocess.Popen[str]
    mark: str

    def kill(self) -> None:
        """SIGKILL it and everything that it started, at once."""
        self.child.kill()
        for pid in self.family():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.child.communicate()

    def family(self) -> dict[int, str]:
        """Return all that it started, and what they started, with their command lines."""
        parents: dict[int, int] = {}
        ours: set[int] = set()
        names: dict[int, str] = {}
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                pid = int(entry.name)
                parents[pid] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                names[pid] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if self.mark.encode() in (entry / "environ").read_bytes():
                    ours.add(pid)
        # Some write over their environment, but none chooses its parent.
        while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
            ours |= more
        return {pid: names[pid] for pid in ours}


@dataclass(frozen=True)
class Workload:
    """The pool's addresses, the anchors and the run file of a session, and whom they speak to.

    Attributes:
        folder: Where they are.
        web: Serves the pictures.
        hub: Gets releases and gives them.
    """

    folder: Path
    web: Web
    hub: LoopbackHub

    def arguments(self, command: str, out: Path, options: tuple[str, ...]) -> list[str]:
        """Return a command's arguments; what it makes is ``out``, what a release reads, too."""
        http = (
            f"proxy={self.web.proxy}",
            "delay=0.0",
            f"per_host={IN_FLIGHT}",
            f"contact={CONTACT}",
        )
        fetch = tuple(f"downloader.{option}" for option in http)
        known: dict[str, list[str | Path]] = {
            "index": [self.folder / "urls.parquet", "--out", out, "--embedder", "colours"],
            "run": [self.folder / "run.toml", "--out", out],
            "release": [out, "--repo", REPO, "--config", CONFIG, "--tag", TAG],
            "pull": [CONFIG, "--repo", REPO, "--revision", TAG],
        }
        options += fetch if command == "index" else ()
        sets = [word for option in options for word in ("--set", option)]
        return [command, *map(str, known[command]), *sets]

    def start(self, command: str, out: Path, *options: str, **variables: str) -> Process:
        """Start a command, with ``--set`` for each option, and variables in its environment."""
        mark = uuid.uuid4().hex
        path = [str(INSIDE), str(self.folder / "plugins"), *source_folders()]
        home = client_env(self.hub, out if command == "pull" else self.folder / "home")
        environment = {**os.environ, **home, "PYTHONPATH": os.pathsep.join(path)}
        environment |= {"HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "CRASH_CASE": mark, **variables}
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "laion_eo", *self.arguments(command, out, options)],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return Process(child, mark)

    def do(
        self, command: str, out: Path, *options: str, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Do a command to its end, whichever that is."""
        process = self.start(command, out, *options, **variables)
        try:
            output, errors = process.child.communicate(timeout=120)
        finally:
            process.kill()
        child = process.child
        return subprocess.CompletedProcess(child.args, child.returncode, output, errors)

    def prepare(self, command: str) -> None:
        """Let the servers forget what was; a pull finds a dataset on the Hub."""
        self.web.asked.clear()
        self.hub.reset()
        if command == "pull":
            tree = self.folder / "finished" / "dataset"
            files = {str(path.relative_to(tree)): path.read_bytes() for path in tree.rglob("*.*")}
            self.hub.put(REPO, files, commit=COMMIT)
            self.hub.repos[REPO].tags[TAG] = COMMIT


def wait_for(happened: Callable[[], object], process: Process) -> None:
    """Wait until something happened, or the process ended."""
    while process.child.poll() is None and not happened():
        time.sleep(0.001)


def write_inputs(folder: Path, proxy: str) -> None:
    """Write the pool's addresses, the anchors, the run file and the kit's models as a plugin."""
    (folder / "anchors").mkdir()
    write_anchors(folder / "anchors")
    urls = [f"{WEB}/{number}.img" for number in range(IMAGES)]
    captions = [f"a field number {number}" if number % 11 else None for number in range(IMAGES)]
    urls[100:102] = [f"{WEB}/gone-{number}" for number in range(2)]
    pq.write_table(pa.table({"url": urls, "caption": captions}), folder / "urls.parquet")
    data = small_run(Path("anchors"), Path("pool"))
    data["retriever"] |= {"k": IMAGES, "shard_rows": PART}
    data["embeddings"] = {"dtype": "float32"}  # else the pool's own vectors are taken over
    data["downloader"] |= {"per_host": IN_FLIGHT, "contact": CONTACT, "proxy": proxy}
    data["filters"][0] |= {"width": 40, "height": 40}
    data["engine"] |= {"batch_rows": PART}
    (folder / "run.toml").write_text(tomli_w.dumps(data))
    about = folder / "plugins" / "crash_kit-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: crash-kit\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[laion_eo]\nmodels = laion_eo.testing.colours\nkiller = crash_killer\n"
    )


@contextmanager
def workload(folder: Path, hub: LoopbackHub) -> Iterator[Workload]:
    """Serve the pool while the block runs; the URLs stay the same within it."""
    web = Web()
    with serve_connections(web.answer) as port:
        web.port = port
        write_inputs(folder, web.proxy)
        yield Workload(folder, web, hub)
