"""Images downloaded per second of the client's CPU: ours against img2dataset's, same web, same run.

The web: real JPEGs (miniweb's photographs, enlarged and saved again to about 100 kB), served on
300 loopback addresses as 300 hosts, 20 ms late, 2 % of them 404. Resizing is off on both sides.
The rules of the sites are obeyed: robots.txt, TDMRep, 0.1 s between requests and 4 connections a
host.

    python benchmarks/download_vs_img2dataset.py [--shared ../shared] [--work DIR]

img2dataset gets an environment of its own, made by this script. Both sides are measured twice: on
the complete list, and on its first URL alone, which is the cost of starting; the rates exclude it.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import peers
from PIL import Image

IMAGES = 3000
HOSTS = 300
LATENCY = 0.020
FAIL_EVERY = 50  # 2 %
PORT = 8971
SIDE = 640
QUALITIES = range(95, 60, -5)


def make_web(shared: Path, folder: Path) -> list[str]:
    """Write the images once and return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    with (shared / "miniweb/pairs.csv").open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["source"].startswith("flickr8k")]
    names = []
    for row in rows[:IMAGES]:
        target = folder / Path(row["file"]).with_suffix(".jpg").name
        names.append(target.name)
        if target.exists():
            continue
        with Image.open(shared / "miniweb" / row["file"]) as image:
            scale = SIDE / max(image.size)
            size = (round(image.width * scale), round(image.height * scale))
            large = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
        for quality in QUALITIES:
            large.save(target, quality=quality)
            if target.stat().st_size <= 115_000:
                break
    return names


def addresses() -> list[str]:
    """Return the loopback addresses that stand in for hosts."""
    return [f"127.0.{1 + n // 250}.{1 + n % 250}" for n in range(HOSTS)]


def serve(folder: Path, port: int) -> None:
    """Serve the web; runs in a process of its own."""
    cache = {path.name: path.read_bytes() for path in folder.glob("*.jpg")}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                path = request.split(b" ", 2)[1].decode()
                await asyncio.sleep(LATENCY)
                body = cache.get(path.rpartition("/")[2])
                code = "404 Not Found" if body is None else "200 OK"
                body = body or b""
                kind = "Content-Type: image/jpeg\r\n"
                lead = f"HTTP/1.1 {code}\r\n{kind}Content-Length: {len(body)}\r\n\r\n"
                writer.write(lead.encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(answer, addresses(), port, backlog=1024)
        async with server:
            await server.serve_forever()

    asyncio.run(main())


def measured(command: list[str]) -> dict[str, float]:
    """Run a client; return its wall seconds and the CPU seconds of it and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True)
    wall = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return {"wall": wall, "cpu": cpu}


def measure_side(command: list[str], work: Path, urls: list[str]) -> dict[str, float]:
    """Measure one client on its first URL, and on all of them."""
    listed, out = work / "urls.csv", work / "out"
    filled = [part.replace("{out}", str(out)).replace("{list}", str(listed)) for part in command]
    runs = []
    for some in (urls[:1], urls):
        listed.write_text("\n".join(["url", *some]) + "\n")
        shutil.rmtree(out, ignore_errors=True)
        runs.append(measured(filled))
    images = sum(1 for _ in out.rglob("*.jpg"))
    found = {
        **runs[1],
        "images": images,
        "start_cpu": runs[0]["cpu"],
        "start_wall": runs[0]["wall"],
    }
    print(command[0], found, flush=True)
    return found


OURS = """
import sys
from pathlib import Path
from laion_eo.builtin.downloaders.http.downloader import HttpDownloader
from laion_eo.component import Context
from laion_eo.pipeline.run_dir import RunDir
lines = Path(sys.argv[1]).read_text().split()[1:]
run_dir = RunDir(Path(sys.argv[2]))
options = {"allow_hosts": sys.argv[3].split(","), "concurrency": 64}
downloader = HttpDownloader(HttpDownloader.Config.model_validate(options), Context())
statuses = {}
for got in downloader.download(lines):
    statuses[got.status.value] = statuses.get(got.status.value, 0) + 1
    if got.content is not None:
        run_dir.write_image(f"{got.sha256}.jpg", got.content)
print(statuses)
"""

THEIRS = """
import sys
from img2dataset import download
download(url_list=sys.argv[1], output_folder=sys.argv[2], input_format="csv", url_col="url",
         resize_mode="no", skip_reencode=True, processes_count=2, thread_count=64,
         number_sample_per_shard=1500, output_format="files", enable_wandb=False, retries=0)
"""


def measure_both(python: Path, work: Path, names: list[str]) -> dict[str, dict[str, float]]:
    """Measure both clients, one after the other, on the same web.

    Args:
        python: That of img2dataset's environment.
        work: Where the web is, and what is downloaded goes.
        names: The images.
    """
    hosts = addresses()
    urls = [
        f"http://{hosts[n % HOSTS]}:{PORT}/{'gone/x' if n % FAIL_EVERY == 7 else ''}{name}"
        for n, name in enumerate(names)
    ]
    os.environ |= {
        "OMP_NUM_THREADS": "1",
        "NO_ALBUMENTATIONS_UPDATE": "1",
        "WANDB_MODE": "disabled",
    }
    commands = {
        "ours": [sys.executable, "-c", OURS, "{list}", "{out}", ",".join(hosts)],
        "img2dataset": [str(python), "-c", THEIRS, "{list}", "{out}"],
    }
    server = multiprocessing.Process(target=serve, args=(work / "web", PORT), daemon=True)
    server.start()
    time.sleep(1.5)
    try:
        return {name: measure_side(command, work, urls) for name, command in commands.items()}
    finally:
        server.terminate()


def main() -> None:
    """Measure both, and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--work", type=Path, default=peers.WORK / "download")
    options = parser.parse_args()
    python = peers.peer_python("img2dataset", "img2dataset", "setuptools<81")
    names = make_web(options.shared, options.work / "web")
    found = measure_both(python, options.work, names)
    rates = {name: got["images"] / (got["cpu"] - got["start_cpu"]) for name, got in found.items()}
    size = sum((options.work / "web" / name).stat().st_size for name in names) / len(names)
    line = {
        "name": "download_vs_img2dataset",
        "ours": round(rates["ours"], 1),
        "reference": round(rates["img2dataset"], 1),
        "ratio": round(rates["ours"] / rates["img2dataset"], 2),
        "unit": "images per CPU-second of the client",
        "detail": {"bytes_per_image": round(size), "urls": len(names), **found},
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
