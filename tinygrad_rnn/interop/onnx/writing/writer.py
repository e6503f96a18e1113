"""A graph that is being written: nodes, names, arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from ....errors import CheckpointError
from ..package import onnx_package
from ..reading import DTYPES
from .lengths import UNKNOWN, Length

OPSET = 18
"""The version of ONNX's operators that files are written for."""

NUMBERS = {dtype: number for number, dtype in DTYPES.items()}
"""The format's numbers of dtypes."""


@dataclass(frozen=True)
class Value:
    """Something that a graph names.

    Attributes:
        shape: a number or a :class:`~.lengths.Length` for each axis.
        array: what it is, where the file holds it.
    """

    name: str
    shape: tuple[Any, ...]
    dtype: numpy.dtype[Any]
    array: numpy.ndarray | None = None

    @property
    def ndim(self) -> int:
        return len(self.shape)


class Writer:
    """A graph that grows node by node.

    Attributes:
        outer: the graph around it, which gives it arrays and lengths; None for the outermost.
        sources: where to find each length: an input's name and an axis.
        held: the arrays of the file, and whether they are parameters.
    """

    def __init__(
        self, outer: Writer | None = None, sources: dict[str, tuple[str, int]] | None = None
    ) -> None:
        self.outer = outer
        self.sources: dict[str, tuple[str, int]] = {} if sources is None else sources
        self.nodes: list[Any] = []
        self.initializers: dict[str, Any] = {}
        self._names: dict[str, int] = {} if outer is None else outer._names
        self._known: dict[Any, Value] = {}
        self.held: list[tuple[Value, bool]] = []

    @property
    def root(self) -> Writer:
        return self if self.outer is None else self.outer.root

    def name(self, wish: str) -> str:
        """A name that nothing has yet."""
        count = self._names[wish] = self._names.get(wish, -1) + 1
        return self.name(f"{wish}_{count}") if count else wish

    def array(self, array: numpy.ndarray, wish: str = "constant", learned: bool = False) -> Value:
        """An array that the file holds, as a parameter or a constant."""
        root = self.root
        name = root.name(wish)
        root.initializers[name] = onnx_package(".numpy_helper").from_array(
            numpy.ascontiguousarray(array).reshape(array.shape), name
        )
        value = Value(name, array.shape, array.dtype, array)
        root.held.append((value, learned))
        return value

    def number(self, value: Any, dtype: Any, axes: int = 0) -> Value:
        """A constant with so many axes of length 1; each stands in the file once.

        It is a node: loaded again it is a number of the code, and no parameter.
        """
        array = numpy.full((1,) * axes, value, dtype)
        return self._constant(("number", array.tobytes(), str(array.dtype), axes), array)

    def ints(self, values: Sequence[int]) -> Value:
        """Axes, lengths or places."""
        array = numpy.array(values, numpy.int64).reshape(len(values))
        return self._constant(("ints", tuple(int(v) for v in values)), array)

    def _constant(self, key: Any, array: numpy.ndarray) -> Value:
        root = self.root
        if key not in root._known:
            name = root.name("constant")
            value = onnx_package(".numpy_helper").from_array(array)
            root.nodes.append(onnx_package(".helper").make_node("Constant", [], [name], name, value=value))
            root._known[key] = Value(name, array.shape, array.dtype, array)
        return root._known[key]

    def add(
        self,
        kind: str,
        inputs: Sequence[Value | None],
        shapes: Sequence[tuple[Any, ...]],
        dtypes: Any = None,
        wish: str = "",
        **attributes: Any,
    ) -> list[Value]:
        """A node; its outputs.

        Args:
            shapes: of the outputs.
            dtypes: of the outputs, where that is not the first input's.
            wish: what to call it.
        """
        if dtypes is None:
            dtypes = next(x.dtype for x in inputs if x is not None)
        kinds = list(dtypes) if isinstance(dtypes, (list, tuple)) else [dtypes] * len(shapes)
        name = self.name(wish or kind.lower())
        names = [name if not i else self.name(f"{name}.{i}") for i in range(len(shapes))]
        given = ["" if x is None else x.name for x in inputs]
        while given and not given[-1]:
            given.pop()
        self.nodes.append(onnx_package(".helper").make_node(kind, given, names, name, **attributes))
        return [Value(n, s, d) for n, s, d in zip(names, shapes, kinds, strict=True)]

    def one(
        self,
        kind: str,
        inputs: Sequence[Value | None],
        shape: tuple[Any, ...],
        dtype: Any = None,
        **more: Any,
    ) -> Value:
        """A node with one output."""
        return self.add(kind, inputs, [shape], dtype, **more)[0]

    # -- lengths ---------------------------------------------------------------------------------------------

    def length(self, length: Any) -> Value:
        """A length (1,), as a number of the graph."""
        if not isinstance(length, Length):
            return self.ints([length])
        root = self.root
        if length not in root._known:
            root._known[length] = root._length(length)
        return root._known[length]

    def _length(self, length: Length) -> Value:
        if length == UNKNOWN:
            raise CheckpointError(
                "export: the model needs the length of an axis that depends on those of its input in a way "
                "that no file can hold: fix these with axes={}"
            )
        value = None
        for name in length.names:
            source, axis = self.sources[name]
            given = Value(source, (), numpy.dtype("int64"))
            one = self.one("Shape", [given], (1,), wish=name, start=axis, end=axis + 1)
            value = one if value is None else self.one("Mul", [value, one], (1,))
        assert value is not None
        if length.scale != 1:
            value = self.one("Mul", [value, self.ints([length.scale])], (1,))
        return self.one("Add", [value, self.ints([length.offset])], (1,)) if length.offset else value

    def lengths(self, shape: Sequence[Any]) -> Value:
        """A shape as a vector of the graph."""
        if not any(isinstance(n, Length) for n in shape):
            return self.ints(list(shape))
        parts = [self.length(n) for n in shape]
        return parts[0] if len(parts) == 1 else self.one("Concat", parts, (len(shape),), axis=0)

    def scalar(self, value: Any, dtype: Any) -> Value:
        """A Python number, or a :class:`Length`, beside tensors of a dtype."""
        if not isinstance(value, Length):
            return self.number(value, dtype)
        whole = Length(value.names, value.scale, value.offset)
        number = self.one("Squeeze", [self.length(whole), self.ints([0])], ())
        number = self.one("Cast", [number], (), dtype, to=NUMBERS[numpy.dtype(dtype)])
        return self.one("Reciprocal", [number], ()) if value.reciprocal else number

    def cast(self, x: Value, dtype: Any) -> Value:
        """x in another dtype, itself where it has it."""
        dtype = numpy.dtype(dtype)
        return x if x.dtype == dtype else self.one("Cast", [x], x.shape, dtype, to=number_of(dtype))

    def reshaped(self, x: Value, shape: Sequence[Any]) -> Value:
        """x with the same elements in another shape."""
        shape = tuple(shape)
        free = [n for n in shape if isinstance(n, Length)]
        if len(free) == 1:  # what is left
            target = self.ints([-1 if isinstance(n, Length) else n for n in shape])
            return self.one("Reshape", [x, target], shape, allowzero=int(0 in shape))
        return self.one("Reshape", [x, self.lengths(shape)], shape)


def number_of(dtype: Any) -> int:
    """The format's number of a dtype.

    Raises:
        CheckpointError: it has none.
    """
    if dtype not in NUMBERS:
        raise CheckpointError(f"export: files of ONNX lack the dtype {dtype}")
    return NUMBERS[dtype]


def shown(shape: Sequence[Any]) -> list[Any]:
    """A shape as a file declares it: names of lengths that are an input's, None where nothing is said."""
    return [
        int(n) if not isinstance(n, Length) else n.names[0] if n.names and n == Length(n.names[:1]) else None
        for n in shape
    ]


Emit = Callable[..., Any]
"""emit(writer, operands, params, results): the values of a row; see :mod:`.rows`."""
