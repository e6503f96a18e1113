"""What PyTorch's files say in the language of pickle, read without pickle: no code of a file is run.

A pickle is a program for a machine with a stack. The usual machine may import and call whatever the program
names; this one knows the opcodes of plain values, and instead of calling it looks into a short table of names
that stand for tensors, their storages and dicts. All other names are noted, and refused together at the end.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

from .. import arguments
from ..errors import CheckpointError
from .archive import damaged
from .options import OPTIONS


class Named(NamedTuple):
    """A class or function that a program names."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Storage(NamedTuple):
    """Numbers that stand in the file beside the program: their name there, their kind and their count.

    Attributes:
        kind: as NumPy calls it; "" for bytes whose kind the tensor says.
        size: how many.
    """

    key: str
    kind: str
    size: int


class Described(NamedTuple):
    """A tensor: where its numbers are."""

    storage: Storage
    kind: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Foreign:
    """What a refused name would have made: it takes what is put into it, and is nothing."""


STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "UntypedStorage": "",
}
"""PyTorch's storages, by the dtypes that NumPy has for them."""

UNTYPED = ("uint16", "uint32", "uint64")
"""Dtypes without a storage of their own."""

_MODULES = {"torch": (*STORAGES, *UNTYPED), "torch.storage": ("UntypedStorage",)}
_KIND = re.compile(r".*Storage|(b?float|complex|q?u?int|bits|half|double)\d+\w*")
"""A storage or a dtype of PyTorch's."""

_MARK = object()

_NAME, _AXES = 1000, 32
"""No name of PyTorch's is longer, no array has more axes."""


