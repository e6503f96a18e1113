"""Zip archives that may be damaged, or made to fill the memory."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path

from ..errors import CheckpointError
from .budget import Budget

_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,  # a way of packing that Python lacks
    RuntimeError,  # a password
    LookupError,
    OSError,
    ValueError,
    OverflowError,
)
"""What zipfile raises for a damaged archive, or for another kind of file."""


class Archive:
    """An archive whose bytes are at hand.

    Args:
        path: the file, for the texts of errors.
        kind: whose file it should be.
        budget: what its parts may become.
    """

    def __init__(self, path: str, kind: str, content: bytes, budget: Budget) -> None:
        self.path: str = path
        self.kind: str = kind
        self.budget: Budget = budget
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(content))
            self.names: list[str] = self._archive.namelist()
        except _BROKEN as error:
            raise damaged(path, kind, error) from error

    def read(self, name: str) -> bytes:
        """A part of it.

        Raises:
            CheckpointError: it is missing or damaged, or unpacks to more than so small a file should hold.
        """
        try:
            self.budget.take(self._archive.getinfo(name).file_size, name)
            return self._archive.read(name)
        except CheckpointError:
            raise
        except _BROKEN as error:
            raise damaged(self.path, self.kind, error) from error


def damaged(path: str, kind: str, why: object) -> CheckpointError:
    """The error for what is no whole file of a kind."""
    return CheckpointError(
        f"{path} is not a whole {kind} file ({why}): it was cut "
        "short, or another program made it; take another copy"
    )


def content_of(path: str) -> bytes:
    """The bytes of a file.

    Raises:
        CheckpointError: it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error
