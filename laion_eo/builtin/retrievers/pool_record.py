"""What a pool says of itself: ``index.json``, as ``laion-eo index`` writes it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from laion_eo.builtin.retrievers.storage import Folder
from laion_eo.errors import DataError
from laion_eo.kinds import PoolModel

INDEX = "index.json"


class PoolRecord(BaseModel):
    """The keys of ``index.json`` that a run reads; all others are let be.

    Attributes:
        model_id: The model that made the vectors.
        dim: Their length.
        weights_sha256: Hash of the model's weights.
        before_re_laion: Whether the pool was made before Re-LAION removed links to illegal content.
    """

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    model_id: str | None = None
    dim: int | None = None
    weights_sha256: str | None = None
    before_re_laion: bool = False

    def model_of(self, dim: int | None = None) -> PoolModel:
        """Return what made the vectors.

        Args:
            dim: Their length, where the vectors themselves say it.
        """
        return PoolModel(self.model_id, self.dim if dim is None else dim, self.weights_sha256)


def read_record(folder: Folder) -> PoolRecord:
    """Read a pool's record; one without says nothing.

    Raises:
        DataError: It is damaged, or not a pool's.
    """
    stored = folder.file(INDEX)
    if stored is None:
        return PoolRecord()
    try:
        with stored.open() as stream:
            return PoolRecord.model_validate_json(stream.read())
    except ValidationError as error:
        fault = error.errors()[0]
        reason = f"{'.'.join(map(str, fault['loc'])) or 'JSON'}: {fault['msg']}"
    except OSError as error:
        reason = str(error)
    raise DataError(f"{stored}: not a pool's index.json: {reason}.")
