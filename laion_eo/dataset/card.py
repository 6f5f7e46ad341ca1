"""The dataset card, rendered from the manifest, the schema and the rows themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files

import jinja2
import pyarrow as pa
import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from laion_eo.component import WARNINGS
from laion_eo.config import DatasetOptions, validate
from laion_eo.dataset.features import dataset_info, dtype
from laion_eo.dataset.public import scrubbed
from laion_eo.hub.card_numbers import Numbers, cell
from laion_eo.hub.cards import (
    BARE_NAME,
    CardHead,
    ConfigEntry,
    DataFiles,
    join_card,
    mark_section,
    size_category,
)
from laion_eo.redaction import redacted
from laion_eo.schema import PUBLISHED_COLUMNS
from laion_eo.texts import clean

TOOL = "laion-eo"
"""The tag of every dataset made with it."""
EARTH = "earth-observation"
"""The tag of datasets whose images show the Earth; only their cards speak of it."""


class _View(BaseModel):
    """A part of a manifest, as far as the card shows it; other keys are ignored."""

    model_config = ConfigDict(frozen=True)


class _Owner(_View):
    distribution: str


class _Software(_View):
    laion_eo: str


class _Maker(_View):
    software: _Software
    components: dict[str, dict[str, _Owner]]


class _Stage(_View):
    counts: dict[str, int]
    facts: dict[str, dict[str, object]]
    made_by: tuple[_Maker, ...] = ()


class _Choice(_View):
    use: str


class _Retriever(_Choice):
    k: int
    pool: str | None = None
    url: str | None = None
    index: str | None = None


class _Resolved(_View):
    anchors: _Choice
    embedder: _Choice
    retriever: _Retriever


class _Manifest(_View):
    """What the card shows of a run: see :func:`laion_eo.pipeline.manifest.describe`."""

    version: str = Field(alias="laion_eo")
    run: dict[str, object]
    resolved: _Resolved
    components: dict[str, dict[str, _Owner]]
    stages: dict[str, _Stage]


class _Threshold(_View):
    """What a filter records of a threshold.

    The deviations and rows are given if it was fitted to the candidates, the percentile and the
    number of anchors if it was to these.
    """

    threshold: float | None
    how: str
    sigma: float | None = None
    mean: float | None = None
    standard_deviation: float | None = None
    rows: int | None = None
    percentile: float | None = None
    anchors: int | None = None

    @property
    def is_fitted(self) -> bool:
        return None not in (self.sigma, self.mean, self.standard_deviation, self.rows)


class _Part(_View):
    kind: str
    name: str
    distribution: str
    facts: str


def render_card(
    options: DatasetOptions,
    table: pa.Table,
    manifest: Mapping[str, object],
    sections: Sequence[str],
    download: int = 0,
) -> str:
    """Return the text of README.md: YAML head and Markdown.

    The run file and the components' facts pass through :func:`laion_eo.dataset.public.scrubbed`:
    no secret and no path of the user's machine gets into the card.

    Args:
        options: The dataset's name, licence and contact.
        table: The published rows.
        manifest: The run's manifest up to the verdicts.
        sections: Further sections, from plugins.
        download: Bytes of the dataset's files.

    Raises:
        ConfigError: The manifest is not complete, or a component's facts are not a table.
    """
    public = _read(manifest)
    numbers = Numbers([table])
    body = _template().render(
        options=options,
        shows_earth=EARTH in options.tags,
        bare_name=BARE_NAME,
        numbers=numbers,
        versions=_versions(public),
        summary=_summary(public),
        thresholds=dict(_thresholds(public.stages["verdicts"])),
        warnings=list(_warnings(public)),
        counts=[(n, k, v) for n, stage in public.stages.items() for k, v in stage.counts.items()],
        parts=list(_parts(public)),
        sections=[clean(redacted(section))[0] or "" for section in sections],
        run_file=tomli_w.dumps(public.run).strip(),
        columns=PUBLISHED_COLUMNS,
    )
    return join_card(_head(options, table, numbers.codes, download), body)


def _read(manifest: Mapping[str, object]) -> _Manifest:
    """Return what may be published of a manifest, without the stage that makes the dataset."""
    public = {key: scrubbed(value, key) for key, value in manifest.items()}
    view = validate(_Manifest, public, "the run's manifest")
    stages = {name: stage for name, stage in view.stages.items() if name != "dataset"}
    return view.model_copy(update={"stages": stages})


def _template() -> jinja2.Template:
    environment = jinja2.Environment(  # noqa: S701 - Markdown; `cell` escapes foreign text
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"cell": cell, "dtype": dtype}
    environment.globals["section"] = _section
    text = files("laion_eo.dataset").joinpath("card.md.j2").read_text("utf-8")
    return environment.from_string(text)


def _section(config: str, caller: Callable[[], str]) -> str:
    return mark_section(config, caller())


def _head(
    options: DatasetOptions, table: pa.Table, languages: list[str], download: int
) -> CardHead:
    """Return the card's metadata."""
    config = options.config
    files = DataFiles(split="train", path=f"{config}/train-*.parquet")
    head = {
        "license": options.license,
        "pretty_name": options.pretty_name,
        "language": languages,
        "task_categories": ["text-to-image"],
        "size_categories": [size_category(table.num_rows)],
        "tags": sorted({*options.tags, TOOL}),
        "configs": [ConfigEntry(config_name=config, data_files=(files,), default=True)],
        "dataset_info": [dataset_info(config, table.num_rows, table.nbytes, download)],
    }
    return CardHead.model_validate({key: value for key, value in head.items() if value})


