"""The bare name in a checkout, where a folder of that name hides the cache of datasets.

``load_dataset("laion_eo", ...)`` opens a folder of that name before it asks the Hub: the package at
the root, or ``hf_dataset/laion_eo`` in ``hf_dataset``. Each has a README.md whose head names the
published data files on the Hub. A pull also keeps those files in the checkout, where git ignores
them, and writes a ``.huggingface.yaml`` beside each README.md, which datasets prefers to it.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

import yaml

from laion_eo.dataset.features import dataset_info
from laion_eo.files import replaced_folder, write_atomically
from laion_eo.hub.cards import BARE_NAME, CARD, CardHead, ConfigEntry, DataFiles, join_card

PULLED = ".huggingface.yaml"
DATA = Path("hf_dataset") / BARE_NAME
"""The folder in which a checkout keeps pulled files, one subfolder for each configuration."""
FOLDERS = (DATA, Path(BARE_NAME))
"""The folders that the bare name means in ``hf_dataset`` and at the root."""
_CARD_TEXT = f"""
# LAION-EO

Where this folder lies in the working directory, `load_dataset("{BARE_NAME}", "ver-1")` reads the
head of this file. `python -m laion_eo.dataset.script hf_dataset` writes it; do not edit.
"""


def card() -> str:
    """Return the README.md of the folders that the bare name means in a checkout."""
    from laion_eo.dataset.builder import PUBLISHED_ROWS

    infos = tuple(dataset_info(name, rows) for name, rows in PUBLISHED_ROWS.items())
    return join_card(CardHead(configs=_configs(()), dataset_info=infos), _CARD_TEXT)


def find_checkout(folder: Path) -> Path | None:
    """Return the root of the checkout that a folder lies in; ``None`` if it lies in none."""
    for root in (folder, *folder.parents):
        if all((root / name / CARD).is_file() for name in FOLDERS):
            return root
    return None


def keep(checkout: Path, config: str, files: Mapping[str, Path]) -> Path:
    """Copy the published files of a configuration into a checkout, where the bare name reads them.

    Args:
        checkout: Its root.
        config: The configuration; an older copy of it is replaced.
        files: CSV files by their new names.

    Returns:
        Their folder in the checkout.
    """
    home = checkout / DATA
    with replaced_folder(home / config) as aside:
        for name, path in files.items():
            shutil.copyfile(path, aside / name)
    kept = {path.parent.name for path in home.glob("*/*.csv")}
    text = yaml.safe_dump(CardHead(configs=_configs(kept)).dump(), sort_keys=False)
    for folder in FOLDERS:
        write_atomically(checkout / folder / PULLED, text.encode())
    return home / config


def _configs(kept: Collection[str]) -> tuple[ConfigEntry, ...]:
    """Describe the configurations for datasets' own CSV reader.

    Its options make it read as :func:`laion_eo.dataset.builder._csv` does. Configurations that are
    kept come first: datasets looks for the files of the first one whichever it loads, and those of
    the others may be unavailable. Both folders read the paths; a pattern that matches nothing is
    ignored.
    """
    from laion_eo.dataset.builder import PUBLISHED_COMMIT, PUBLISHED_REPO, PUBLISHED_ROWS

    def files(name: str) -> DataFiles:
        if name in kept:
            here, there = f"{name}/*.csv", f"../{DATA.as_posix()}/{name}/*.csv"
            return DataFiles(split="train", path=(here, there))
        hub = f"hf://datasets/{PUBLISHED_REPO}@{PUBLISHED_COMMIT}"
        return DataFiles(split="train", path=f"{hub}/{name}/*.csv")

    return tuple(
        ConfigEntry(
            config_name=name,
            data_files=(files(name),),
            keep_default_na=False,
            na_values=("",),
            float_precision="round_trip",
        )
        for name in sorted(PUBLISHED_ROWS, key=lambda name: (name not in kept, name))
    )
