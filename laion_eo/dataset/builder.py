"""The dataset builder: LAION-EO as it was published (CSV), or a release of laion-eo (parquet).

``hf_dataset/laion_eo.py`` is this file with the schema written out (see
:mod:`laion_eo.dataset.script`). So it must import nothing of laion_eo but the schema, and only one
module a line, because datasets 3 parses the imports of scripts line by line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import datasets  # noqa: TID253 - a builder must derive from its base; this module is loaded on use
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
from huggingface_hub import HfApi, errors  # noqa: TID253 - likewise

from laion_eo.schema import PUBLISHED

NAME = "laion_eo"
PUBLISHED_REPO = "mikonvergence/LAION-EO"
PUBLISHED_COMMIT = "269a6a907ee42fd09c4db165121a8cd763c0b195"
"""The commit of 21 September 2023 that uploaded ver-0 and ver-1; no later one changed them.

The hash covers all files, including the SHA-256 that the Hub stores of each large one.
"""
PUBLISHED_ROWS = {"ver-0": 24_933, "ver-1": 112_985}
SHA256_DIGITS = 64
CSV_BLOCK = 2**20
"""Bytes parsed at a time; no row of the CSV may be longer."""


class DamagedFileError(ValueError):
    """A downloaded file, or the copy of it in the Hub's cache, differs from the Hub's."""


@dataclass
class LaionEOConfig(datasets.BuilderConfig):  # type: ignore[misc] # datasets is untyped
    """Where the rows of one configuration come from.

    Attributes:
        repo: Dataset repository of the Hub, with parquet or CSV files in a folder named as the
            configuration. By default the one that the paper's authors published.
        tag: Tag, branch or commit of the repository; by default ``main``, and for the published
            repository the commit that published ver-0 and ver-1. The cache of datasets keeps what
            a branch held when it was first loaded.
        rows: Number of rows that the configuration must have; ``None`` if it is not known.
    """

    repo: str = PUBLISHED_REPO
    tag: str | None = None
    rows: int | None = None

    @property
    def revision(self) -> str:
        """``tag``, or its default."""
        return self.tag or (PUBLISHED_COMMIT if self.repo == PUBLISHED_REPO else "main")

    @property
    def wanted_rows(self) -> int | None:
        """``rows``, or for the published files the number that the paper reports."""
        published = self.repo == PUBLISHED_REPO and self.data_files is None
        return self.rows or (PUBLISHED_ROWS.get(self.name) if published else None)


class LaionEO(datasets.ArrowBasedBuilder):  # type: ignore[misc] # datasets is untyped
    """LAION-EO, one row per image: links and measurements, not the images.

    Downloaded files, and what the cache has of them, are compared with the hashes that the Hub
    stores, and the rows of the published files are counted; streamed files are not checked.

    Examples:
        >>> builder = LaionEO(config_name="ver-1")  # doctest: +SKIP
        >>> builder.download_and_prepare()  # doctest: +SKIP
        >>> builder.as_dataset(split="train")  # doctest: +SKIP
    """

    VERSION = datasets.Version("1.0.0")
    BUILDER_CONFIG_CLASS = LaionEOConfig
    BUILDER_CONFIGS = [  # noqa: RUF012 - datasets' way
        LaionEOConfig(
            name="ver-0",
            version=VERSION,
            description="24,933 images, thresholds fitted on their own matches",
        ),
        LaionEOConfig(
            name="ver-1",
            version=VERSION,
            description="112,985 images, with the thresholds of ver-0",
        ),
    ]

    def __init__(self, *args: Any, dataset_name: str | None = None, **kwargs: Any) -> None:
        super().__init__(*args, dataset_name=dataset_name or NAME, **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            description="Images of the Earth from space and their captions, found in LAION-5B.",
            features=datasets.Features.from_arrow_schema(PUBLISHED),
            homepage=f"{datasets.config.HF_ENDPOINT}/datasets/{self.config.repo}",
            license="cc-by-4.0",
        )

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        files = self.fetch(dl_manager)
        self._sources = ", ".join(files)
        arguments = {"files": list(files.values())}
        return [datasets.SplitGenerator(name=datasets.Split.TRAIN, gen_kwargs=arguments)]

    def fetch(self, dl_manager: Any) -> dict[str, str]:
        """Download the files of this configuration; return their paths by their URLs.

        Raises:
            FileNotFoundError: The repository has no such revision or files.
            DamagedFileError: A file differs from the Hub's.
        """
        if self.config.data_files is not None:
            known = dict.fromkeys(self.config.data_files["train"])
        else:
            known = self._files_of_the_repo()
        files = dl_manager.download(list(known))
        if not dl_manager.is_streaming:
            _check_hashes(dict(zip(files, known.values(), strict=True)), self.config.repo)
        return dict(zip(known, files, strict=True))

    def _files_of_the_repo(self) -> dict[str, str | None]:
        """Return the files of this configuration, pinned to a commit, with their hashes.

        Those are SHA-256 for large files, and git's for others.
        """
        repo, revision, name = self.config.repo, self.config.revision, self.config.name
        api = HfApi(endpoint=datasets.config.HF_ENDPOINT, token=self.token)
        try:
            commit = api.repo_info(repo, repo_type="dataset", revision=revision).sha
        except errors.RevisionNotFoundError:
            raise FileNotFoundError(
                f"The dataset repository {repo} has no revision {revision!r}."
            ) from None
        try:
            tree = list(api.list_repo_tree(repo, name, repo_type="dataset", revision=commit))
        except errors.EntryNotFoundError:
            tree = []
        for ending in (".parquet", ".csv"):
            found: list[Any] = [entry for entry in tree if entry.path.endswith(ending)]
            if found:
                return {
                    f"hf://datasets/{repo}@{commit}/{entry.path}": (
                        entry.lfs.sha256 if entry.lfs else entry.blob_id
                    )
                    for entry in sorted(found, key=lambda entry: entry.path)
                }
        raise FileNotFoundError(
            f"The dataset repository {repo} has no {name}/*.parquet or {name}/*.csv at "
            f"{revision!r}."
        )

    def _download_and_prepare(self, *args: Any, **kwargs: Any) -> None:
        super()._download_and_prepare(*args, **kwargs)
        wanted = self.config.wanted_rows
        found = self.info.splits["train"].num_examples
        if wanted not in (None, found):
            raise ValueError(
                f"{self._sources}: {found:,} rows, but {self.config.name} has {wanted:,}: the file "
                "was changed or truncated. Load it with force_redownload, or another revision."
            )

    def _generate_tables(self, files: list[str]) -> Iterator[tuple[str, pa.Table]]:
        for number, file in enumerate(files):
            # For streaming, datasets replaces open() by a function that reads hf:// URLs.
            with open(file, "rb") as stream:  # noqa: PTH123
                batches = _parquet if file.endswith(".parquet") else _csv
                try:
                    for index, batch in enumerate(batches(stream)):
                        yield f"{number}_{index}", pa.Table.from_batches([batch]).cast(PUBLISHED)
                except (pa.ArrowInvalid, KeyError) as error:
                    raise ValueError(f"{file}: not a table of LAION-EO: {error}") from error


def _parquet(stream: Any) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a parquet file, in the published order of the columns."""
    for batch in pa_parquet.ParquetFile(stream).iter_batches():
        yield batch.select(PUBLISHED.names)


