"""The folder of a training: the last checkpoint, from which it goes on bit for bit; the best model; the
log."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .. import arguments, atomic
from ..errors import CheckpointError, TinygradRNNError, TrainingError
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
        if resume is False and not there and self._is_somebodys():
            raise CheckpointError(
                f"{self.path} holds {BEST} or {LOG}, and no {LAST}: choose another folder, or say "
                "resume='auto' if they are left of a training that was killed"
            )
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
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._ours)
            self._begin()
            self._entered = stack.pop_all()
        return self

    def _begin(self) -> None:
        there = os.path.exists(self.path / LAST)
        self.last: safetensors.Checkpoint | None = safetensors.load(self.path / LAST) if there else None
        if not there:
            # a place that cannot be written to is known at once
            self._write_log(History())

    def __exit__(self, *exception: Any) -> None:
        self._entered.__exit__(*exception)

    def _is_somebodys(self) -> bool:
        """Whether there are files that would be written over: a log without a line is none."""
        try:
            log = (self.path / LOG).read_text(encoding="utf-8", errors="replace")
        except OSError:
            log = ""
        return self.has_best() or (bool(log.strip()) and log != self._log(History()))

    def has_best(self) -> bool:
        """Whether the file of the best model is there."""
        return os.path.exists(self.path / BEST)

    def _write_log(self, history: History) -> None:
        """
        Raises:
            TrainingError: the function that makes it failed, or makes no text.
        """
        try:
            text = self._log(history)
        except TinygradRNNError:
            raise
        except Exception as error:
            raise TrainingError(f"fit: log failed: {type(error).__name__}: {error}") from error
        if not isinstance(text, str):
            raise TrainingError(f"fit: log must return a text, not {arguments.shown(text)}")
        atomic.write(self.path / LOG, text)

    def save(self, state: dict[str, Any], best: dict[str, Any] | None, history: History) -> None:
        """Write the log, the best model where there is a new one, and, last, the checkpoint.

        Raises:
            CheckpointError: they cannot be written; the checkpoint before stays.
        """
        self._write_log(history)
        if best is not None:
            safetensors.save(self.path / BEST, best, self._metadata)
        safetensors.save(self.path / LAST, state, self._metadata)
