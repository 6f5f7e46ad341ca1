"""The dataset card, rendered from the manifest, the schema and the rows themselves."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files

import jinja2
import pyarrow as pa
import tomli_w

from laion_eo.config import DatasetOptions
from laion_eo.dataset.features import dataset_info, dtype
from laion_eo.dataset.public import scrubbed
from laion_eo.hub.cards import BARE_NAME, join_card, mark_section, size_category
from laion_eo.schema import PUBLISHED_COLUMNS
from laion_eo.types import JSON

LANGUAGES_SHOWN = 20
UNTAGGED = "(no language)"
_ISO_639 = re.compile(r"[a-z]{2,3}")
"""What the Hub takes for a language; the table shows whatever the tagger says."""


def render_card(
    options: DatasetOptions,
    table: pa.Table,
    manifest: dict[str, JSON],
    sections: Sequence[str],
    download: int = 0,
) -> str:
    """Return the text of README.md: YAML head and Markdown.

    The run file and the components' facts pass through :func:`laion_eo.dataset.public.scrubbed`:
    no secret and no path of the user's machine gets into the card.

    Args:
        options: What the dataset is called and says of itself.
        table: The published rows.
        manifest: The run's manifest up to the verdicts.
        sections: Further sections, from plugins.
        download: Bytes of the dataset's files.
    """
    public = scrubbed(manifest)
    stages = {name: stage for name, stage in public["stages"].items() if name != "dataset"}
    tags = Counter(table["lang"].to_pylist())
    codes = sorted(code for code in tags if code and _ISO_639.fullmatch(code))
    shown = [(code or UNTAGGED, count) for code, count in tags.most_common(LANGUAGES_SHOWN)]
    body = _template().render(
        options=options,
        bare_name=BARE_NAME,
        rows=table.num_rows,
        sources=len(table["source"].unique()),
        version=manifest["laion_eo"],
        summary=_summary(public),
        thresholds=dict(_thresholds(stages)),
        counts=[(n, k, v) for n, stage in stages.items() for k, v in stage["counts"].items()],
        parts=list(_parts(public)),
        languages=shown if tags.keys() - {None} else [],
        sections=sections,
        run_file=tomli_w.dumps(public["run"]).strip(),
        columns=PUBLISHED_COLUMNS,
    )
    return join_card(_head(options, table, codes, download), body)


def _template() -> jinja2.Template:
    environment = jinja2.Environment(  # noqa: S701 - Markdown; `cell` escapes what comes from afar
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"cell": _cell, "dtype": dtype}
    environment.globals["section"] = _section
    text = files("laion_eo.dataset").joinpath("card.md.j2").read_text("utf-8")
    return environment.from_string(text)


def _section(config: str, caller: Callable[[], str]) -> str:
    return mark_section(config, caller())


def _cell(value: JSON) -> str:
    """Return a value as the text of a table's cell: no markup, one line."""
    text = " ".join(str(value).split())
    for mark, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|")):
        text = text.replace(mark, escaped)
    return text


def _head(
    options: DatasetOptions, table: pa.Table, languages: list[str], download: int
) -> dict[str, JSON]:
    """Return the card's metadata, in the Hub's words."""
    config = options.config
    head: dict[str, JSON] = {
        "license": options.license,
        "pretty_name": options.pretty_name,
        "language": languages,
        "task_categories": ["text-to-image"],
        "size_categories": [size_category(table.num_rows)],
        "tags": ["climate", "earth-observation", "laion-eo"],
        "configs": [
            {
                "config_name": config,
                "data_files": [{"split": "train", "path": f"{config}/train-*.parquet"}],
                "default": True,
            }
        ],
        "dataset_info": [dataset_info(config, table.num_rows, table.nbytes, download)],
    }
    return {key: value for key, value in head.items() if value}


def _summary(manifest: Mapping[str, JSON]) -> dict[str, str]:
    """Return the four choices that matter most, each in a line."""
    run, stages = manifest["resolved"], manifest["stages"]
    embedder = run["embedder"]["use"]
    facts = stages["anchors"]["facts"].get(embedder, {})
    counts = stages["anchors"]["counts"]
    pool = {
        key: run["retriever"][key] for key in ("pool", "url", "index") if key in run["retriever"]
    }
    return {
        "anchors": f"{counts['anchors']:,} from `{run['anchors']['use']}`, "
        f"{counts['skipped']:,} of them unreadable",
        "model": f"`{facts.get('model_id', embedder)}`",
        "pool": " ".join(f"`{value}`" for value in pool.values())
        + f" searched with `{run['retriever']['use']}`",
        "neighbours for each anchor (k)": f"{run['retriever']['k']:,}",
    }


def _thresholds(stages: Mapping[str, JSON]) -> Iterator[tuple[str, JSON]]:
    """Yield column and threshold, of every filter that says how it came by them."""
    fitted = {"mean", "standard_deviation", "rows"}
    for facts in stages["verdicts"]["facts"].values():
        for column, how in facts.items():
            if (
                isinstance(how, dict)
                and {"threshold", "how"} <= how.keys()
                and isinstance(how["threshold"], float | int | None)
                and ("sigma" not in how or fitted <= how.keys())
            ):
                yield column, how


def _parts(manifest: Mapping[str, JSON]) -> Iterator[dict[str, str]]:
    """Yield the components of the run, with what is known of each but its thresholds."""
    known: dict[str, JSON] = {}
    for name, stage in manifest["stages"].items():
        known |= stage["facts"] if name != "dataset" else {}
    for kind, chosen in manifest["components"].items():
        for name, owner in chosen.items():
            facts = {k: v for k, v in known.get(name, {}).items() if not isinstance(v, dict)}
            told = ", ".join(f"{key} {value}" for key, value in facts.items())
            yield {
                "kind": kind,
                "name": name,
                "distribution": owner["distribution"],
                "facts": told,
            }
