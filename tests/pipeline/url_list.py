"""A retriever that finds a list of URLs, and a process to run it in: ``python -m ... RUN OUT``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from laion_eo.config import RunPath
from laion_eo.hookspecs import hookimpl
from laion_eo.kinds import Retriever, RetrieverConfig
from laion_eo.pipeline import run
from laion_eo.registry import Registry
from laion_eo.testing import colours
from laion_eo.types import Embeddings, Neighbors


class UrlList(Retriever):
    name = "url-list"
    summary = "every line of a file"

    class Config(RetrieverConfig):
        urls: RunPath

    config: Config

    def search(self, queries: Embeddings, k: int) -> Neighbors:
        ids = np.tile(np.arange(k, dtype=np.int64), (len(queries), 1))
        return Neighbors(np.full(ids.shape, 0.5, np.float32), ids)

    def lookup(self, ids: NDArray[np.int64]) -> pa.Table:
        urls = self.config.urls.read_text().split()
        return pa.table({"url": [urls[i] for i in ids], "caption": ["a field" for _ in ids]})


@hookimpl
def laion_eo_retrievers() -> list[type[Retriever]]:
    return [UrlList]


def main(run_file: str, out: str) -> None:
    registry = Registry.discover([colours, sys.modules[__name__]])
    run(json.loads(Path(run_file).read_text()), out, registry=registry)
    # Not getrusage: what it tells begins with the memory of the process that started this one.
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) // 1024
    print(json.dumps({"peak_mib": peak}))  # noqa: T201 - what the test reads


if __name__ == "__main__":
    main(*sys.argv[1:])
