"""A model of a file as a module."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import numpy

from ... import arguments, backends
from ...arguments import DTypeLike
from ...errors import ArgumentError, DtypeError, ShapeError
from ...nn import Module, Parameter
from ...ops import ArrayLike, as_tensor
from ...sequence import explain
from ...tape import lift
from ...tensor import Tensor
from .file import read
from .graph import Given, Graph, on, run, weight_key
from .operators.recurrent import Kept
from .reading import Reader, with_weights

M = TypeVar("M", bound="Model")


class Model(Module):
    """A graph of ONNX's operators, as :func:`load` reads it from a file.

    It is called with arrays or tensors in the order of the graph's inputs, and returns a tuple of the graph's
    outputs, also of one. It trains on as any module does: its parameters are the file's float arrays, under
    the names that they have there; those apart that the file calls constants, or, where it says nothing,
    numbers without axes and what only sets something: an exponent, a bound, a fill, a statistic of a
    BatchNormalization, an initial state that is the same everywhere. One is frozen by
    ``dict(model.named_parameters())["mean"].requires_grad_(False)``.

    Attributes:
        inputs: the names of the graph's inputs.
        outputs: the names of its outputs.

    >>> tg.interop.onnx.export(tg.nn.Linear(2, 3), "linear.onnx")
    >>> model = tg.interop.onnx.load("linear.onnx")
    >>> model.inputs, model.outputs, sorted(model.state_dict())
    (('x',), ('y',), ['bias', 'weight'])
    """

    def __init__(self, graph: Graph, weights: dict[str, numpy.ndarray], message: Any) -> None:
        self.graph = graph
        self.message = message
        self.inputs: tuple[str, ...] = tuple(given.name for given in graph.inputs)
        self.outputs: tuple[str, ...] = tuple(graph.outputs)
        self.dtype: Any = None
        self.weights: dict[str, Any] = {name: Parameter(array) for name, array in weights.items()}

    def _members(self) -> Iterator[tuple[str, Any]]:
        yield from self.weights.items()

    def __call__(self, *inputs: ArrayLike) -> tuple[Tensor, ...]:
        """Run the graph.

        Args:
            inputs: in the order of :attr:`inputs`.

        Returns:
            The outputs in the order of :attr:`outputs`.

        Raises:
            ArgumentError: there are too few or too many inputs.
            ShapeError, DtypeError: one is not what the file declares, or an operator cannot take what it
                gets; names the input, or the node.
        """
        if len(inputs) != len(self.inputs):
            raise ArgumentError(
                f"the model takes {len(self.inputs)} inputs, {', '.join(self.inputs)}, and got {len(inputs)}"
            )
        parameter = next(iter(self.weights.values()), None)
        backend = None if parameter is None else parameter._backend
        given = [
            self._taken(declared, x, backend) for declared, x in zip(self.graph.inputs, inputs, strict=True)
        ]
        parameters = {weight_key(name): parameter for name, parameter in self.weights.items()}
        values = {**parameters, **self.graph.found(parameters), **dict(zip(self.inputs, given, strict=True))}
        home = given[0]._backend if given else backend or backends.current()
        return tuple([on(home, y) for y in run(self.graph, values)])

    def _taken(self, declared: Given, x: Any, backend: Any) -> Tensor:
        """An input as a tensor.

        Raises:
            ShapeError, DtypeError: it is not what the file declares.
        """
        dtype = declared.dtype
        if self.dtype is not None and dtype is not None and dtype.kind == "f":
            dtype = self.dtype
        if not hasattr(x, "dtype") and dtype is not None:  # Python's numbers
            x = numpy.asarray(x, dtype)
        tensor = as_tensor(x) if backend is None else lift(x, backend)
        if dtype is not None and tensor.dtype != dtype:
            raise DtypeError(
                f"the input {declared.name!r} has dtype {tensor.dtype}: the model takes {dtype}; convert it "
                "with .astype(dtype)"
            )
        lengths = declared.shape
        if lengths is not None and (
            len(lengths) != tensor.ndim
            or any(isinstance(n, int) and n != m for n, m in zip(lengths, tensor.shape, strict=True))
        ):
            shown = ", ".join("…" if n is None else str(n) for n in lengths)
            raise ShapeError(
                f"the input {declared.name!r} has shape {tensor.shape}: the model takes ({shown})"
            )
        return tensor

    def explain(self) -> str:
        """How the cells of its nodes RNN, LSTM and GRU were last run in this thread; see
        :func:`tinygrad_rnn.explain`.

        >>> tg.interop.onnx.export(tg.nn.GRU(2, 3), "gru.onnx")
        >>> model = tg.interop.onnx.load("gru.onnx")
        >>> y, h = model(tg.zeros((10, 5, 2)))
        >>> print(model.explain())
        node 'GRU' (GRU), GRUCell: ...
        """
        nodes = [node for graph in self.graph.inside() for node in graph.nodes]
        lines = []
        for node in nodes:
            if isinstance(node.kept, Kept):
                cells = node.kept.own_cells()
                lines += [f"{node.label}, {explain(cell)}" for cell in cells] or [
                    f"{node.label}: not run yet"
                ]
        return "\n".join(lines) or "Model: no node of it is RNN, LSTM or GRU"

    def astype(self: M, dtype: DTypeLike) -> M:
        """Change all floats of the model to another dtype, in place: its parameters, its constants, and what
        it casts to; residuals are forgotten. Make the optimiser afterwards.

        Raises:
            DtypeError: it is no float.
        """
        super().astype(dtype)
        self.dtype = arguments.float_dtype("Model.astype: dtype", dtype)
        for graph in self.graph.inside():
            graph.constants = {name: _as(array, self.dtype) for name, array in graph.constants.items()}
            for node in graph.nodes:
                node.attributes = {name: _as(value, self.dtype) for name, value in node.attributes.items()}
        return self

    def content(self) -> bytes:
        """Of the file that it was read from, with the weights of now.

        Raises:
            CheckpointError: their dtypes are others.
        """
        weights = {name: w._backend.to_host(w._data) for name, w in self.weights.items()}
        return with_weights(self.message, weights)


def _as(value: Any, dtype: Any) -> Any:
    """Another dtype, of arrays and of dtypes that are floats."""
    if isinstance(value, numpy.ndarray):
        return value.astype(dtype) if value.dtype.kind == "f" else value
    return dtype if isinstance(value, numpy.dtype) and value.kind == "f" else value


def load(path: Any) -> Model:
    """A model from an ONNX file.

    >>> tg.interop.onnx.export(tg.nn.LSTM(2, 3), "lstm.onnx")
    >>> model = tg.interop.onnx.load("lstm.onnx")
    >>> y, h, c = model(tg.zeros((10, 5, 2)))
    >>> y.shape
    (10, 5, 3)

    Args:
        path: of the file. Arrays that it keeps in other files must lie in its folder, or below.

    Raises:
        CheckpointError: the package onnx is missing; there is no such file; it is none of ONNX, cut short or
            not valid; it needs an operator, an attribute or a type that is not supported, which is named with
            its node; it claims arrays outside of its folder.
    """
    message = read(path)
    reader = Reader(message)
    return Model(reader.graph, reader.weights, message)
