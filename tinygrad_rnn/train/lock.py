"""One process at a time trains in a folder."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from ..errors import CheckpointError

LEFT = re.compile(r"\.[\w-]+\.[0-9a-f]{8}\.\w+")
"""Files that a process was writing when it was killed; see ``atomic``."""


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """A block in which the folder is this process's; the system ends it with the process, however that ends.
    What killed ones left half written is removed.

    Raises:
        CheckpointError: another process has it.
    """
    try:
        descriptor = _locked(folder)
    except (BlockingIOError, FileExistsError) as error:
        raise CheckpointError(
            f"another process trains in {folder}: wait for it, or choose another folder"
        ) from error
    except OSError as error:
        raise CheckpointError(f"cannot train in {folder}: {error.strerror}; choose another folder") from error
    try:
        for path in folder.iterdir():
            if LEFT.fullmatch(path.name):
                with contextlib.suppress(OSError):
                    path.unlink()
        yield
    finally:
        os.close(descriptor)


def _locked(folder: Path) -> int:
    """A descriptor that nobody else has as long as it is open."""
    try:
        fcntl = importlib.import_module("fcntl")
    except ImportError:  # Windows: a file that goes when it is closed
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_TEMPORARY", 0)
        return os.open(folder / ".lock", flags)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
