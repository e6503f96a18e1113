"""Which of a file's arrays are parameters.

ONNX itself does not tell what was trained from what was a constant of the code. So, of the arrays of floats:

    said       what the file's writer said of an array holds: PyTorch's exporter says PARAMETER, BUFFER or
               CONSTANT_TENSOR of each, and files of this library say the same
    otherwise  all are parameters but numbers without axes, and those that only go where nothing is learned:
               exponents, bounds, fills; the mean and the variance of a BatchNormalization; one value that is
               expanded; an initial state that is the same everywhere
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy

from .graph import Graph
from .operators.table import Node

KIND = "pkg.torch.export.graph_signature.InputSpec.kind"
"""Where a file says of an array what it was: in the metadata beside its type."""

PARAMETER, CONSTANT = "PARAMETER", "CONSTANT_TENSOR"

_FIXED = {
    "BatchNormalization": (3, 4), "Shape": (0,), "Size": (0,), "Equal": (0, 1), "Less": (0, 1),
    "LessOrEqual": (0, 1), "Greater": (0, 1), "GreaterOrEqual": (0, 1),
}  # fmt: skip
"""Inputs of operators that no residual should or can reach, beside those that are numbers of the code."""

_STATES = {"RNN": (5,), "GRU": (5,), "LSTM": (5, 6)}

_ONWARDS = (
    "Identity", "Cast", "Slice", "Split", "Squeeze", "Unsqueeze", "Reshape", "Transpose", "Flatten",
    "Concat", "Tile",
)  # fmt: skip
"""Operators that hand on elements of their first input, or of all."""


def said_of(message: Any) -> dict[str, bool]:
    """Of the arrays of a graph whether they are parameters, where the file says it."""
    return {
        value.name: entry.value == PARAMETER
        for value in (*message.value_info, *message.input)
        for entry in value.metadata_props
        if entry.key == KIND
    }


def parameters_of(graph: Graph, in_code: set[str], said: Mapping[str, bool]) -> set[str]:
    """Those of the arrays of a graph that are parameters.

    Args:
        in_code: arrays that stand in the code, as Constant nodes, and not among the weights. They are none if
            they are single numbers, or nothing uses them.
        said: what the file says of some.
    """
    ways: dict[int, Any] = {}
    return {
        name
        for name, array in graph.constants.items()
        if array.dtype.kind == "f"
        and said.get(name, array.ndim > 0 and _is_learned(graph, name, array, name in in_code, ways))
    }


def _is_learned(graph: Graph, name: str, array: numpy.ndarray, in_code: bool, ways: dict[int, Any]) -> bool:
    uses = list(_uses(graph, name, ways, set()))
    if in_code and (array.size == 1 or not uses):
        return False
    return not uses or not all(node is not None and _is_set(node, place, array) for node, place in uses)


def _is_set(node: Node, place: int, array: numpy.ndarray) -> bool:
    """Whether an array is nothing to be learned as an input of an operator."""
    operator = node.operator
    if place in operator.host or place in _FIXED.get(operator.name, ()):
        return True
    if place in operator.plain or operator.name == "Expand":
        return array.size == 1
    states: Sequence[int] = _STATES.get(operator.name, ())
    if operator.name == "Scan":
        first = int(node.opset < 9)  # which is the lengths
        states = range(first, len(node.inputs) - node.get("num_scan_inputs"))
    return place in states and bool((array == array.flat[:1]).all())


def _uses(
    graph: Graph, name: str, ways: dict[int, Any], seen: set[tuple[int, str]]
) -> Iterator[tuple[Node | None, int]]:
    """The operators that compute with a value, and as which input; None where it is an output."""
    if (id(graph), name) in seen:
        return
    seen.add((id(graph), name))
    if name in graph.outputs:
        yield None, 0
    for node, place in _ways(graph, ways).get(name, ()):
        if isinstance(node, Graph):
            yield from _uses(node, name, ways, seen)
        elif node.operator.name in _ONWARDS and place not in node.operator.host:
            for output in node.outputs:
                yield from _uses(graph, output, ways, seen)
        else:
            yield node, place


def _ways(graph: Graph, ways: dict[int, Any]) -> dict[str, list[tuple[Any, int]]]:
    """Of each name in a graph where it goes: to inputs of nodes, and into graphs in them."""
    if id(graph) not in ways:
        found: dict[str, list[tuple[Any, int]]] = {}
        for node in graph.nodes:
            for place, name in enumerate(node.inputs):
                found.setdefault(name, []).append((node, place))
            for value in node.attributes.values():
                if isinstance(value, Graph):
                    for name in value.free:
                        found.setdefault(name, []).append((value, 0))
        ways[id(graph)] = found
    return ways[id(graph)]
