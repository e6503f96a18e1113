"""The folder of a training: the last checkpoint, from which it goes on bit for bit; the best model; the
log."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .. import arguments, atomic
from ..errors import CheckpointError
from ..interop import safetensors
from .history import History
from .lock import alone_in

LAST, BEST, LOG = "last.safetensors", "best.safetensors", "log.csv"


class Folder:
    """Where a training keeps its files, each whole or not there; as a block, in which it is ours alone.

    Args:
        options: of :func:`fit`: ``folder``, made if it is not there; ``resume``, True to go on with what is
            in it, "auto" to do so if there is something, False if there must be none; ``log`` and
            ``metadata``.

    Raises:
        CheckpointError: there is a training that should not be, or none that should; or it cannot be made.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.path: Path = Path(arguments.path("fit: folder", options["folder"]))
        self._log: Callable[[History], str] = options["log"]
        self._metadata: Mapping[str, str] = options["metadata"]
        there, resume = os.path.exists(self.path / LAST), options["resume"]
        if there and resume is False:
            raise CheckpointError(
                f"{self.path} holds a training: go on with it by resume=True, or choose another folder"
            )
        if not there and resume is True:
            raise CheckpointError(f"{self.path} holds no training to go on with: leave resume out")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CheckpointError(f"cannot make the folder {self.path}: {error.strerror}") from error
        self._ours = alone_in(self.path)

    def __enter__(self) -> Folder:
        self._ours.__enter__()
        there = os.path.exists(self.path / LAST)
        self.last: safetensors.Checkpoint | None = safetensors.load(self.path / LAST) if there else None
        if not there:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path / BEST)  # of one that was killed before its first checkpoint
            atomic.write(
                self.path / LOG, self._log(History())
            )  # a place that cannot be written to is known at once
        return self

    def __exit__(self, *exception: Any) -> None:
        self._ours.__exit__(*exception)

    def save(self, state: dict[str, Any], best: dict[str, Any] | None, history: History) -> None:
        """Write the log, the best model where there is a new one, and, last, the checkpoint.

        Raises:
            CheckpointError: they cannot be written; the checkpoint before stays.
        """
        atomic.write(self.path / LOG, self._log(history))
        if best is not None:
            safetensors.save(self.path / BEST, best, self._metadata)
        safetensors.save(self.path / LAST, state, self._metadata)
