"""The real clip-retrieval on loopback: its server over a pool of ours, and its client in a loop."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import peers
from numpy.typing import NDArray

from laion_eo.testing import random_unit, write_pool

INDEX = "pool"
DIM = 512
START_WITHIN = 180
MEND = """
try:
    import torchvision
except ImportError:
    pass
except RuntimeError:  # PyPI's torchvision beside a CPU-only torch
    import torch
    _library = torch.library.Library("torchvision", "DEF")
    _library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""
CHECKPOINT = """
import sys, open_clip, torch
torch.manual_seed(0)
torch.save(open_clip.create_model("ViT-B-32", pretrained=None).state_dict(), sys.argv[1])
"""
FLAT = """
import faiss, sys
from pathlib import Path
import numpy as np
pool = Path(sys.argv[1])
vectors = np.concatenate([np.load(path) for path in sorted((pool / "img_emb").glob("*.npy"))])
index = faiss.IndexFlatIP(vectors.shape[1])
index.add(vectors.astype(np.float32))
faiss.write_index(index, str(pool / "image.index"))
"""
FLAGS = {
    "enable_mclip_option": False, "use_jit": False, "provide_safety_model": False,
    "provide_violence_detector": False, "provide_aesthetic_embeddings": False,
}  # fmt: skip


def python() -> Path:
    """Return the Python of an environment with clip-retrieval and laion-eo, made once."""
    return peers.peer_python("clip-retrieval", f"{peers.ROOT}[clip,clip-retrieval]")


def make_pool(folder: Path, rows: int) -> Path:
    """Write a pool of random vectors with a flat index, and return it."""
    pool = write_pool(folder, random_unit(rows, DIM).astype(np.float16), shards=2)
    subprocess.run([str(python()), "-c", FLAT, str(pool)], check=True)
    return pool


def ask_by_client(
    url: str, anchors: NDArray[np.float32], k: int, work: Path
) -> tuple[float, NDArray[np.int64]]:
    """Query with each anchor by clip-retrieval's own client.

    Args:
        url: Of the server.
        anchors: float32, (n, 512).
        k: Neighbours wanted.
        work: Folder for what passes to and fro.

    Returns:
        The seconds of the loop alone, and the ids found, (n, k).
    """
    np.save(work / "anchors.npy", anchors)
    files = [str(work / "anchors.npy"), str(work / "found.npy")]
    script = Path(__file__).with_name("clip_client.py")
    command = [str(python()), str(script), url, INDEX, str(k), *files]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: NDArray[np.int64] = np.load(work / "found.npy")
    return float(done.stdout.split()[-1]), found


@contextmanager
def serve(pool: Path, work: Path) -> Iterator[str]:
    """Serve an index folder while the block runs; yields the base URL.

    Args:
        pool: With ``image.index`` and ``metadata/*.parquet``.
        work: Folder for the checkpoint (random weights: queries come as vectors) and settings.
    """
    (work / "sitecustomize.py").write_text(MEND)
    environment = {**os.environ, "PYTHONPATH": str(work)}
    weights = work / "b32.pt"
    if not weights.is_file():
        command = [str(python()), "-c", CHECKPOINT, str(weights)]
        subprocess.run(command, env=environment, check=True, capture_output=True)
    model = f"open_clip:ViT-B-32/{weights}"
    entry = {"indice_folder": str(pool), "clip_model": model, **FLAGS}
    entry["columns_to_return"] = ["url", "caption"]
    (work / "paths.json").write_text(json.dumps({INDEX: entry}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = python().with_name("clip-retrieval")
    options = {"host": "127.0.0.1", "port": port, "indices-paths": work / "paths.json"}
    options |= {"clip_model": model, **FLAGS}
    command = [str(program), "back", *(f"--{name}={value}" for name, value in options.items())]
    with (work / "server.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url, server, work / "server.log")
        yield url
    finally:
        server.terminate()
        server.wait()


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_WITHIN
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/indices-list").read()
            return
        except urllib.error.URLError:
            time.sleep(0.5)
    raise SystemExit(f"the server did not start:\n{log.read_text()[-2000:]}")
