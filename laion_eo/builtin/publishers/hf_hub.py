"""Publisher ``hf-hub``: the dataset goes to the Hugging Face Hub."""

from __future__ import annotations

from laion_eo.component import ComponentConfig
from laion_eo.hub.releasing import ReleaseOptions, Releaser
from laion_eo.kinds import Publisher, Release


class HfHub(Publisher):
    """Releases to the Hub at the end of the run, as ``laion-eo release`` does later."""

    name = "hf-hub"
    summary = "a dataset repository on the Hugging Face Hub"

    class Config(ReleaseOptions, ComponentConfig):
        """Options of a release; the token comes from the Hub's login or ``HF_TOKEN``."""

    config: Config

    def publish(self, release: Release) -> str:
        """Release the dataset and return the commit.

        Raises:
            ConfigError: The tag is taken, or the Hub refuses the token, the rights or the card.
            DataError: A row's URL may not be published; the Hub has been asked nothing.
            RunError: The Hub fails or cannot be reached.
        """
        return Releaser(self.config).release(release).commit
