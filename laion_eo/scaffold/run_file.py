"""The text of a run file for a domain of one's own."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

import jinja2
import tomli_w

from laion_eo.config import NO_LICENSE
from laion_eo.scaffold.inspection import REACHED_BY, Normalization
from laion_eo.scaffold.recipe import RECIPES
from laion_eo.types import JSON


@dataclass(frozen=True, slots=True)
class Domain:
    """All that a run file says of a domain.

    Attributes:
        file: The run file, as commands name it.
        title: Of the dataset, in one line.
        config: Its configuration.
        tags: What the Hub finds it by.
        license: Of the list of links.
        prompt: What its images show.
        anchors: The table ``[anchors]``.
        normalization: What the anchors need.
        min_size: Least width and height, in pixels.
        embedder: The table ``[embedder]``.
        pool: As the run file names it.
        pool_at: As commands name it.
        on_disk: Whether the pool's images are files of this machine.
    """

    file: str
    title: str
    config: str
    tags: tuple[str, ...]
    license: str
    prompt: str
    anchors: dict[str, JSON]
    normalization: Normalization
    min_size: int
    embedder: dict[str, JSON]
    pool: str
    pool_at: str
    on_disk: bool


def render(domain: Domain) -> str:
    """Return the run file."""
    recipe = RECIPES[domain.anchors["use"]]
    values = {name: getattr(domain, name) for name in Domain.__slots__}
    chosen = domain.license != NO_LICENSE
    values |= {
        "k": recipe.k,
        "scorers": recipe.scorers.strip().replace("{prompt}", _toml(domain.prompt)),
        "filters": recipe.filters.strip(),
        "size_why": "smaller images say little"
        if domain.anchors["use"] == "texts"
        else f"at least {round(100 * REACHED_BY)} % of the anchors are as large",
        "license_why": "of the links; the images keep their own"
        if chosen
        else "choose one, as cc-by-4.0: a release is refused without",
    }
    environment = jinja2.Environment(  # noqa: S701 - TOML, not HTML
        undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"toml": _toml, "table": _table}
    template = files("laion_eo.scaffold").joinpath("templates/run_file.toml.j2")
    return environment.from_string(template.read_text("utf-8")).render(values)


def _toml(value: JSON) -> str:
    """Return a value as TOML, in a line."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return _table({"value": value}).removeprefix("value = ")


def _table(values: dict[str, JSON]) -> str:
    return tomli_w.dumps(values).strip()
