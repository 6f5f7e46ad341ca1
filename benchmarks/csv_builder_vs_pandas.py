"""Rows a second of the builder's CSV reader, against pandas.read_csv on the same file.

Each reads in a process of its own, so that their peaks of memory are separate. The file is
synthetic: the published layout, 112,985 rows, captions with quotes, commas, newlines, and empty
ones. The detail also has the builder's complete work: rows read, checked, and written to
datasets' cache.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROWS = 112_985
ROUNDS = 20
OURS = """
from laion_eo.dataset.builder import LaionEO
import pyarrow as pa
builder = LaionEO(config_name="ver-1", data_files={"train": path}, cache_dir=cache)
def read():
    return sum(table.num_rows for _, table in builder._generate_tables([path]))
"""
PREPARE = """
from laion_eo.dataset.builder import LaionEO
import datasets
datasets.disable_progress_bars()
def read():
    builder = LaionEO(config_name="ver-1", data_files={"train": path}, cache_dir=cache)
    builder.download_and_prepare(download_mode="force_redownload")
    return builder.info.splits["train"].num_examples
"""
PANDAS = """
import pandas as pd
def read():
    return len(pd.read_csv(path, keep_default_na=False, na_values=[""]))
"""
MEASURE = """
import json, sys, time
path, cache = sys.argv[1:]
{code}
def peak():  # not ru_maxrss, which a child has from its parent
    status = open("/proc/self/status").read()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
before = peak()
rows = read()
once = peak() - before  # of one read, not of what the allocator hoards over many
times = []
for _ in range({rounds}):
    start = time.perf_counter()
    read()
    times.append(time.perf_counter() - start)
found = {{"rows": rows, "seconds": min(times), "peak_mib": once}}
print(json.dumps(found))
"""


def make(path: Path) -> None:
    """Write the file as pandas does."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(0)
    words = np.array(["satellite", "image", "北京", '"quoted"', "a, b", "two\nlines", "NA", "🛰"])
    captions = [" ".join(rng.choice(words, rng.integers(0, 12))) or None for _ in range(ROWS)]
    similarities = {
        name: rng.random(ROWS)
        for name in ("fast_similarity", "image_similarity", "text_similarity")
    }
    frame = pd.DataFrame(
        {
            "source": rng.integers(0, 3456, ROWS),
            "url": [f"https://example.org/{'long/' * 20}{n}.jpg" for n in range(ROWS)],
            "filename": [f"{n:064x}.jpg" for n in range(ROWS)],
            "id": rng.integers(0, 5_850_000_000, ROWS),
            "fast_similarity": similarities["fast_similarity"],
            "caption": captions,
            "image_similarity": similarities["image_similarity"],
            "text_similarity": similarities["text_similarity"],
            "height": rng.integers(256, 4000, ROWS),
            "width": rng.integers(256, 4000, ROWS),
            "lang": [None if draw < 0.1 else "en" for draw in rng.random(ROWS)],
            "lang_score": rng.random(ROWS),
        }
    )
    frame.to_csv(path, index=False)


def measure(code: str, path: Path, folder: str) -> dict[str, float]:
    """Run one reader in a process of its own."""
    program = MEASURE.format(code=code, rounds=ROUNDS)
    command = [sys.executable, "-W", "ignore", "-c", program, str(path), folder]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    assert found["rows"] == ROWS
    return found


def main() -> None:
    """Measure both and print one line."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "metadata_public.csv"
        make(path)
        programs = {"ours": OURS, "pandas": PANDAS, "whole_builder": PREPARE}
        found = {name: measure(code, path, folder) for name, code in programs.items()}
        rates = [ROWS / found[name]["seconds"] for name in ("ours", "pandas")]
        detail = {**found, "megabytes": path.stat().st_size / 1e6}
    print(
        json.dumps(
            {
                "name": "csv_builder_vs_pandas",
                "ours": rates[0],
                "reference": rates[1],
                "ratio": rates[0] / rates[1],
                "unit": "rows/s",
                "detail": detail,
            }
        )
    )


if __name__ == "__main__":
    main()
