"""A graph as it is run: nodes in order, each with its row of the table of operators."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy

from ... import backends
from ...backends import Backend
from ...errors import (
    ArgumentError,
    DtypeError,
    IndexRangeError,
    LinearAlgebraError,
    ShapeError,
    TinygradRNNError,
)
from ...tape import Block
from ...tensor import Tensor
from .operators.table import Node

Value = Any
"""What a name stands for while a graph runs: a tensor; or a NumPy array, of what the file and the shapes of
the inputs alone decide: that is computed on the host, in traces too."""


Name = Any
"""Of a value: the word of the file; or :func:`weight_key`, of a parameter of the model, which no file has."""


def weight_key(name: str) -> Name:
    """What a parameter of the model is found by in graphs inside of others."""
    return ("weight", name)


@dataclass(frozen=True)
class Given:
    """An input of a graph, as the file declares it.

    Attributes:
        dtype: None where it is not said.
        shape: a length, a name, or None for each axis; None where it is not said.
    """

    name: str
    dtype: Any
    shape: tuple[int | str | None, ...] | None


@dataclass(eq=False)
class Graph:
    """Operators in the order in which they run.

    Attributes:
        inputs: what is given when it is called, in order.
        outputs: names of what comes out.
        nodes: in order.
        constants: values that the file holds, by name.
        weights: of the parameters that it holds, the names here and in the model.
        free: names of values of the graphs around it that it uses, or that the graphs in it do.
    """

    inputs: list[Given]
    outputs: list[str]
    nodes: list[Node]
    constants: dict[str, numpy.ndarray]
    weights: dict[str, str] = field(default_factory=dict)
    free: tuple[Name, ...] = ()

    def inside(self) -> Iterator[Graph]:
        """It and the graphs in its nodes."""
        yield self
        for node in self.nodes:
            for value in node.attributes.values():
                if isinstance(value, Graph):
                    yield from value.inside()

    def found(self, values: Mapping[Name, Value]) -> dict[Name, Value]:
        """What names stand for before the first node, beside the inputs.

        Args:
            values: of the graphs around, with the model's parameters under their keys.
        """
        around = {name: values[name] for name in self.free}
        own = {here: values[weight_key(name)] for here, name in self.weights.items()}
        return {**around, **self.constants, **own}


def on(backend: Backend, value: Value) -> Tensor:
    """A value as a tensor; what is known on the host is brought to a backend."""
    return Tensor(backend.from_host(value), backend) if isinstance(value, numpy.ndarray) else value


def run(graph: Graph, values: dict[Name, Value]) -> list[Value]:
    """The outputs of a graph.

    Args:
        values: by name, what there is before the first node. What the nodes make is added.

    Raises:
        ShapeError, DtypeError, IndexRangeError: an operator cannot take its inputs; names the node.
    """
    for node in graph.nodes:
        results = _results(node, values)
        values.update((name, y) for name, y in zip(node.outputs, results, strict=False) if name)
    return [values[name] for name in graph.outputs]


def _results(node: Node, values: dict[Name, Value]) -> Iterable[Value]:
    xs = [values[name] if name else None for name in node.inputs]
    try:
        if node.operator.inner:
            results = node.operator.run(node, values, *xs)
        elif any(isinstance(x, Tensor) for x in xs):
            results = node.operator.run(node, *_operands(node, xs))
        else:
            results = _on_host(node, xs)
    except _NAMED as error:
        if str(error).startswith("node "):  # one inside of it
            raise
        raise type(error)(f"{node.label}: {error}") from error
    except TinygradRNNError:
        raise
    except _OF_BAD_FILES as error:
        raise ShapeError(
            f"{node.label}: {error}; its inputs are of shapes or values that mean nothing"
        ) from error
    return results if isinstance(results, (tuple, list)) else (results,)


_NAMED = (ArgumentError, DtypeError, IndexRangeError, LinearAlgebraError, ShapeError)
_OF_BAD_FILES = (ValueError, TypeError, LookupError, OverflowError, ZeroDivisionError, MemoryError)
"""What Python and NumPy raise where a file says a length that no memory holds, or a step of 0."""


def _operands(node: Node, xs: list[Value]) -> list[Value]:
    """The inputs as the operator takes them, on the backend of the first tensor."""
    backend = next(x._backend for x in xs if isinstance(x, Tensor))
    host, plain = node.operator.host, node.operator.plain

    def taken(place: int, x: Value) -> Value:
        if place in host:
            return x.numpy() if isinstance(x, Tensor) else x
        return x if x is None or place in plain else on(backend, x)

    return [taken(place, x) for place, x in enumerate(xs)]


def _on_host(node: Node, xs: list[Value]) -> list[Value]:
    """The results of what no tensor goes into."""
    host, home = node.operator.host | node.operator.plain, backends.get("numpy")
    with Block(tracing=None, recording=False):
        given = [x if x is None or place in host else on(home, x) for place, x in enumerate(xs)]
        results = node.operator.run(node, *given)
        results = results if isinstance(results, (tuple, list)) else (results,)
        return [y.numpy() if isinstance(y, Tensor) else y for y in results]
