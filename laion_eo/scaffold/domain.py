"""Writes a run file for a domain of one's own: the Python call behind ``laion-eo init``."""

from __future__ import annotations

import os
import re
import tomllib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import Field, field_validator

from laion_eo.builtin.retrievers.pool_record import PoolRecord
from laion_eo.builtin.retrievers.vouching import Vouched
from laion_eo.component import Context
from laion_eo.config import NO_LICENSE, Model, RunFile, validate
from laion_eo.errors import ConfigError
from laion_eo.files import write_atomically
from laion_eo.kinds import Retriever
from laion_eo.pipeline.checks import check_chain, check_pool_model
from laion_eo.pipeline.workbench import Workbench
from laion_eo.registry import Registry
from laion_eo.scaffold.inspection import Inspection, inspect_folder, inspect_texts
from laion_eo.scaffold.run_file import Domain, render
from laion_eo.types import JSON

POOL = "pools/my-pool"
"""Where the pool is taken to be, if nobody names one."""
EMBEDDER = "open-clip"
"""The model, if neither the pool nor anybody names one."""
SAY_NOTHING = frozenset(
    ["anchor", "anchors", "data", "dataset", "images", "img", "photos", "pictures", "train"]
)
"""Names of folders from which no title can be made."""
_WHAT_IT_SHOWS = re.compile(
    r"^(?:(?:an?|the|some) )*(?:\w+ )?(?:photo|photograph|picture|image|drawing|view)s? of ", re.I
)
_ARTICLE = re.compile(r"^(?:(?:an?|the|some) )+", re.I)


class DomainOptions(Model):
    """What a run file says of a domain, beside its anchors.

    Attributes:
        prompt: What its images show, as one would say it: ``a photo of a dog``.
        pool: The pool to search, a folder or a URL; it need not be there yet.
        title: Of the dataset; by default, from the anchors' folder or the prompt.
        license: Of the list of links, by the Hub's name of it; ``unknown`` if not chosen yet.
        tags: What the Hub finds the dataset by; by default, its title.
        embedder: Name of the model; by default the pool's, or else ``open-clip``.
    """

    prompt: str
    pool: str | None = Field(default=None, min_length=1)
    title: str | None = None
    license: str = Field(default=NO_LICENSE, min_length=1)
    tags: tuple[str, ...] = ()
    embedder: str | None = None

    @field_validator("prompt", "title")
    @classmethod
    def _a_line(cls, text: str | None) -> str | None:
        line = None if text is None else " ".join(text.split())
        if line is not None and not (line and line.isprintable()):
            raise ValueError("a line of text was expected")
        return line


@dataclass(frozen=True, slots=True)
class NewRunFile:
    """A run file that was written.

    Attributes:
        path: Where it is.
        domain: What it says.
        notes: What a person should know or change, a line each.
    """

    path: Path
    domain: Domain
    notes: tuple[str, ...]


def init(
    anchors: str | Path | Sequence[str],
    prompt: str,
    out: str | Path | None = None,
    *,
    force: bool = False,
    registry: Registry | None = None,
    **options: JSON,
) -> NewRunFile:
    """Write a run file for a domain of one's own, from examples of it and a prompt.

    Args:
        anchors: A folder of pictures or GeoTIFFs, or several texts.
        prompt: What the images show, as one would say it: ``a photo of a dog``.
        out: The run file; by default named by the title, in the current folder.
        force: Replace a file that is there.
        registry: Where components are found; the installed plugins by default.
        options: ``pool``, ``title``, ``license``, ``tags``, ``embedder``: those of
            :class:`DomainOptions`.

    Raises:
        ConfigError: An option is wrong; the file is there; the pool was made with another model.
        DataError: The anchors are not there or cannot be read; the pool is damaged.
    """
    chosen = validate(DomainOptions, {"prompt": prompt, **options}, "init")
    if isinstance(anchors, str | Path):
        found = inspect_folder(Path(anchors))
    else:
        found = inspect_texts(anchors)
    path = Path(out) if out is not None else None
    return write_run_file(found, chosen, path, force=force, registry=registry)


