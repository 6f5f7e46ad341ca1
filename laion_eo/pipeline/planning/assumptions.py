"""What a run file leaves out, what stands in its place, and why that matters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from laion_eo.component import Component
from laion_eo.config import NO_LICENSE, RunConfig
from laion_eo.kinds import KINDS, Kind
from laion_eo.pipeline.workbench import Workbench
from laion_eo.types import JSON

# Short, so that each is a line of a terminal.
TABLES = {
    "normalizer": "brightens dark reflectance; pictures: none",
    "augmenter": "searches for the anchors as they are",
    "embedder": "must be the model that made the pool",
    "downloader": "polite; images on this disk: allow_files",
    "scorers": "make the columns that filters judge",
    "filters": "decide what stays, in this order",
    "language_tagger": "1 GB of weights; `fasttext` is small",
    "publisher": "stays on this disk until `release`",
}
"""Why the component of a table that is left out matters."""
OPTIONS: dict[tuple[str, str], dict[str, str]] = {
    ("embedder", "open-clip"): {
        "model": "another model has other vectors",
        "pretrained": "its weights, downloaded once",
    },
    ("scorers", "text-similarity"): {"prompt": "images are compared with it: say yours"},
    ("filters", "min-size"): {
        "width": "pixels; narrower images are dropped",
    },
    ("filters", "similarity-threshold"): {"sigma": "drops little where most candidates are wrong"},
    ("filters", "duplicates"): {"by": "copies at other sizes stay"},
}
"""Why an option of a component matters; those that say little of the result are not here."""
RULED_OUT = {"sigma": ({"fit"}, {"image", "text"})}
"""Options that mean nothing where all of some others are written."""
RETRIEVERS = {"k": "neighbours of an anchor; others are never seen"}
"""Likewise, of whatever retriever there is."""
SECTIONS = {
    "dataset": {
        "config": "its name for load_dataset",
        "pretty_name": "title of the card",
        "license": "of your list of links, not of the images",
        "tags": "what the Hub finds it by",
        "contact": "where removals are asked for",
    },
    "embeddings": {"dtype": "half the disk of float32, at most 0.0002 off"},
    "engine": {"use": "this machine; `ray`: a cluster"},
}
"""Likewise, of the tables without a component."""
SEED = "same seed, same dataset"
UNCHOSEN = "`release` refuses it: say which"


@dataclass(frozen=True, slots=True)
class Assumption:
    """A default that a run assumes, because its run file does not say it.

    Attributes:
        option: As ``--set`` takes it: ``retriever.k``; or the table whose component it is.
        value: What is assumed, as in a run file.
        why: Why it matters, in a few words.
    """

    option: str
    value: JSON
    why: str


def assumptions(workbench: Workbench) -> tuple[Assumption, ...]:
    """Return the defaults that a run assumes, as far as they matter.

    Args:
        workbench: The run's components.
    """
    found: list[Assumption] = []
    for kind in KINDS:
        if kind.table not in workbench.run_file.data:
            names = [component.name for component in workbench.all(kind.base)]
            value: JSON = names if kind.many else names[0]
            option = kind.table if kind.many else f"{kind.table}.use"
            found.append(Assumption(option, value, TABLES[kind.table]))
        found += _of_components(workbench, kind)
    return (*found, *_of_sections(workbench.config))


def _of_components(workbench: Workbench, kind: Kind) -> Iterator[Assumption]:
    """Yield the options of a kind's components that nobody wrote."""
    components: list[Component] = workbench.all(kind.base)
    chosen = getattr(workbench.config, kind.table)
    written = chosen if kind.many else (chosen,)
    for component, choice in zip(components, written, strict=True):
        place = f"{kind.table}.{component.name}" if kind.many else kind.table
        values = component.config.model_dump(mode="json")
        known = OPTIONS.get((kind.table, component.name), {})
        for option, why in (RETRIEVERS if kind.table == "retriever" else known).items():
            said = choice.options.keys()
            ruled_out = any(others <= said for others in RULED_OUT.get(option, ()))
            # Some that another one rules out are null: a prompt, where there are prompts.
            unknown = option not in values or values[option] is None
            if not (option in said or ruled_out or unknown):
                yield Assumption(f"{place}.{option}", values[option], why)


def _of_sections(config: RunConfig) -> Iterator[Assumption]:
    """Yield the options of the tables without a component that nobody wrote."""
    for table, options in SECTIONS.items():
        section = getattr(config, table)
        for option, why in options.items():
            value = getattr(section, option)
            if value == NO_LICENSE:
                yield Assumption(f"{table}.{option}", value, UNCHOSEN)
            elif option not in section.model_fields_set:
                yield Assumption(f"{table}.{option}", _plain(value), why)
    if "seed" not in config.model_fields_set:
        yield Assumption("seed", config.seed, SEED)


def _plain(value: object) -> JSON:
    return list(value) if isinstance(value, tuple) else value
