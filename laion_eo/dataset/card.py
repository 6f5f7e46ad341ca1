"""The dataset card, rendered from the manifest, the schema and the rows themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from importlib.resources import files

import jinja2
import pyarrow as pa
import tomli_w

from laion_eo.config import DatasetOptions
from laion_eo.schema import PUBLISHED_COLUMNS
from laion_eo.types import JSON

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
LANGUAGES_SHOWN = 20


def render_card(
    options: DatasetOptions, table: pa.Table, manifest: dict[str, JSON], sections: Sequence[str]
) -> str:
    """Return the text of README.md: YAML head and Markdown.

    Args:
        options: What the dataset is called and says of itself.
        table: The published rows.
        manifest: The run's manifest up to the verdicts.
        sections: Further sections, from plugins.
    """
    template = files("laion_eo.dataset").joinpath("card.md.j2").read_text("utf-8")
    environment = jinja2.Environment(  # noqa: S701 - Markdown, not HTML
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    languages = Counter(table["lang"].drop_null().to_pylist()).most_common()
    return environment.from_string(template).render(
        options=options,
        rows=table.num_rows,
        size=next((name for limit, name in SIZES if table.num_rows < limit), "1M<n<10M"),
        columns=PUBLISHED_COLUMNS,
        languages=languages[:LANGUAGES_SHOWN],
        language_codes=sorted(code for code, _ in languages),
        stages=manifest["stages"],
        components=manifest["components"],
        version=manifest["laion_eo"],
        run_file=tomli_w.dumps(manifest["run"]).strip(),
        sections=sections,
    )