def write_run_file(
    found: Inspection,
    options: DomainOptions,
    out: Path | None = None,
    *,
    force: bool = False,
    registry: Registry | None = None,
) -> NewRunFile:
    """Write the run file of a domain whose anchors were inspected.

    Args:
        found: What is known of the anchors.
        options: What else the run file says.
        out: The run file, and so on, as for :func:`init`.
        force: Likewise.
        registry: Likewise.

    Raises:
        ConfigError: As :func:`init`.
        DataError: Likewise.
    """
    registry = registry or Registry.discover()
    title = options.title or title_of(found.root, options.prompt)
    config = slug(title)
    path = out or Path(f"{config}.toml")
    if path.exists() and not force:
        raise ConfigError(f"{path}: is there already; --force replaces it, --out names another.")
    pool = options.pool or POOL
    about = _inspect_pool(pool, registry)
    domain = Domain(
        file=str(path),
        title=title,
        config=config,
        tags=options.tags or (config.lower(),),
        license=options.license,
        prompt=options.prompt,
        anchors=_anchors(found, path),
        normalization=found.normalization,
        min_size=found.min_size,
        embedder={"use": options.embedder} if options.embedder else about.embedder,
        pool=_from(path, pool),
        pool_at=pool,
        on_disk=about.on_disk,
    )
    text = render(domain)
    _check(text, path, registry, about.is_there)
    write_atomically(path, text.encode())
    notes = found.notes
    if not about.is_there:
        notes += (f"{pool}: there is no pool yet; `laion-eo index` makes it.",)
    if options.license == NO_LICENSE:
        notes += ("dataset.license is not chosen: a release is refused until it is.",)
    return NewRunFile(path, domain, notes)


def title_of(folder: Path | None, prompt: str) -> str:
    """Return a title for a dataset: the name of the anchors' folder, or else what a prompt shows.

    Args:
        folder: ``None`` where the anchors are texts.
        prompt: Such as ``a photo of a dog``.
    """
    name = "" if folder is None else re.sub(r"[-_\s]+", " ", folder.absolute().name).strip()
    if not name.isprintable() or not re.search(r"[^\W\d_]", name) or name.lower() in SAY_NOTHING:
        name = _ARTICLE.sub("", _WHAT_IT_SHOWS.sub("", prompt)) or prompt
    return name[:1].upper() + name[1:]


def slug(title: str) -> str:
    """Return a title as the name of a configuration and of a file: ASCII, lower case, dashes."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "domain"


@dataclass(frozen=True, slots=True)
class _Pool:
    """What is known of the pool; of one that is not there, what is likely."""

    is_there: bool
    embedder: dict[str, JSON]
    on_disk: bool


def _inspect_pool(pool: str, registry: Registry) -> _Pool:
    """Return which model made a pool, and where its images are."""
    if "://" not in pool and not Path(pool).exists():
        return _Pool(False, {"use": EMBEDDER}, False)
    retriever = registry.build(Retriever, {"use": "exact-scan", "pool": pool}, "init: --pool")
    size = retriever.pool_size()
    first = retriever.lookup(np.zeros(1, np.int64))["url"][0].as_py() if size and size.rows else ""
    about = Vouched(pool).about
    index = about.index if isinstance(about, PoolRecord) else None
    return _Pool(True, dict(index.embedder) if index else {"use": EMBEDDER}, _is_file(first))


def _is_file(url: str | None) -> bool:
    return (url or "").lower().startswith("file:")


def _anchors(found: Inspection, run_file: Path) -> dict[str, JSON]:
    """Return the table of the anchors."""
    if found.root is None:
        return {"use": "texts", "prompts": list(found.texts)}
    table: dict[str, JSON] = {"use": "images", "root": _from(run_file, str(found.root))}
    table |= {"bands": list(found.bands)} if found.bands else {}
    return table | ({"scale": found.normalization.scale} if found.normalization.scale else {})


def _from(run_file: Path, place: str) -> str:
    """Return a path as a run file names it: relative to its folder, if it was relative before."""
    if "://" in place or Path(place).is_absolute():
        return place
    return Path(os.path.relpath(place, run_file.parent)).as_posix()


def _check(text: str, path: Path, registry: Registry, pool_is_there: bool) -> None:
    """Refuse to write what a run would refuse.

    Raises:
        ConfigError: As the run.
    """
    run_file = replace(RunFile.load(tomllib.loads(text)), name=path.name, base=path.parent)
    workbench = Workbench(run_file, registry, Context())
    check_chain(workbench)
    if pool_is_there:
        check_pool_model(workbench)
