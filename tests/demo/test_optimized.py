"""Under ``python -O``, which leaves out every assert, the demo's dataset is the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.slow
for package in ("skimage", "mpl_toolkits.basemap_data", "efficientnet_lite_pytorch"):
    pytest.importorskip(package, reason="the demo comes with the extra `demo`")

DEMO = """
import sys
from pathlib import Path
from laion_eo.demo import demo
demo(Path(sys.argv[1]))
print(__debug__)
"""


def dataset(folder: Path, *flags: str) -> tuple[bool, pa.Table]:
    """Run the demo; return whether asserts counted, and its dataset without the server's port."""
    command = [sys.executable, *flags, "-c", DEMO, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (path,) = (folder / "run" / "dataset").glob("*/*.parquet")
    table = pq.read_table(path)
    urls = pc.replace_substring_regex(table["url"], r"^http://127\.0\.0\.1:\d+/", "http://demo/")
    index = table.column_names.index("url")
    return done.stdout.strip() == "True", table.set_column(index, "url", urls)


def test_the_demo_gives_the_same_dataset_without_asserts(tmp_path: Path) -> None:
    asserts, plain = dataset(tmp_path / "plain")
    no_asserts, optimized = dataset(tmp_path / "optimized", "-O")
    assert (asserts, no_asserts) == (True, False)
    assert plain.num_rows > 0
    assert optimized.equals(plain)
