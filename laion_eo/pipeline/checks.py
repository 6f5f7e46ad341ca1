"""What is checked of a whole run before any work, beyond the options of each component."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from laion_eo.component import require_packages
from laion_eo.errors import ConfigError, did_you_mean
from laion_eo.kinds import (
    Downloader,
    Embedder,
    Filter,
    FittedScorer,
    PoolModel,
    Retriever,
    Scorer,
)
from laion_eo.kinds.contract import check_columns, check_model, check_needs
from laion_eo.pipeline.manifest import StageRecord
from laion_eo.pipeline.workbench import Workbench
from laion_eo.registry import Registry
from laion_eo.schema import DOWNLOADED, SCORED, TAKEN


def check_chain(workbench: Workbench) -> None:
    """Refuse a scorer or a filter whose column no earlier part of the run makes, or two make.

    Raises:
        ConfigError: The message names the part, the column, and what would make it; or a filter
            cannot judge a column of that type.
    """
    where = workbench.run_file.name
    owners = dict.fromkeys(TAKEN, "every run")
    made: list[pa.Field] = []
    numbered = list(enumerate(workbench.all(Scorer), 1))
    # Fitted scorers come after the others, whatever the order in the run file.
    for index, scorer in sorted(numbered, key=lambda one: isinstance(one[1], FittedScorer)):
        place = f"{where}: [[scorers]] {index}: {scorer.name!r} ({scorer.provider})"
        fitted = isinstance(scorer, FittedScorer)
        known = [*DOWNLOADED.names, *(field.name for field in made if fitted)]
        for name in check_needs(scorer, scorer.needs()):
            if name not in known:
                near = did_you_mean(name, known)
                lacks = "no scorer before it makes" if fitted else "no download has"
                raise ConfigError(f"{place} needs {name!r}, which {lacks}.{near}")
        if isinstance(scorer, FittedScorer):
            _check_anchors_have(workbench, scorer, place)
        for name in check_columns(scorer, scorer.columns).names:
            if name in owners:
                twin = owners[name] == repr(scorer.name) and "column" in scorer.Config.model_fields
                hint = ' Give one of them another: column = "…".' if twin else ""
                raise ConfigError(
                    f"{place} makes the column {name!r}, which {owners[name]} has already.{hint}"
                )
            owners[name] = repr(scorer.name)
        made += scorer.columns
    columns = pa.schema([*SCORED, *made])
    there = set(columns.names)
    for index, filter_ in enumerate(workbench.all(Filter), 1):
        missing = [name for name in check_needs(filter_, filter_.needs()) if name not in there]
        if missing:
            hints = "; ".join(_hint(name, there, workbench.registry) for name in missing)
            raise ConfigError(f"{where}: [[filters]] {index}: {filter_.name} needs {hints}.")
        _check_anchors_have(workbench, filter_, f"{where}: [[filters]] {index}: {filter_.name}")
        try:
            filter_.check_model(str(workbench.one(Embedder).model_id))
            filter_.check_columns(columns)
        except ConfigError as error:
            raise ConfigError(f"{where}: [[filters]] {index}: {error}") from None


def _check_anchors_have(workbench: Workbench, part: Filter | FittedScorer, place: str) -> None:
    """Refuse what is to be fitted to scores that the anchors do not get."""
    scorers = workbench.all(Scorer)
    own = {name for one in scorers if one.scores_anchors for name in one.columns.names}
    for name in check_needs(part, part.needs_of_anchors()):
        if name not in own:
            raise ConfigError(
                f"{place} is fitted to the anchors' own {name!r}, which no scorer gives them: "
                "choose another column, or another fit."
            )


def _hint(column: str, there: Iterable[str], registry: Registry) -> str:
    """Return a column's name, and what would make it."""
    makers = [
        entry.cls.name
        for entry in registry.entries
        if issubclass(entry.cls, Scorer)
        # A scorer whose options decide has no schema before it is built.
        and isinstance(entry.cls.columns, pa.Schema)
        and column in entry.cls.columns.names
    ]
    if makers:
        uses = " or ".join(f'use = "{name}"' for name in makers)
        return f"{column!r}: add [[scorers]] {uses}"
    near = did_you_mean(column, there).rstrip("?").strip()
    return f"{column!r}, which no installed scorer makes" + (f" ({near}?)" if near else "")