def _versions(manifest: _Manifest) -> str:
    """Return which laion-eo made the dataset; if there were several, which made which stages."""
    steps: dict[str, list[str]] = {}
    for name, stage in manifest.stages.items():
        versions = {maker.software.laion_eo: None for maker in stage.made_by}
        for version in versions or ["an unrecorded version"]:
            steps.setdefault(version, []).append(name)
    steps.setdefault(manifest.version, []).append("dataset")
    if len(steps) == 1:
        return manifest.version
    return " and ".join(f"{version} ({', '.join(names)})" for version, names in steps.items())


def _summary(manifest: _Manifest) -> dict[str, str]:
    """Return the four choices that matter most, each in a line."""
    run, anchors = manifest.resolved, manifest.stages["anchors"]
    model = anchors.facts.get(run.embedder.use, {}).get("model_id", run.embedder.use)
    pools = (run.retriever.pool, run.retriever.url, run.retriever.index)
    return {
        "anchors": f"{anchors.counts['anchors']:,} from `{run.anchors.use}`, "
        f"{anchors.counts['skipped']:,} of them unreadable",
        "model": f"`{model}`",
        "pool": " ".join(f"`{pool}`" for pool in pools if pool)
        + f" searched with `{run.retriever.use}`",
        "neighbours for each anchor (k)": f"{run.retriever.k:,}",
    }


def _thresholds(verdicts: _Stage) -> Iterator[tuple[str, _Threshold]]:
    """Yield column and threshold, of every filter that has thresholds."""
    for facts in verdicts.facts.values():
        for column, how in facts.items():
            if (threshold := _as_threshold(how)) is not None:
                yield column, threshold


def _as_threshold(fact: object) -> _Threshold | None:
    """Return a fact as a threshold; ``None`` if it is something else, as plugins may record."""
    try:
        return _Threshold.model_validate(fact)
    except ValidationError:
        return None


def _warnings(manifest: _Manifest) -> Iterator[str]:
    """Yield what components warn of, each once."""
    told: dict[str, None] = {}
    for stage in manifest.stages.values():
        for facts in stage.facts.values():
            warnings = facts.get(WARNINGS)
            told |= dict.fromkeys(map(str, warnings if isinstance(warnings, list) else ()))
    yield from told


def _parts(manifest: _Manifest) -> Iterator[_Part]:
    """Yield the components of the run, with what is known of each but its thresholds."""
    known: dict[str, dict[str, object]] = {}
    made: dict[tuple[str, str], dict[str, None]] = {}
    for stage in manifest.stages.values():
        for label, said in stage.facts.items():
            # A retriever that only looks rows up knows nothing of the search before.
            known[label] = {**known.get(label, {}), **said}
        for maker in stage.made_by:
            for kind, owners in maker.components.items():
                for name, owner in owners.items():
                    made.setdefault((kind, name), {})[owner.distribution] = None
    for kind, chosen in manifest.components.items():
        for name, owner in chosen.items():
            # The second of a name is called `name 2`.
            labels = [label for label in known if label == name or label.startswith(f"{name} ")]
            facts = [_said(known[label]) for label in labels]
            distribution = " and ".join(made.get((kind, name), [owner.distribution]))
            told = "; ".join(filter(None, facts))
            yield _Part(kind=kind, name=name, distribution=distribution, facts=told)


def _said(facts: dict[str, object]) -> str:
    return ", ".join(
        f"{key} {value}"
        for key, value in facts.items()
        if not isinstance(value, dict) and key != WARNINGS
    )
