"""Croissant: the metadata of a dataset's files, for machines (https://mlcommons.org/croissant)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    model_serializer,
)
from pydantic.alias_generators import to_camel

from laion_eo.dataset.features import dtype
from laion_eo.dataset.receipt import said_in_card
from laion_eo.fingerprint import file_sha256
from laion_eo.hub.cards import split_card
from laion_eo.schema import PUBLISHED_COLUMNS

_LIMITATIONS = "rai:dataLimitations"
VERSION = "http://mlcommons.org/croissant/1.0"
_TYPES = {
    "int64": "sc:Integer", "int32": "sc:Integer", "float64": "sc:Float", "string": "sc:Text"
}  # fmt: skip
_CONTEXT: dict[str, JsonValue] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def _json_key(name: str) -> str:
    return f"@{name}" if name in ("context", "id", "type") else to_camel(name)


class _Node(BaseModel):
    """A JSON-LD object; its keys are the attributes' names in camel case, or begin with ``@``."""

    model_config = ConfigDict(frozen=True, alias_generator=_json_key, populate_by_name=True)


class Reference(_Node):
    """A reference to another node."""

    id: str


class Extract(_Node):
    """What is read from a file: one of its columns."""

    column: str


class Source(_Node):
    """Where the values of a field come from."""

    file_object: Reference
    extract: Extract


class DataField(_Node):
    """A column of the rows."""

    type: str = "cr:Field"
    id: str
    name: str
    description: str
    data_type: str
    source: Source


class RecordSet(_Node):
    """The rows of one file."""

    type: str = "cr:RecordSet"
    id: str
    name: str
    field: list[DataField]


class FileObject(_Node):
    """A parquet file, by its path relative to the metadata."""

    type: str = "cr:FileObject"
    id: str
    name: str
    content_url: str
    encoding_format: str = "application/x-parquet"
    sha256: str


class Croissant(_Node):
    """The metadata of one configuration of a dataset.

    Attributes:
        data_limitations: What the receipt on the card says; left out of the file without one.
    """

    context: dict[str, JsonValue] = _CONTEXT
    type: str = "sc:Dataset"
    conforms_to: str = VERSION
    name: str
    description: str
    license: str | tuple[str, ...] | None
    cite_as: str
    version: str = "1.0.0"
    distribution: list[FileObject]
    record_set: list[RecordSet]
    data_limitations: str | None = Field(default=None, alias=_LIMITATIONS)

    @model_serializer(mode="wrap")
    def _without_nothing(self, dump: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        found: dict[str, JsonValue] = dump(self)
        names = (_LIMITATIONS, "data_limitations")
        return {key: value for key, value in found.items() if key not in names or value is not None}


def croissant(config: str, files: Sequence[Path], card: str) -> Croissant:
    """Return the Croissant metadata of one configuration.

    Args:
        config: Name of the datasets configuration.
        files: Its parquet files; named relative to the folder above theirs, which is where the
            metadata goes.
        card: The dataset card, whose head has the licence and the title.

    Raises:
        ConfigError: The head of the card is not valid.
    """
    head, body = split_card(card)
    return Croissant(
        name=f"{head.pretty_name} {config}",
        description="Links to images found on the web with an anchor dataset, their captions "
        "and what was measured of both. The images themselves are not part of it.",
        license=head.license,
        cite_as="Czerkawski and Francis, From LAION-5B to LAION-EO: Filtering Billions of Images "
        "Using Anchor Datasets for Satellite Image Extraction, arXiv:2309.15535, 2023",
        distribution=[_file_object(path) for path in files],
        record_set=[_record_set(path, len(files)) for path in files],
        data_limitations=said_in_card(body),
    )


def _file_object(path: Path) -> FileObject:
    return FileObject(
        id=path.name,
        name=path.name,
        content_url=f"{path.parent.name}/{path.name}",
        sha256=file_sha256(path),
    )


def _record_set(path: Path, shards: int) -> RecordSet:
    """Describe the rows of one file."""
    name = "train" if shards == 1 else f"train-{path.name.split('-')[1]}"
    fields = [
        DataField(
            id=f"{name}/{column.name}",
            name=column.name,
            description=f"{column.meaning}{f' ({column.unit})' if column.unit else ''}",
            data_type=_TYPES[dtype(column.type)],
            source=Source(file_object=Reference(id=path.name), extract=Extract(column=column.name)),
        )
        for column in PUBLISHED_COLUMNS
    ]
    return RecordSet(id=name, name=name, field=fields)


def write_croissant(path: Path, config: str, files: Sequence[Path], card: str) -> None:
    """Write the Croissant metadata beside the folder of files that it describes."""
    metadata = croissant(config, files, card).model_dump(by_alias=True)
    text = json.dumps(metadata, indent=1, ensure_ascii=False)
    path.write_text(f"{text}\n", "utf-8")
