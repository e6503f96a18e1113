"""Checkpoints as safetensors: arrays by name and a few words about them, never pickle, so that opening a file runs no code of it."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy

from .. import arguments, atomic
from ..errors import CheckpointError, DtypeError, ShapeError
from ..tape import host_values
from ..tensor import Tensor, tensor


class Checkpoint(dict[str, Tensor]):
    """Tensors by name, as they were in a file.

    Attributes:
        metadata: what else the file says, by name.
    """

    def __init__(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
        super().__init__(tensors)
        self.metadata = dict(metadata)


def save(path: str | Path, source: Any, metadata: Mapping[str, str] | None = None) -> None:
    """Write a module's parameters, or tensors and arrays by name, to a safetensors file.

    The file appears whole or not at all; one that was there stays until the new one is safely on the disk.

    Args:
        path: where to; ``.safetensors`` is the usual ending.
        source: a module, or a dict.
        metadata: words to keep beside them, strings by name.

    Raises:
        CheckpointError: the package safetensors is missing, something cannot be stored, or the file cannot be written.
    """
    state = source.state_dict() if hasattr(source, "state_dict") and not isinstance(source, type) else source
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise CheckpointError(f"save: source must be a module or a dict of tensors by name, not {arguments.shown(source)}")
    words = dict(arguments.mapping("save: metadata", {} if metadata is None else metadata))
    if not all(isinstance(word, str) for pair in words.items() for word in pair):
        raise CheckpointError("save: metadata holds strings by name; make text of other values, with json.dumps for example")
    for word in (*state, *words, *words.values()):
        if not word.isprintable() and any(0xD800 <= ord(character) < 0xE000 for character in word):
            raise CheckpointError(f"save: {arguments.shown(word)} holds half a character, which no file can: it is no text")
    arrays = {name: _storable(name, value) for name, value in state.items()}
    atomic.write(path, _safetensors(".numpy").save(arrays, words))


def load(path: str | Path) -> Checkpoint:
    """The tensors of a safetensors file by name, on the current backend; ``.metadata`` has the words beside them.

    Raises:
        CheckpointError: the package safetensors is missing, or the file is missing, cut short, of another kind or of dtypes NumPy lacks.
    """
    path, package = arguments.path("load: path", path), _safetensors()
    try:
        with package.safe_open(path, framework="numpy") as file:
            return Checkpoint({name: tensor(file.get_tensor(name)) for name in file.keys()}, file.metadata() or {})  # noqa: SIM118
    except OSError as error:
        reason = "it is a folder" if os.path.isdir(path) else error if os.path.exists(path) else "there is no such file"
        raise CheckpointError(f"cannot read {path}: {reason}") from error
    except package.SafetensorError as error:
        raise CheckpointError(
            f"{path} is not a whole safetensors file ({error}): it was cut short, or another program made it; take another copy, or save "
            "it again as safetensors where it came from"
        ) from error
    except TypeError as error:
        raise CheckpointError(f"{path} holds a dtype that NumPy lacks ({error}): save it again as float32 where it came from") from error


def _storable(name: str, value: Any) -> numpy.ndarray:
    """As safetensors takes it: on the host and in row order; it would store other orders wrongly."""
    try:
        array = host_values(value)
    except (DtypeError, ShapeError) as error:
        raise CheckpointError(f"save: {name!r} is no tensor or array: {error}") from error
    return numpy.asarray(array, order="C")


def _safetensors(part: str = "") -> Any:
    try:
        return importlib.import_module(f"safetensors{part}")
    except ImportError as missing:
        raise CheckpointError("checkpoints need the package safetensors: pip install 'tinygrad_rnn[train]'") from missing


__all__ = ["Checkpoint", "load", "save"]