class Machine:
    """Runs one program after the other from the bytes of a file.

    Args:
        path: the file, for the texts of errors.
        data: its bytes, or those of the part that holds the program.
    """

    def __init__(self, path: str, data: bytes) -> None:
        self.path: str = path
        self.data: bytes = data
        self.at: int = 0
        self.refused: dict[str, None] = {}
        self.storages: dict[str, Storage] = {}
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.words: dict[str, str] = {}
        self.left: int = 10 * len(data) + 1000

    def run(self) -> Any:
        """What the program at this place builds of numbers, words, lists, tuples, dicts and
        :class:`Described`.

        Raises:
            CheckpointError: it is cut short, no program, or would run code.
        """
        self.stack, self.memo = [], {}
        try:
            while (opcode := self._take(1)) != b".":
                if opcode not in self.opcodes:
                    raise CheckpointError(
                        f"{self.path} holds the pickle opcode {opcode!r}, which no weights need"
                    )
                self.opcodes[opcode](self)
            (result,) = self.stack
        except (
            IndexError,
            KeyError,
            ValueError,
            TypeError,
            AttributeError,
            OverflowError,
            struct.error,
        ) as error:
            if isinstance(error, CheckpointError):
                raise
            raise self.damaged(str(error)) from error
        if self.refused:
            raise CheckpointError(
                f"{self.path} holds more than weights, and to read it would run code: it needs "
                f"{', '.join(self.refused)}. Only tensors, numbers, words, lists and dicts are read; where "
                "the file is trusted, load it in PyTorch and save model.state_dict()"
            )
        return result

    def damaged(self, why: str) -> CheckpointError:
        """The error for what is no whole file of PyTorch's."""
        return damaged(self.path, "PyTorch", why)

    # -- bytes -----------------------------------------------------------------------------------------------

    def _take(self, count: int) -> bytes:
        found = self.data[self.at : self.at + count]
        if len(found) < count:
            raise self.damaged("it ends in the middle")
        self.at += count
        return found

    def _number(self, layout: str) -> Any:
        return struct.unpack(layout, self._take(struct.calcsize(layout)))[0]

    def _line(self) -> str:
        end = self.data.index(b"\n", self.at)
        line = self.data[self.at : end].decode()
        self.at = end + 1
        return line

    def _text(self, layout: str) -> str:
        return self._take(self._number(layout)).decode()

    # -- the stack -------------------------------------------------------------------------------------------

    def _push(self, value: Any) -> None:
        self.stack.append(value)

    def _since_mark(self) -> list[Any]:
        for i in range(len(self.stack) - 1, -1, -1):
            if self.stack[i] is _MARK:
                found = self.stack[i + 1 :]
                del self.stack[i:]
                return found
        raise self.damaged("a mark is missing")

    def _tuple(self, count: int) -> None:
        parts = tuple(self.stack[len(self.stack) - count :])
        if len(parts) < count:
            raise self.damaged("a value is missing")
        del self.stack[len(self.stack) - count :]
        self._push(parts)

    def _put_items(self, flat: Sequence[Any]) -> None:
        target = self.stack[-1]
        if len(flat) % 2 or not isinstance(target, (dict, Foreign)):
            raise self.damaged("items without a dict")
        if isinstance(target, dict):
            target.update(_pairs(zip(flat[::2], flat[1::2], strict=True)))

    def _append(self, values: Sequence[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, (list, Foreign)):
            raise self.damaged("elements without a list")
        if isinstance(target, list):
            target.extend(values)

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._put_items((key, value))

    def _append_one(self) -> None:
        value = self.stack.pop()
        self._append((value,))

    def _remember(self, place: int) -> None:
        self.memo[place] = self.stack[-1]

    # -- names -----------------------------------------------------------------------------------------------

    def _name(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str) or len(module) + len(name) > _NAME:
            raise self.damaged("a name is no word")
        named = Named(module, name)
        if named not in _CALLS and name not in _MODULES.get(module, ()):
            if module.partition(".")[0] == "torch" and _KIND.fullmatch(name):
                raise CheckpointError(
                    f"{self.path} holds numbers of the kind {named}, which tensors lack: save them again as "
                    "float32 where they came from"
                )
            self.refused[str(named)] = None
        self._push(named)

    def _name_of_stack(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self._name(module, name)

    def _call(self) -> None:
        given, function = self.stack.pop(), self.stack.pop()
        if not isinstance(given, tuple):
            raise self.damaged("a call without arguments")
        # a call copies what it is given, and a program may give one long value very often
        self.left -= len(given) + sum(len(p) for p in given if isinstance(p, (str, list, tuple, dict)))
        if self.left < 0:
            raise self.damaged("it copies its parts too often")
        make = _CALLS.get(function) if isinstance(function, Named) else None
        if make is None:
            self.refused[str(function) if isinstance(function, Named) else "a call of a value"] = None
        foreign = make is None or any(isinstance(part, Foreign) for part in given)
        self._push(Foreign() if foreign or make is None else make(*given))

    def _state(self) -> None:
        """Attributes of an object. Those of a dict are only notes: a state_dict has its modules' versions,
        and beside them what :mod:`.torch_file` writes."""
        state = self.stack.pop()
        notes = state.get("_metadata") if isinstance(state, dict) else None
        if isinstance(notes, dict) and type(notes.get(OPTIONS)) is str:
            self.words = {OPTIONS: notes[OPTIONS]}
        if not isinstance(self.stack[-1], (dict, Foreign)):
            self.refused["attributes of a value"] = None

    def _persistent(self) -> None:
        """("storage", class, name in the file, device, how many) and, in old files, which part of it."""
        word, kind, key, _, count, *view = self.stack.pop()
        if word != "storage" or not isinstance(kind, Named) or not isinstance(key, str) or _not_whole(count):
            raise self.damaged("a storage of an unknown kind")
        if any(part is not None for part in view):
            raise CheckpointError(
                f"{self.path} holds a storage inside another one: save it again with a newer PyTorch"
            )
        if kind.name in STORAGES:
            self._push(self.storages.setdefault(key, Storage(key, STORAGES[kind.name], count)))
        else:
            self._push(Foreign())

    # -- all of them -----------------------------------------------------------------------------------

    opcodes: ClassVar[dict[bytes, Callable[[Machine], object]]] = {
        b"\x80": lambda m: m._take(1),  # the protocol
        b"\x95": lambda m: m._take(8),  # a frame's length
        b"N": lambda m: m._push(None),
        b"\x88": lambda m: m._push(True),
        b"\x89": lambda m: m._push(False),
        b"J": lambda m: m._push(m._number("<i")),
        b"K": lambda m: m._push(m._number("<B")),
        b"M": lambda m: m._push(m._number("<H")),
        b"\x8a": lambda m: m._push(int.from_bytes(m._take(m._number("<B")), "little", signed=True)),
        b"G": lambda m: m._push(m._number(">d")),
        b"X": lambda m: m._push(m._text("<I")),
        b"\x8c": lambda m: m._push(m._text("<B")),
        b"\x8d": lambda m: m._push(m._text("<Q")),
        b"U": lambda m: m._push(m._text("<B")),  # words of Python 2
        b"(": lambda m: m._push(_MARK),
        b")": lambda m: m._push(()),
        b"]": lambda m: m._push([]),
        b"}": lambda m: m._push({}),
        b"t": lambda m: m._push(tuple(m._since_mark())),
        b"\x85": lambda m: m._tuple(1),
        b"\x86": lambda m: m._tuple(2),
        b"\x87": lambda m: m._tuple(3),
        b"s": lambda m: m._set_item(),
        b"u": lambda m: m._put_items(m._since_mark()),
        b"a": lambda m: m._append_one(),
        b"e": lambda m: m._append(m._since_mark()),
        b"0": lambda m: m.stack.pop(),
        b"q": lambda m: m._remember(m._number("<B")),
        b"r": lambda m: m._remember(m._number("<I")),
        b"\x94": lambda m: m._remember(len(m.memo)),
        b"h": lambda m: m._push(m.memo[m._number("<B")]),
        b"j": lambda m: m._push(m.memo[m._number("<I")]),
        b"c": lambda m: m._name(m._line(), m._line()),
        b"\x93": lambda m: m._name_of_stack(),
        b"R": lambda m: m._call(),
        b"\x81": lambda m: m._call(),  # a class instead of a function
        b"b": lambda m: m._state(),
        b"Q": lambda m: m._persistent(),
    }
    """What each opcode does; the names are in ``pickletools`` of Python's library."""


def _not_whole(*values: Any) -> bool:
    return any(type(value) is not int or not 0 <= value < 1 << 63 for value in values)


def _pairs(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """A dict of words and whole numbers. Other keys are refused before they are hashed, which for tuples in
    tuples takes a stack as deep as they are, or for ever. What a refused name made is left out: so will be
    the file.

    Raises:
        ValueError: a key is neither.
    """
    found = {}
    for key, value in pairs:
        if type(key) in (str, int):
            found[key] = value
        elif not isinstance(key, Foreign):
            raise ValueError(f"only words and whole numbers are names in a dict, not {arguments.shown(key)}")
    return found


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> Described:
    """``_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks, metadata)``.

    Raises:
        ValueError: a part of it is no such thing, or lies outside of the storage.
    """
    return _placed(storage, storage.kind, offset, shape, strides, rest[2] if len(rest) > 2 else None)


def _untyped(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> Described:
    """``_rebuild_tensor_v3(storage, offset, size, stride, requires_grad, hooks, dtype, metadata)``."""
    kind = rest[2]
    if not isinstance(kind, Named) or kind.name not in UNTYPED:
        raise ValueError(f"a tensor of the dtype {arguments.shown(kind)}")
    return _placed(storage, kind.name, offset, shape, strides, rest[3] if len(rest) > 3 else None)


def _placed(storage: Any, kind: str, offset: Any, shape: Any, strides: Any, notes: Any) -> Described:
    if notes:
        raise CheckpointError(
            f"the file holds a view that PyTorch computes with ({arguments.shown(notes)}): "
            "save tensor.resolve_neg() of it"
        )
    if not isinstance(storage, Storage) or not kind:
        raise ValueError("a tensor without a plain storage")
    if not isinstance(shape, tuple) or not isinstance(strides, tuple) or _not_whole(offset, *shape, *strides):
        raise ValueError("a tensor without a plain shape")
    if len(shape) != len(strides) or len(shape) > _AXES:
        raise ValueError("a tensor whose strides do not fit its shape")
    return Described(storage, kind, offset, shape, strides)


def _ordered(*given: Any) -> dict[Any, Any]:
    pairs = given[0] if given else ()
    return _pairs(pairs.items() if isinstance(pairs, dict) else pairs)


def _device(kind: Any, index: Any = None) -> str:
    """Where a tensor was, as a word.

    Raises:
        ValueError: it is none.
    """
    if type(kind) is not str or (index is not None and type(index) is not int):
        raise ValueError("a device that is no word with a number")
    return kind if index is None else f"{kind}:{index}"


_CALLS: dict[Named, Callable[..., Any]] = {
    Named("collections", "OrderedDict"): _ordered,
    Named("torch", "device"): _device,
    Named("torch", "Size"): lambda sizes: tuple(sizes),
    Named("torch._utils", "_rebuild_tensor"): _tensor,
    Named("torch._utils", "_rebuild_tensor_v2"): _tensor,
    Named("torch._utils", "_rebuild_tensor_v3"): _untyped,
    Named("torch._utils", "_rebuild_parameter"): lambda tensor, _requires_grad, _hooks: tensor,
}
