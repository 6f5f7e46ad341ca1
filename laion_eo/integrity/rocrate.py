"""Exports a run as an RO-Crate: dataset and provenance in one folder, ready for a repository.

The crate conforms to RO-Crate 1.1 and Process Run Crate 0.5: each stage is an action whose
instruments are laion-eo and the plugins that it used, in the versions that made it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from laion_eo.component import require_packages
from laion_eo.dataset.croissant import VERSION as CROISSANT_PROFILE
from laion_eo.dataset.public import scrubbed
from laion_eo.errors import ConfigError
from laion_eo.file_record import FileRecord, digest_of
from laion_eo.files import replaced_folder
from laion_eo.fingerprint import fingerprint
from laion_eo.hub.cards import CROISSANT
from laion_eo.integrity.payload import DATASET, copy_payload, finished_manifest
from laion_eo.pipeline.manifest import MANIFEST, Machine, Maker, Manifest, Software, StageRecord
from laion_eo.pipeline.run_dir import RUN_FILE
from laion_eo.types import JSON

if TYPE_CHECKING:
    from rocrate.rocrate import ROCrate

VERSION = "1.1"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
PAPER = "https://arxiv.org/abs/2309.15535"
COMPLETED = "http://schema.org/CompletedActionStatus"
FORMATS = {
    ".parquet": "application/vnd.apache.parquet",
    ".json": "application/json",
    ".md": "text/markdown",
    ".toml": "application/toml",
}
_CREATIVE_COMMONS = re.compile(r"cc-(by(?:-nc)?(?:-nd|-sa)?)-(\d\.\d)", re.IGNORECASE)
ABOUT = {
    MANIFEST: "Every number of the run, and what made it: paths are shortened, secrets hidden.",
    RUN_FILE: "The run file with every default written out: paths are shortened, secrets hidden.",
}


def write_crate(run: Path, out: Path, *, tables: bool = False) -> Path:
    """Write a finished run as an RO-Crate.

    It holds ``dataset/``, ``manifest.json``, ``run.toml`` and their metadata, and no image. Two
    exports of the same run are identical.

    Args:
        run: The run directory.
        out: The folder: a new or empty one.
        tables: Add the tables of the stages, which name images that are not in the dataset.

    Returns:
        The folder.

    Raises:
        ConfigError: The package rocrate is not installed, the run is not finished, or the folder is
            in use.
        DataError: A file of the run is not what its records say, or names files of this machine.
    """
    require_packages("export --to ro-crate", ["rocrate"], "laion-eo[crate]")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ConfigError(f"{out}: is there already; name a new or empty folder with --out.")
    manifest = finished_manifest(run)
    with replaced_folder(out) as aside:
        files = copy_payload(run, manifest, aside, tables)
        makers = manifest.stages[DATASET].made_by
        written = datetime.fromtimestamp((run / MANIFEST).stat().st_mtime, UTC)
        published = (makers[-1].ended if makers else None) or written
        _Crate(manifest, files, aside, published).crate.write(aside)
    return out


class _Crate:
    """The metadata of a run whose files lie in a folder."""

    def __init__(
        self, manifest: Manifest, files: Sequence[FileRecord], folder: Path, published: datetime
    ) -> None:
        from rocrate.rocrate import ROCrate

        self._manifest, self._published = manifest, published
        self.crate: ROCrate = ROCrate(version=VERSION)
        # A term of schema.org that is younger than RO-Crate 1.1.
        self.crate.metadata.extra_terms["sha256"] = "https://schema.org/sha256"
        self._describe_root()
        self._results: dict[str, list[JSON]] = {}
        for file in files:
            self._add_file(file, folder)
        actions = [self._add_stage(*stage) for stage in manifest.stages.items()]
        self.crate.root_dataset["mentions"] = actions
        for entity in self.crate.get_entities():  # a list of one is written as that one
            said = entity.properties()
            said |= {k: v[0] for k, v in said.items() if isinstance(v, list) and len(v) == 1}

    def _entity(self, id_: str, type_: str, **properties: JSON) -> JSON:
        """Add an entity that is no file, unless it is there."""
        from rocrate.model.contextentity import ContextEntity

        there = self.crate.get(id_)
        said = {key: value for key, value in properties.items() if value not in (None, "", [])}
        entity = ContextEntity(self.crate, id_, properties={"@type": type_, **said})
        return there if there is not None else self.crate.add(entity)

    def _describe_root(self) -> None:
        options = self._manifest.resolved.dataset
        root = self.crate.root_dataset
        root["name"] = f"{options.pretty_name} {options.config}"
        root["description"] = (
            "Links to images found on the web with an anchor dataset, their captions and what was "
            "measured of both, with the provenance of the run that made it. The images themselves "
            "are not part of it."
        )
        root["datePublished"] = self._published.date().isoformat()
        root["license"] = self._entity(
            _license_url(options.license), "CreativeWork", name=options.license
        )
        root["conformsTo"] = self._entity(
            PROFILE, "CreativeWork", name="Process Run Crate", version="0.5"
        )
        root["citation"] = self._entity(
            PAPER,
            "ScholarlyArticle",
            name="From LAION-5B to LAION-EO: Filtering Billions of Images Using Anchor Datasets "
            "for Satellite Image Extraction",
        )

    def _add_file(self, file: FileRecord, folder: Path) -> None:
        path = Path(file.path)
        stage = path.parts[0] if len(path.parts) > 1 else ""
        properties: dict[str, JSON] = {
            "name": path.name,
            "description": ABOUT.get(file.path),
            "encodingFormat": FORMATS.get(path.suffix, "application/octet-stream"),
            "contentSize": str(file.bytes),
            "sha256": file.sha256,
        }
        if file.path == f"{DATASET}/{CROISSANT.format(config=self._config)}":
            properties["encodingFormat"] = "application/ld+json"
            properties["conformsTo"] = self._entity(
                CROISSANT_PROFILE, "CreativeWork", name="Croissant", version="1.0"
            )
            properties["about"] = self._folder(stage)
        kept = {key: value for key, value in properties.items() if value is not None}
        entity = self.crate.add_file(folder / file.path, dest_path=file.path, properties=kept)
        if stage:
            self._folder(stage).append_to("hasPart", entity)
            self._results.setdefault(stage, [self._folder(stage)]).append(entity)

    @property
    def _config(self) -> str:
        return self._manifest.resolved.dataset.config

    def _folder(self, stage: str) -> JSON:
        there = self.crate.get(f"{stage}/")
        if there is not None:
            return there
        what = "The dataset" if stage == DATASET else f"The table of the stage {stage}"
        properties = {
            "name": f"{self._manifest.resolved.dataset.pretty_name} {self._config}"
            if stage == DATASET
            else stage,
            "description": f"{what}: {_counted(self._manifest.stages[stage])}.",
        }
        if stage == DATASET:
            properties["license"] = self.crate.root_dataset["license"]
        return self.crate.add_dataset(dest_path=f"{stage}/", properties=properties)

    def _add_stage(self, name: str, stage: StageRecord) -> JSON:
        """Add the action that a stage was."""
        if name not in self._results:
            self._results[name] = [self._digest(name, stage)]
        inputs = [result for need in stage.inputs for result in self._results[need][:1]]
        action: dict[str, JSON] = {
            "name": f"{name}: a stage of laion-eo",
            "description": f"{_counted(stage)}. {_where(stage.made_by)}".strip(),
            "actionStatus": COMPLETED,
        }
        if stage.made_by:
            action["startTime"] = stage.made_by[0].started.isoformat()
        if stage.made_by and (ended := stage.made_by[-1].ended):
            action["endTime"] = ended.isoformat()
        return self.crate.add_action(
            list(self._instruments(stage.made_by)),
            identifier=f"#{name}",
            object=[self.crate.get(RUN_FILE), *inputs, *self._models(name, stage)],
            result=self._results[name],
            properties=action,
        )

    def _digest(self, name: str, stage: StageRecord) -> JSON:
        """Add what stands for a table that is not part of the crate."""
        return self._entity(
            f"#{name}-table",
            "PropertyValue",
            name=f"digest of the table of the stage {name}",
            description=f"{stage.parts:,} files, which are not part of this crate; {MANIFEST} has "
            "the SHA-256 of each.",
            value=digest_of(stage.files),
        )

    def _models(self, name: str, stage: StageRecord) -> Iterator[JSON]:
        """Yield the models that a stage used, as far as their components name them."""
        for component, facts in stage.facts.items():
            for fact in ("model_id", "weights_sha256"):
                if isinstance(value := facts.get(fact), str):
                    yield self._entity(
                        f"#{name}-{_slug(component)}-{fact}",
                        "PropertyValue",
                        name=f"{fact} of {component}",
                        value=scrubbed(value),
                    )

    def _instruments(self, makers: Iterable[Maker]) -> Iterator[JSON]:
        """Yield the software that made a stage, each once."""
        seen: set[str] = set()
        for maker in makers:
            for entity in (self._laion_eo(maker.software), *map(self._package, _plugins(maker))):
                if entity.id not in seen:
                    seen.add(entity.id)
                    yield entity
        if not seen:  # made before makers were recorded
            yield self._entity("#laion-eo", "SoftwareApplication", name="laion-eo")

    def _laion_eo(self, software: Software) -> JSON:
        needs = {"Python": software.python, **software.packages}
        return self._entity(
            f"#laion-eo-{software.laion_eo}-{fingerprint(software.model_dump())[:8]}",
            "SoftwareApplication",
            name="laion-eo",
            softwareVersion=software.laion_eo,
            softwareRequirements=[self._package(f"{k} {v}") for k, v in needs.items()],
        )

    def _package(self, distribution: str) -> JSON:
        """Add a package, by its name and, after a space, its version, if it has one."""
        name, _, version = distribution.rpartition(" ")
        if not name or not version[:1].isdigit():
            name, version = distribution, ""
        id_ = f"#package-{_slug(distribution)}"
        return self._entity(id_, "SoftwareApplication", name=name, softwareVersion=version)


def _plugins(maker: Maker) -> list[str]:
    """Return the distributions of a maker's components that are not laion-eo's own."""
    owners = [owner for named in maker.components.values() for owner in named.values()]
    found = dict.fromkeys(owner.distribution for owner in owners)
    return [distribution for distribution in found if distribution.split(" ")[0] != "laion-eo"]


def _counted(stage: StageRecord) -> str:
    return ", ".join(f"{what} {count:,}" for what, count in stage.counts.items())


def _where(makers: Sequence[Maker]) -> str:
    machines = dict.fromkeys(_machine(maker.machine) for maker in makers)
    return f"On {'; '.join(machines)}." if machines else ""


def _machine(machine: Machine) -> str:
    parts = [machine.processor, f"{machine.cpus} CPUs", machine.accelerator, machine.system]
    return ", ".join(part for part in (*parts, machine.architecture) if part)


def _license_url(license_: str) -> str:
    if match := _CREATIVE_COMMONS.fullmatch(license_):
        return f"https://creativecommons.org/licenses/{match[1].lower()}/{match[2]}/"
    if license_.lower() == "cc0-1.0":
        return "https://creativecommons.org/publicdomain/zero/1.0/"
    return f"#license-{_slug(license_)}"


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-")