def check_allow_list(workbench: Workbench) -> None:
    """Refuse a pool from before Re-LAION without an allow-list or a stated reason.

    Raises:
        ConfigError: Neither is there.
    """
    retriever = workbench.one(Retriever)
    listed = getattr(workbench.one(Downloader).config, "allow_list", None)
    because = retriever.config.no_allow_list_because.strip()
    if retriever.before_re_laion() and not listed and not because:
        raise ConfigError(
            f"{workbench.run_file.name}: [retriever]: the pool is marked as made before Re-LAION, "
            "so it may link to illegal content. Give [downloader] allow_list = a Parquet table of "
            "what is allowed (column url, md5 or sha256; Re-LAION's rows, say), or say why not: "
            '[retriever] no_allow_list_because = "...", which is recorded.'
        )


def check_engine(workbench: Workbench) -> None:
    """Refuse an engine whose package is not installed.

    Raises:
        ConfigError: The message has the command that installs it.
    """
    if workbench.config.engine.use == "ray":
        require_packages(f"{workbench.run_file.name}: [engine] ray", ["ray"], "laion-eo[ray]")


def check_pool_model(workbench: Workbench) -> None:
    """Refuse an embedder whose vectors are not of the space of the pool's, as far as is known.

    Raises:
        ConfigError: It is another model than the pool records, or of another dimension.
    """
    embedder = workbench.one(Embedder)
    mine = check_model(embedder, PoolModel(embedder.model_id, embedder.known_dim()))
    _check_same(workbench, mine)


def check_pool_vectors(workbench: Workbench) -> None:
    """Refuse options that need the pool's vectors where the retriever has none.

    Raises:
        ConfigError: It has none.
    """
    retriever = workbench.one(Retriever)
    if retriever.config.needs_vectors() and not retriever.has_vectors():
        options = "hops" if retriever.config.hops > 1 else "distinct"
        raise ConfigError(
            f"{workbench.run_file.name}: [retriever] {options} needs the vectors of the pool, "
            f"which {retriever.name!r} does not have: use exact-scan, or faiss with an index that "
            "keeps them, or leave it out."
        )


def check_pool_weights(workbench: Workbench, anchors: StageRecord | None, dim: int) -> None:
    """Refuse a pool that was made with other weights, as soon as the run's are known.

    Args:
        workbench: The run's components.
        anchors: The record of the stage that embedded the anchors; its facts have the hash.
        dim: Length of the anchors' vectors.

    Raises:
        ConfigError: As :func:`check_pool_model`, or the hash of the weights is another.
    """
    embedder = workbench.one(Embedder)
    facts = anchors.facts.get(embedder.name, {}) if anchors else {}
    sha256 = facts.get("weights_sha256")
    mine = PoolModel(embedder.model_id, dim, sha256 if isinstance(sha256, str) else None)
    _check_same(workbench, check_model(embedder, mine))


def _check_same(workbench: Workbench, mine: PoolModel) -> None:
    """Raise where pool and embedder both say something, and not the same."""
    retriever = workbench.one(Retriever)
    pool = check_model(retriever, retriever.pool_model())
    differs = None
    if _differ(pool.model_id, mine.model_id) or _differ(pool.dim, mine.dim):
        differs = f"{pool}, but [embedder] {workbench.one(Embedder).name} is {mine}"
    elif _differ(pool.weights_sha256, mine.weights_sha256):
        differs = (
            f"{pool} with weights of SHA-256 {pool.weights_sha256}, but [embedder] "
            f"{workbench.one(Embedder).name} has weights of that name with {mine.weights_sha256}"
        )
    if differs:
        raise ConfigError(
            f"{workbench.run_file.name}: the pool of [retriever] was made with {differs}. Choose "
            "its model in [embedder], or embed the pool again with this one (laion-eo index)."
        )


def _differ(left: object, right: object) -> bool:
    return left is not None and right is not None and left != right
