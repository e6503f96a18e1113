"""Checkpoints as safetensors: arrays by name and a few words about them, never pickle, so that opening a file
runs no code of it."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy

from .. import arguments, atomic
from ..errors import CheckpointError, DtypeError, ShapeError, TinygradRNNError
from ..tape import host_values
from ..tensor import Tensor, tensor
from .nested import flattened, has_state, nested

if TYPE_CHECKING:
    from ..nn import Module


STATE = "tinygrad_rnn.state"
"""The name, in a file's metadata, of what stands beside its tensors."""


class Checkpoint(dict[str, Tensor]):
    """Tensors by name, as they were in a file.

    >>> tg.save("weights.safetensors", {"b": tg.zeros(3)}, metadata={"epoch": "7"})
    >>> tg.load("weights.safetensors").metadata
    {'epoch': '7'}

    Attributes:
        metadata: what else the file says, by name.
    """

    def __init__(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
        super().__init__(tensors)
        self.metadata: dict[str, str] = dict(metadata)

    def part(self, name: str) -> Any:
        """What was saved under a name beside other things: the state of a module, an optimiser or a schedule,
        or a plain value.

        >>> layer = tg.nn.Linear(2, 3)
        >>> adam = tg.optim.Adam(layer.parameters())
        >>> tg.save("run.safetensors", {"model": layer, "optimizer": adam, "step": 7})
        >>> saved = tg.load("run.safetensors")
        >>> adam.load_state_dict(saved.part("optimizer"))
        >>> saved.part("step")
        7

        Raises:
            CheckpointError: there is nothing of that name.
        """
        name = arguments.text("part: name", name)
        parts = nested(self.metadata.get(STATE, "{}"), self)
        if not isinstance(parts, dict) or name not in parts:
            there = ", ".join(map(repr, parts)) if parts else "only tensors, which are its items"
            raise CheckpointError(f"there is no part {name!r} in this checkpoint: there are {there}")
        return parts[name]


def save(
    path: str | Path, source: Module | Mapping[str, object], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a module's parameters, or tensors and arrays by name, to a safetensors file; or the states of
    several things, such as a model, its optimiser, the random numbers and a count, each under a name.

    The file appears whole or not at all; one that was there stays until the new one is safely on the disk.

    >>> tg.save("weights.safetensors", tg.nn.Linear(2, 3), metadata={"epoch": "7"})

    Args:
        path: where to; ``.safetensors`` is the usual ending.
        source: a module, or a dict of tensors and arrays; or one of dicts and things with a ``state_dict``,
            beside numbers, words and lists: :meth:`Checkpoint.part` gives them back.
        metadata: words to keep beside them, strings by name.

    Raises:
        CheckpointError: the package safetensors is missing, something cannot be stored, or the file cannot be
            written.
    """
    arrays, text = gathered(source)
    if "__metadata__" in arrays:
        raise CheckpointError(
            "save: the name '__metadata__' is the file format's own; choose another one for the array"
        )
    words = checked_metadata("save", metadata, text is not None)
    if text is not None:
        words[STATE] = text
    package = _safetensors()
    try:
        # a reader refuses words that are there and empty
        content = _in_order(_safetensors(".numpy").save(arrays, words or None))
    except package.SafetensorError as error:  # more than its readers take
        raise CheckpointError(
            f"save: the format cannot hold this ({error}): give fewer or shorter names and metadata"
        ) from error
    atomic.write(path, content)


def checked_metadata(call: str, metadata: Any, nested: bool = True) -> dict[str, str]:
    """Words that a file can hold.

    Args:
        nested: whether the file holds states of several things, too.

    Raises:
        CheckpointError: they are none.
    """
    words = dict(arguments.mapping(f"{call}: metadata", {} if metadata is None else metadata))
    if not all(isinstance(word, str) for pair in words.items() for word in pair):
        raise CheckpointError(
            f"{call}: metadata holds strings by name; make text of other values, with json.dumps for example"
        )
    if nested and STATE in words:
        raise CheckpointError(f"{call}: the name {STATE!r} in metadata is for what stands beside the tensors")
    _require_whole_characters(call, (*words, *words.values()))
    return words


def gathered(source: Any) -> tuple[dict[str, numpy.ndarray], str | None]:
    """What is to be saved, as arrays by name, and a text where things are nested: see :mod:`.nested`.

    Raises:
        CheckpointError: it is neither a module nor a dict of tensors, or something cannot be stored.
    """
    state = source.state_dict() if has_state(source) else source
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise CheckpointError(
            f"save: source must be a module or a dict of tensors by name, not {arguments.shown(source)}"
        )
    tensors, text = flattened(state)
    _require_whole_characters("save", tensors)
    return {name: _storable(name, value) for name, value in tensors.items()}, text


def _require_whole_characters(call: str, words: Iterable[str]) -> None:
    for word in words:
        if not word.isprintable() and any(0xD800 <= ord(character) < 0xE000 for character in word):
            raise CheckpointError(
                f"{call}: {arguments.shown(word)} holds half a character, which no file can: it is no text"
            )


def load(path: str | Path) -> Checkpoint:
    """The tensors of a safetensors file by name, on the current backend; ``.metadata`` has the words beside
    them.

    >>> tg.save("weights.safetensors", {"b": tg.zeros(3)})
    >>> tg.load("weights.safetensors")["b"]
    tensor([0., 0., 0.], dtype=float32)

    Raises:
        CheckpointError: the package safetensors is missing, or the file is missing, cut short, of another
            kind or of dtypes NumPy lacks.
    """
    path, package = arguments.path("load: path", path), _safetensors()
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe would be waited for
        raise CheckpointError(f"cannot read {path}: it is {'a folder' if os.path.isdir(path) else 'no file'}")
    try:
        with package.safe_open(path, framework="numpy") as file:
            tensors = {name: _read(path, file, name) for name in file.keys()}  # noqa: SIM118
            return Checkpoint(tensors, file.metadata() or {})
    except OSError as error:
        raise CheckpointError(
            f"cannot read {path}: {error if os.path.exists(path) else 'there is no such file'}"
        ) from error
    except (package.SafetensorError, ValueError) as error:  # the latter of shapes that NumPy cannot have
        if isinstance(error, TinygradRNNError):
            raise
        raise CheckpointError(
            f"{path} is not a whole safetensors file ({error}): it was cut short, or another program made "
            "it; take another copy, or save "
            f"it again as safetensors where it came from{_others(path)}"
        ) from error


_OTHERS = {
    b"PK\3\4": ". For .pt there is tinygrad_rnn.interop.torch.load, for .keras interop.keras.load",
    b"\x80\x02\x8a\n": ". For .pt there is tinygrad_rnn.interop.torch.load",
    b"\x89HDF": ". For .h5 there is tinygrad_rnn.interop.keras.load",
}
"""How files of other frameworks begin, and what reads them."""


def _others(path: str) -> str:
    with open(path, "rb") as file:
        return _OTHERS.get(file.read(4), "")


def _in_order(content: bytes) -> bytes:
    """The same file with its header in the order of the names: the package writes one that chance decides.

    A file is the header's length, 8 bytes; the header, JSON, filled up to 8 bytes; then the arrays.
    """
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:end]), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    text = header.encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[end:]


_DTYPES = frozenset(["BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64", "F16", "F32", "F64"])
"""What a file may hold that is a tensor here."""


def _read(path: str, file: Any, name: str) -> Tensor:
    dtype = file.get_slice(name).get_dtype()
    if dtype not in _DTYPES:
        raise CheckpointError(
            f"{path} holds {name!r} of the dtype {dtype}, which tensors lack: save it again as float32 "
            "where it came from"
        )
    return tensor(file.get_tensor(name))


def _storable(name: str, value: Any) -> numpy.ndarray:
    """As safetensors takes it: on the host and in row order; it would store other orders wrongly."""
    try:
        array = host_values(value)
    except (DtypeError, ShapeError) as error:
        raise CheckpointError(f"save: {name!r} is no tensor or array: {error}") from error
    if array.dtype.itemsize > 8:
        raise CheckpointError(
            f"save: {name!r} has the dtype {array.dtype}, which files lack: convert it with "
            ".astype('float64')"
        )
    return numpy.asarray(array, order="C")


def _safetensors(part: str = "") -> Any:
    try:
        return importlib.import_module(f"safetensors{part}")
    except ImportError as missing:
        raise CheckpointError(
            "checkpoints need the package safetensors: pip install 'tinygrad_rnn[train]'"
        ) from missing


__all__ = ["Checkpoint", "load", "save"]


def __dir__() -> list[str]:
    return __all__
