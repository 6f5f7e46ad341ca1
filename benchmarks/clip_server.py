"""The real clip-retrieval server on loopback, over a pool of ours (tox env clip-retrieval)."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

INDEX = "pool"
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
FLAGS = {
    "enable_mclip_option": False, "use_jit": False, "provide_safety_model": False,
    "provide_violence_detector": False, "provide_aesthetic_embeddings": False,
}  # fmt: skip


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
        command = [sys.executable, "-c", CHECKPOINT, str(weights)]
        subprocess.run(command, env=environment, check=True, capture_output=True)
    model = f"open_clip:ViT-B-32/{weights}"
    entry = {"indice_folder": str(pool), "clip_model": model, **FLAGS}
    entry["columns_to_return"] = ["url", "caption"]
    (work / "paths.json").write_text(json.dumps({INDEX: entry}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("clip-retrieval")
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
