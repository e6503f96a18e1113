"""PyTorch's own files, .pt and .pth: weights only, read and written without PyTorch and without pickle.

New files (PyTorch 1.6 and later) are zip archives: ``data.pkl`` says what there is, ``data/KEY`` holds the
numbers of a storage. Old ones are five pickles in a row, and the storages behind them.
"""

from __future__ import annotations

import io
import math
import struct
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy

from .. import arguments, atomic
from ..errors import CheckpointError
from ..tensor import tensor
from . import options
from .archive import Archive, content_of, damaged
from .budget import Budget, opened_size
from .nested import apart, nested
from .opcodes import STORAGES, UNTYPED, Described, Machine, Storage
from .safetensors import STATE, Checkpoint, gathered

if TYPE_CHECKING:
    from ..nn import Module

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_DEPTH = 100
"""Dicts and lists inside each other: a checkpoint has a few, and each reader of one goes as deep."""


def load(path: str | Path) -> Checkpoint:
    """The tensors of a PyTorch file by name, on the current backend: those of a ``state_dict`` under its
    names, of dicts in dicts under dotted ones; :meth:`Checkpoint.part` gives the parts of a larger
    checkpoint.

    Nothing of the file is run, and PyTorch is not imported: the file may hold tensors, numbers, words, lists
    and dicts.

    >>> tg.interop.torch.save("weights.pt", tg.nn.Linear(2, 3))
    >>> sorted(tg.interop.torch.load("weights.pt"))
    ['bias', 'weight']

    Raises:
        CheckpointError: the file is missing, cut short, of another kind, of dtypes NumPy lacks, or holds
            more than weights, such as a whole module: all that it would need is named.
    """
    path = arguments.path("load: path", path)
    budget = Budget(path, opened_size(path))
    content = content_of(path)
    read = _from_zip if content[:4] == b"PK\3\4" else _from_pickles
    value, numbers, steps, words = read(path, content, budget)
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds no dict of tensors by name: save model.state_dict() in PyTorch")
    tree = _Values(path, budget, numbers, steps).plain(value, "")
    if all(isinstance(part, numpy.ndarray) for part in tree.values()):
        return Checkpoint({name: tensor(array) for name, array in tree.items()}, words)
    tensors, text = apart(tree)
    return Checkpoint({name: tensor(array) for name, array in tensors.items()}, {STATE: text, **words})


def save(path: str | Path, source: Module | Mapping[str, object]) -> None:
    """Write a file that ``torch.load(path, weights_only=True)`` reads: a ``state_dict``, or what
    :func:`tinygrad_rnn.save` takes beside it, as dicts in dicts.

    The file appears whole or not at all; one that was there stays until the new one is safely on the disk.

    >>> tg.interop.torch.save("weights.pt", {"model": tg.nn.Linear(2, 3), "epoch": 7})

    Raises:
        CheckpointError: something cannot be stored, or the file cannot be written.
    """
    write(arguments.path("save: path", path), source, options.text(options.of(source)))


def write(path: str, source: Any, words: Mapping[str, str]) -> None:
    """The same, with words for readers that know them: among the versions of modules, where PyTorch looks for
    its own alone."""
    arrays, text = gathered(source)
    state: dict[str, Any] = arrays if text is None else nested(text, arrays)
    writer = _Writer()
    program = writer.program(state, words)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        parts = {"data.pkl": program, "byteorder": sys.byteorder.encode(), "version": b"3\n"}
        parts |= {f"data/{key}": array.tobytes() for key, array in enumerate(writer.arrays)}
        for name, part in parts.items():
            # a time of its own would make each file another one
            archive.writestr(zipfile.ZipInfo(f"archive/{name}", (1980, 1, 1, 0, 0, 0)), part)
    atomic.write(path, content.getvalue())


