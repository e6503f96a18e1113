"""Who is told how a training goes: callbacks, a bar in the terminal, TensorBoard's files."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .. import arguments
from ..errors import ArgumentError, TinygradRNNError, TrainingError
from .bar import Bar

if TYPE_CHECKING:
    from .training import Training


class Reports(contextlib.ExitStack):
    """All of them, as a block."""

    def __init__(self, training: Training, options: Mapping[str, Any]) -> None:
        super().__init__()
        self._training = training
        self._listeners: list[Any] = [_Callback(callback, training) for callback in options["callbacks"]]
        if options["tensorboard"]:
            self._listeners.append(_TensorBoard(options["folder"], training))
        if options["progress"] or (options["progress"] is None and sys.stderr.isatty()):
            self._listeners.append(_Lines(training, options))

    def __enter__(self) -> Reports:
        super().__enter__()
        for listener in self._listeners:
            self.enter_context(listener)
        return self

    def updated(self) -> None:
        """After each update."""
        for listener in self._listeners:
            listener.updated(self._training)

    def evaluated(self) -> None:
        """After each evaluation."""
        for listener in self._listeners:
            listener.evaluated(self._training)


class _Callback(contextlib.AbstractContextManager["_Callback"]):
    """A function, called after each evaluation; or an object with ``on_update``, ``on_evaluation`` or
    ``on_end``."""

    def __init__(self, callback: Any, training: Training) -> None:
        self._callback, self._training = callback, training
        parts = ("on_update", "on_evaluation", "on_end")
        self._parts: dict[str, Callable[[Any], Any]] = {
            part: getattr(callback, part) for part in parts if callable(getattr(callback, part, None))
        }
        if not self._parts and callable(callback) and not isinstance(callback, type):
            self._parts = {"on_evaluation": callback}
        if not self._parts:
            raise ArgumentError(
                f"fit: callbacks: {arguments.shown(callback)} is neither a function nor an object with one "
                f"of the methods {', '.join(parts)}"
            )

    def __exit__(self, kind: Any, *exception: object) -> None:
        if kind is None:
            self._tell("on_end", self._training)

    def updated(self, training: Training) -> None:
        self._tell("on_update", training)

    def evaluated(self, training: Training) -> None:
        self._tell("on_evaluation", training)

    def _tell(self, part: str, training: Training) -> None:
        try:
            if part in self._parts:
                self._parts[part](training)
        except TinygradRNNError:
            raise
        except Exception as error:
            name = getattr(self._callback, "__name__", type(self._callback).__name__)
            raise TrainingError(
                f"fit: the callback {name} failed after step {training.step}: {type(error).__name__}: {error}"
            ) from error


class _TensorBoard(contextlib.AbstractContextManager["_TensorBoard"]):
    """Numbers for TensorBoard, in the training's folder."""

    def __init__(self, folder: Any, training: Training) -> None:
        self._training = training
        try:
            writer = importlib.import_module("tensorboardX").SummaryWriter
        except ImportError as missing:
            raise ArgumentError(
                "fit: tensorboard=True needs the package tensorboardX: pip install 'tinygrad_rnn[train]'"
            ) from missing
        self._make: Any = lambda step: writer(str(folder), filename_suffix=f".{step}")

    def __enter__(self) -> _TensorBoard:
        self._writer: Any = self._make(self._training.step)
        return self

    def __exit__(self, *exception: object) -> None:
        self._writer.close()

    def updated(self, training: Training) -> None:
        for name, value in training.row.items():
            self._writer.add_scalar(f"update/{name}", value, training.step)

    def evaluated(self, training: Training) -> None:
        for name, value in training.history.rows[-1].items():
            if isinstance(value, float):
                self._writer.add_scalar(f"evaluation/{name}", value, training.step)


class _Lines(contextlib.AbstractContextManager["_Lines"]):
    """A line for each evaluation, and in a terminal a bar, if the package rich is there."""

    def __init__(self, training: Training, options: Mapping[str, Any]) -> None:
        self._training, self._steps = training, options["steps"] or training.planned_updates()
        self._bar: Bar | None = None

    def __enter__(self) -> _Lines:
        if sys.stderr.isatty():
            with contextlib.suppress(ImportError):
                self._bar = Bar(sys.stderr, self._steps, self._training.step)
                self._bar.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.__exit__(*exception)

    def updated(self, training: Training) -> None:
        if self._bar is not None:
            self._bar.show(training.step, f"loss {training.row['loss']:.4g}")

    def evaluated(self, training: Training) -> None:
        line = "  ".join(
            f"{name} {value:.4g}"
            for name, value in training.history.rows[-1].items()
            if isinstance(value, (int, float))
        )
        if self._bar is None:
            print(line, file=sys.stderr)
        else:
            self._bar.print(line)
