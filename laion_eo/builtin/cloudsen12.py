"""placeholder: written next."""

from laion_eo.kinds import AnchorSource


class CloudSEN12(AnchorSource):
    name = "cloudsen12"
    summary = "CloudSEN12, the paper's anchors"

    def anchors(self):
        raise AssertionError