def _from_zip(path: str, content: bytes, budget: Budget) -> tuple[Any, _Numbers, int, dict[str, str]]:
    """What a new file holds, its storages, and how long its program is."""
    archive = Archive(path, "PyTorch", content, budget)
    folder = next((name[: -len("data.pkl")] for name in archive.names if name.endswith("/data.pkl")), None)
    if folder is None:
        raise CheckpointError(f"{path} is a zip archive, and none of PyTorch's: it has no data.pkl")
    if f"{folder}constants.pkl" in archive.names:
        raise CheckpointError(
            f"{path} is a TorchScript program, which is code: save model.state_dict() of it in PyTorch"
        )
    named = f"{folder}byteorder" in archive.names
    order = ">" if named and archive.read(f"{folder}byteorder") == b"big" else "<"
    program = archive.read(f"{folder}data.pkl")
    machine = Machine(path, program)
    value = machine.run()
    numbers = {
        key: numpy.frombuffer(archive.read(f"{folder}data/{key}"), numpy.uint8) for key in machine.storages
    }
    return value, _Numbers(path, order, machine.storages, numbers), len(program), machine.words


def _from_pickles(path: str, content: bytes, budget: Budget) -> tuple[Any, _Numbers, int, dict[str, str]]:
    """The same of an old file."""
    machine = Machine(path, content)
    if machine.run() != _MAGIC or machine.run() != _PROTOCOL:
        raise CheckpointError(
            f"{path} is a pickle of another program than PyTorch: only its weights are read"
        )
    system = machine.run()
    order = "<" if not isinstance(system, dict) or system.get("little_endian", True) else ">"
    value, program = machine.run(), machine.at
    keys, numbers = machine.run(), {}
    try:
        for key in keys:
            if type(key) is not str:
                raise damaged(path, "PyTorch", "the name of a storage is no word")
            (count,) = struct.unpack_from("<q", content, machine.at)
            storage = machine.storages[key]
            size = storage.size * numpy.dtype(storage.kind or "uint8").itemsize
            begin = machine.at + 8
            if count != storage.size or begin + size > len(content):
                raise damaged(path, "PyTorch", f"of the storage {key} only a part is there")
            numbers[key] = numpy.frombuffer(content, numpy.uint8, size, begin)
            machine.at = begin + size
    except (TypeError, KeyError, struct.error) as error:
        raise damaged(path, "PyTorch", f"the list of its storages is damaged: {error}") from error
    return value, _Numbers(path, order, machine.storages, numbers), program, machine.words