def _csv(stream: Any) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a CSV file as pandas writes it.

    An empty cell without quotes is a missing value (pandas writes empty strings like that, too);
    ``""`` is an empty string. Words such as "NA", "null" or "nan" are captions, not missing values.
    """
    yield from pa_csv.open_csv(
        stream,
        read_options=pa_csv.ReadOptions(block_size=CSV_BLOCK),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            column_types=PUBLISHED,
            include_columns=PUBLISHED.names,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def _check_hashes(files: dict[str, str | None], repo: str) -> None:
    """Compare the downloaded files with the hashes that the Hub stores of them."""
    for path, wanted in files.items():
        if wanted is None:
            continue
        name = "SHA-256" if len(wanted) == SHA256_DIGITS else "git hash"
        with open(path, "rb") as stream:  # noqa: PTH123 - as above
            digest = hashlib.sha256() if name == "SHA-256" else _git_digest(stream)
            while chunk := stream.read(CSV_BLOCK):
                digest.update(chunk)
        found = digest.hexdigest()
        if found != wanted:
            raise DamagedFileError(
                f"{path}: its {name} is {found}, but that of the file in {repo} is {wanted}: the "
                "download was damaged. Delete the file and load again."
            )


def _git_digest(stream: Any) -> Any:
    """Return what git hashes before the content of a file."""
    size = stream.seek(0, 2)
    stream.seek(0)
    return hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
