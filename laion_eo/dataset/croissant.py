"""Croissant: the metadata of a dataset's files, for machines (https://mlcommons.org/croissant)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from laion_eo.dataset.features import dtype
from laion_eo.fingerprint import file_sha256
from laion_eo.hub.cards import split_card
from laion_eo.schema import PUBLISHED_COLUMNS
from laion_eo.types import JSON

VERSION = "http://mlcommons.org/croissant/1.0"
_TYPES = {
    "int64": "sc:Integer", "int32": "sc:Integer", "float64": "sc:Float", "string": "sc:Text"
}  # fmt: skip
_CONTEXT: dict[str, JSON] = {
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


def croissant(config: str, files: Sequence[Path], card: str) -> dict[str, JSON]:
    """Return the Croissant metadata of one configuration, as JSON-LD.

    Args:
        config: Name of the datasets configuration.
        files: Its parquet files; named relative to the folder above theirs, where the
            metadata is.
        card: The dataset card, whose head has the licence and the title.
    """
    head, _ = split_card(card)
    objects = [
        {
            "@type": "cr:FileObject",
            "@id": path.name,
            "name": path.name,
            "contentUrl": f"{path.parent.name}/{path.name}",
            "encodingFormat": "application/x-parquet",
            "sha256": file_sha256(path),
        }
        for path in files
    ]
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": VERSION,
        "name": f"{head['pretty_name']} {config}",
        "description": "Links to images found on the web with an anchor dataset, their captions "
        "and what was measured of both. The images themselves are not part of it.",
        "license": head["license"],
        "citeAs": "Czerkawski and Francis, From LAION-5B to LAION-EO: Filtering Billions of Images "
        "Using Anchor Datasets for Satellite Image Extraction, arXiv:2309.15535, 2023",
        "version": "1.0.0",
        "distribution": objects,
        "recordSet": [_record_set(path, len(files)) for path in files],
    }


def _record_set(path: Path, shards: int) -> dict[str, JSON]:
    """Describe the rows of one file."""
    name = "train" if shards == 1 else f"train-{path.name.split('-')[1]}"
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{name}/{column.name}",
                "name": column.name,
                "description": f"{column.meaning}{f' ({column.unit})' if column.unit else ''}",
                "dataType": _TYPES[dtype(column.type)],
                "source": {"fileObject": {"@id": path.name}, "extract": {"column": column.name}},
            }
            for column in PUBLISHED_COLUMNS
        ],
    }


def write_croissant(path: Path, config: str, files: Sequence[Path], card: str) -> None:
    """Write the Croissant metadata beside the folder of files that it describes."""
    text = json.dumps(croissant(config, files, card), indent=1, ensure_ascii=False)
    path.write_text(f"{text}\n", "utf-8")
