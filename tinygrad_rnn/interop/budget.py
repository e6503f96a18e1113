"""How much a file may become: what a small file says about itself must not fill the memory."""

from __future__ import annotations

import os

from ..errors import CheckpointError

_FACTOR, _FREE = 20, 1 << 26
"""Weights hardly shrink when they are packed, zeros do: so many times the file's size, and 64 MiB beside."""


class Budget:
    """The bytes that are left for what one file holds.

    Args:
        path: the file, for the text of an error.
        size: its bytes.
    """

    def __init__(self, path: str, size: int) -> None:
        self.path = path
        self.size = size
        self.left: int = _FACTOR * size + _FREE

    def take(self, count: int, what: str) -> None:
        """Spend some of them.

        Raises:
            CheckpointError: there are not so many left.
        """
        if count > self.left:
            raise CheckpointError(
                f"{self.path} is a file of {self.size:,} bytes and claims to hold {count:,} bytes of {what}: "
                "it is damaged, or made to fill the memory; take another copy"
            )
        self.left -= count


def opened_size(path: str) -> int:
    """The bytes of a file that is about to be read.

    Raises:
        CheckpointError: there is none, or it is no file (a pipe would be waited for).
    """
    if not os.path.exists(path):
        raise CheckpointError(f"cannot read {path}: there is no such file")
    if not os.path.isfile(path):
        raise CheckpointError(f"cannot read {path}: it is {'a folder' if os.path.isdir(path) else 'no file'}")
    return os.path.getsize(path)
