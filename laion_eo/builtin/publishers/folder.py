"""Publisher ``folder``: the dataset stays on disk."""

from __future__ import annotations

from laion_eo.component import ComponentConfig
from laion_eo.config import RunPath
from laion_eo.errors import ConfigError
from laion_eo.files import replaced_folder
from laion_eo.fingerprint import fingerprint
from laion_eo.hub.publishable import copy_checked
from laion_eo.kinds import Publisher, Release


class Folder(Publisher):
    """Leaves the dataset in the run directory, and copies it where the run file says."""

    name = "folder"
    summary = "a folder of parquet files and a card"

    class Config(ComponentConfig):
        """Options.

        Attributes:
            path: Where to copy the dataset; by default it stays in the run directory alone.
        """

        path: RunPath | None = None

    config: Config

    def publish(self, release: Release) -> str:
        """Copy the dataset, and nothing else that lies in its folder; return a hash of its files.

        Raises:
            ConfigError: ``path`` holds anything but an older copy of the same configuration.
            DataError: A file of the dataset is gone, is a link or was changed.
        """
        target = self.config.path
        if target is not None:
            ours = {path.partition("/")[0] for path in release.paths()}
            if target.exists() and (other := {path.name for path in target.iterdir()} - ours):
                raise ConfigError(
                    f"{target}: publisher.path holds {sorted(other)[0]!r}, which is not of this "
                    f"dataset's {release.config}; name a folder of its own."
                )
            with replaced_folder(target) as aside:
                copy_checked(release, aside)
        return fingerprint({record.path: record.sha256 for record in release.files})
