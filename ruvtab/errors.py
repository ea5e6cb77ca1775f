"""What can go wrong, each with the fix in its message."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class RuvtabError(Exception):
    """Any error that a user can mend."""


class ConfigError(RuvtabError):
    """A setting is wrong or two settings contradict each other."""


class CapacityError(RuvtabError):
    """More examples are asked for than the pack can say."""


class OutputError(RuvtabError):
    """A file or folder cannot be written, or is not what it should be."""


class DataError(RuvtabError):
    """A file of labelled texts cannot be read, or a column is not in it."""


class Fault(NamedTuple):
    """One thing that is wrong in a user's file; `line` 0 means the whole file."""

    file: Path
    line: int
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else f"{self.file}"
        return f"{place}: {self.message}"


class PackError(RuvtabError):
    """A pack has faults; `faults` holds every one found, in file and line order."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = sorted(set(faults))
        n = len(self.faults)
        super().__init__("\n".join([f"{n} fault{'s' * (n != 1)} in the pack:", *map(str, self.faults)]))

    def __reduce__(self) -> tuple[type[PackError], tuple[list[Fault]]]:
        return type(self), (self.faults,)
