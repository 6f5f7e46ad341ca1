"""Writes the files of ``hf_dataset/`` for ``load_dataset`` from the builder and the schema.

``python -m laion_eo.dataset.script hf_dataset`` writes them; a test checks that they are current.
"""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

from laion_eo.dataset.checkout import card
from laion_eo.dataset.features import dtype
from laion_eo.hub.cards import BARE_NAME, CARD
from laion_eo.schema import PUBLISHED

IMPORT = "from laion_eo.schema import PUBLISHED\n"
HEADER = '''\
"""LAION-EO for datasets < 4: load_dataset("laion_eo.py", "ver-1", trust_remote_code=True).

Generated from laion_eo/dataset/builder.py; do not edit. Newer versions of datasets need no script:
see the README of laion-eo.
"""
'''


def script() -> str:
    """Return the self-contained loading script: the builder, with the schema written out."""
    source = files("laion_eo.dataset").joinpath("builder.py").read_text("utf-8")
    body = source[source.index("from __future__") :]
    if IMPORT not in body:
        raise RuntimeError("laion_eo/dataset/builder.py must import the schema in one line")
    columns = "".join(
        f'        ("{field.name}", pa.{dtype(field.type)}()),\n' for field in PUBLISHED
    )
    schema = f"PUBLISHED = pa.schema(\n    [\n{columns}    ]\n)\n"
    return f"{HEADER}\n{body.replace(IMPORT, schema)}"


def write(folder: Path) -> None:
    """Write the loading script, and the card that defines the bare name, into ``hf_dataset``."""
    (folder / BARE_NAME).mkdir(parents=True, exist_ok=True)
    (folder / f"{BARE_NAME}.py").write_text(script(), "utf-8")
    (folder / BARE_NAME / CARD).write_text(card(), "utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
