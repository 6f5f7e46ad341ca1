"""What a verification finds, and the words for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import JsonValue

KindOfFolder: TypeAlias = Literal["run", "dataset", "pool"]
Progress: TypeAlias = Callable[[int, int], None]
"""Called with the bytes that were checked, and those that there are to check."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is not what a record, or another file, says.

    Attributes:
        where: The file or folder, relative to what was verified, with forward slashes.
        what: What is wrong with it; it follows the name: ``its content has changed``.
    """

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True, slots=True)
class Checked:
    """How much was checked.

    Attributes:
        files: Files that were compared with what vouches for them.
        bytes: Their bytes.
        rows: Rows of tables that were read.
    """

    files: int
    bytes: int
    rows: int


@dataclass(frozen=True, slots=True)
class Verification:
    """What a run, a dataset or a pool was found to be.

    Attributes:
        path: The folder.
        kind: What it is.
        checked: How much of it was checked.
        faults: What is wrong; empty if everything is what its records say.
        notes: What nothing vouches for, and so nobody can check.
    """

    path: Path
    kind: KindOfFolder
    checked: Checked
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        """Whether no fault was found."""
        return not self.faults

    def dump(self) -> dict[str, JsonValue]:
        """Return it as plain JSON: what ``laion-eo verify --json`` prints."""
        return {
            "path": str(self.path),
            "kind": self.kind,
            "sound": self.is_sound,
            "checked": asdict(self.checked),
            "faults": [asdict(fault) for fault in self.faults],
            "notes": list(self.notes),
        }


@dataclass
class Findings:
    """What is found while the checks of one folder run, one after the other.

    Attributes:
        root: The folder that is verified: every name in a fault starts there.
        thorough: Whether all bytes are hashed, whatever that costs.
        progress: Told of every file that was checked.
        total: Bytes that there are to check.
    """

    root: Path
    thorough: bool = True
    progress: Progress | None = None
    total: int = 0
    files: int = 0
    bytes: int = 0
    rows: int = 0
    _faults: dict[Fault, None] = field(default_factory=dict)
    _faulty: set[str] = field(default_factory=set)
    _notes: dict[str, None] = field(default_factory=dict)

    def fault(self, path: Path | str, what: str) -> None:
        """Note a fault, once.

        Args:
            path: The file or folder; a string is a name below the root already.
            what: What is wrong with it, to follow its name.
        """
        name = self.name(path)
        self._faults[Fault(name, what)] = None
        self._faulty.add(name)

    def note(self, text: str) -> None:
        """Note something that nothing vouches for, once."""
        self._notes[text] = None

    def name(self, path: Path | str) -> str:
        """Return the name of a file as faults have it."""
        if isinstance(path, str):
            return path
        return path.relative_to(self.root).as_posix() if path != self.root else str(path)

    def is_faulty(self, path: Path | str) -> bool:
        """Tell whether a fault of this file or folder is known."""
        return self.name(path) in self._faulty

    def checked(self, size: int) -> None:
        """Count a file that was compared with what vouches for it."""
        self.files += 1
        self.bytes += size
        if self.progress is not None:
            self.progress(self.bytes, max(self.bytes, self.total))

    def result(self, kind: KindOfFolder) -> Verification:
        """Return what was found."""
        return Verification(
            self.root,
            kind,
            Checked(self.files, self.bytes, self.rows),
            tuple(self._faults),
            tuple(self._notes),
        )