class _Numbers:
    """The storages of a file.

    Args:
        order: of the bytes, "<" or ">".
        storages: what the program says of them.
        numbers: their bytes.
    """

    def __init__(
        self, path: str, order: str, storages: Mapping[str, Storage], numbers: Mapping[str, numpy.ndarray]
    ) -> None:
        for key, storage in storages.items():
            size = storage.size * numpy.dtype(storage.kind or "uint8").itemsize
            if key not in numbers or numbers[key].size != size:
                raise damaged(path, "PyTorch", f"the storage {key} should have {size:,} bytes")
        self.path, self.order, self.numbers = path, order, numbers

    def array(self, tensor: Described, name: str) -> numpy.ndarray:
        """The numbers of a tensor, in this machine's order of bytes."""
        kind = numpy.dtype(f"{self.order}{numpy.dtype(tensor.kind).str[1:]}")
        flat, shape = self.numbers[tensor.storage.key], tensor.shape
        if 0 in shape:
            return numpy.empty(shape, tensor.kind)
        last = tensor.offset + sum((n - 1) * stride for n, stride in zip(shape, tensor.strides, strict=True))
        if (last + 1) * kind.itemsize > flat.size:
            raise damaged(self.path, "PyTorch", f"{name!r} lies outside of its storage")
        flat = flat[: flat.size // kind.itemsize * kind.itemsize].view(kind)[tensor.offset :]
        strides = [stride * kind.itemsize for stride in tensor.strides]
        return numpy.lib.stride_tricks.as_strided(flat, shape, strides).astype(tensor.kind)


class _Values:
    """Makes of what the program built what a checkpoint holds: arrays, numbers, words, lists, dicts by words.

    Args:
        steps: the program's length. What stands at very many more places than that was made to fill the
            memory.
    """

    def __init__(self, path: str, budget: Budget, numbers: _Numbers, steps: int) -> None:
        self.path, self.budget, self.numbers = path, budget, numbers
        self.left: int = 10 * steps + 1000

    def plain(self, value: dict[Any, Any], name: str) -> dict[str, Any]:
        return self._dict(value, name, 0)

    def _dict(self, value: dict[Any, Any], name: str, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, part in value.items():
            if type(key) not in (str, int) or str(key) in found:
                raise CheckpointError(
                    f"{self.path} holds a dict {name!r} with the key {arguments.shown(key)}: only words and "
                    "whole numbers, each once, are names"
                )
            found[str(key)] = self._value(part, f"{name}.{key}" if name else str(key), depth + 1)
        return found

    def _value(self, value: Any, name: str, depth: int) -> Any:
        if depth > _DEPTH:
            raise damaged(self.path, "PyTorch", "its dicts or lists hold themselves")
        self.left -= 1
        self.budget.take(len(name), "names")
        if self.left < 0:
            raise damaged(self.path, "PyTorch", "its dicts or lists hold each other too often")
        if isinstance(value, Described):
            self.budget.take(math.prod(value.shape) * numpy.dtype(value.kind).itemsize, "tensors")
            return self.numbers.array(value, name)
        if isinstance(value, dict):
            return self._dict(value, name, depth)
        if type(value) in (list, tuple):
            return [self._value(part, f"{name}.{i}", depth + 1) for i, part in enumerate(value)]
        if value is None or type(value) in (bool, int, float, str):
            return value
        raise CheckpointError(
            f"{self.path} holds {name!r}, which is no tensor, number, word, list or dict: "
            f"{arguments.shown(value)}"
        )


class _Writer:
    """Writes the program that builds a state; its tensors' numbers are listed in ``arrays``."""

    def __init__(self) -> None:
        self.arrays: list[numpy.ndarray] = []

    def program(self, state: Mapping[str, Any], words: Mapping[str, str]) -> bytes:
        notes = self._value({"_metadata": words}) + b"b" if words else b""
        return b"\x80\x02" + self._value(state) + notes + b"."

    def _value(self, value: Any) -> bytes:
        if isinstance(value, numpy.ndarray):
            return self._tensor(value)
        if isinstance(value, Mapping):
            items = b"".join(_word(key) + self._value(part) for key, part in value.items())
            return _global("collections", "OrderedDict") + b")R(" + items + b"u"
        if isinstance(value, (list, tuple)):
            return b"](" + b"".join(map(self._value, value)) + b"e"
        if isinstance(value, str):
            return _word(value)
        if isinstance(value, float):
            return b"G" + struct.pack(">d", value)
        if value is None or isinstance(value, bool):
            return {None: b"N", True: b"\x88", False: b"\x89"}[value]
        size = value.bit_length() // 8 + 1
        if size > 255:
            raise CheckpointError(f"save: PyTorch's files lack a whole number of {size} bytes")
        return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)

    def _tensor(self, array: numpy.ndarray) -> bytes:
        kind = array.dtype.name
        typed = kind not in UNTYPED
        storage = _global("torch", _CLASSES[kind]) if typed else _global("torch.storage", "UntypedStorage")
        count = array.size if typed else array.nbytes
        number = self._value
        place = (
            b"("
            + _word("storage")
            + storage
            + _word(str(len(self.arrays)))
            + _word("cpu")
            + number(count)
            + b"tQ"
        )
        self.arrays.append(array)
        strides = [math.prod(array.shape[i + 1 :]) for i in range(array.ndim)]
        shapes = b"".join(b"(" + b"".join(map(number, axes)) + b"t" for axes in (array.shape, strides))
        hooks = _global("collections", "OrderedDict") + b")R"
        made = b"(" + place + number(0) + shapes + b"\x89" + hooks
        if typed:
            return _global("torch._utils", "_rebuild_tensor_v2") + made + b"tR"
        return _global("torch._utils", "_rebuild_tensor_v3") + made + _global("torch", kind) + b"tR"


_CLASSES = {kind: name for name, kind in STORAGES.items()}


def _word(text: str) -> bytes:
    encoded = text.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def _global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


__all__ = ["load", "save"]


def __dir__() -> list[str]:
    return __all__
