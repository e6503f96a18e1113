"""From the format's messages to graphs that run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy

from ...errors import CheckpointError
from .file import graphs_in, label, opset_of
from .graph import Given, Graph, Name, weight_key
from .operators import operators
from .operators.table import Node
from .package import onnx_package
from .parameters import parameters_of, said_of

DTYPES: dict[int, numpy.dtype[Any]] = {
    number: numpy.dtype(name)
    for number, name in {
        1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool",
        10: "float16", 11: "float64", 12: "uint32", 13: "uint64",
    }.items()
}  # fmt: skip
"""What tensors can be, by the format's numbers."""


class Reader:
    """Makes graphs of a model's messages.

    Attributes:
        opset: of the model.
        weights: the float arrays of the file that are weights, by name; no two graphs share one.
        places: the messages that hold them: an array's, or the attribute of a node.
    """

    def __init__(self, model: Any) -> None:
        self.opset: int = opset_of(model)
        self.weights: dict[str, numpy.ndarray] = {}
        self.places: dict[str, Any] = {}
        self.graph: Graph = self._graph(model.graph, "")

    def _graph(self, message: Any, place: str) -> Graph:
        """
        Args:
            place: which graph it is, for the names of its weights.
        """
        if message.sparse_initializer:
            raise CheckpointError("the file holds sparse arrays, which are not supported")
        arrays = {tensor.name: array_of(tensor) for tensor in message.initializer}
        places: dict[str, Any] = {tensor.name: tensor for tensor in message.initializer}
        inputs = [_given(value) for value in message.input if value.name not in arrays]
        nodes = []
        for node in message.node:
            read = self._node(node, place)
            if read.operator.name == "Constant":
                arrays[read.outputs[0]] = read.operator.run(read)
                places[read.outputs[0]] = node.attribute[0]
            else:
                nodes.append(read)
        in_code = set(arrays) - {tensor.name for tensor in message.initializer}
        graph = Graph(inputs, [value.name for value in message.output], nodes, arrays)
        for name in sorted(parameters_of(graph, in_code, said_of(message)), key=list(arrays).index):
            unique = name if name not in self.weights else f"{place}{name}"
            self.weights[unique] = arrays.pop(name)
            self.places[unique] = places[name]
            graph.weights[name] = unique
        graph.free = tuple(sorted(_free(graph), key=str))
        return graph

    def _node(self, message: Any, place: str) -> Node:
        row, name = operators[message.op_type], message.name or next(iter(message.output), "")
        attributes = {}
        for attribute in message.attribute:
            if attribute.name not in row.attributes:
                raise CheckpointError(f"{label(message)}: its attribute {attribute.name!r} is not supported")
            attributes[attribute.name] = self._attribute(message, attribute, f"{place}{name}.")
        node = Node(label(message), row, tuple(message.input), tuple(message.output), attributes, self.opset)
        if row.check is not None:
            row.check(node)
        if row.outputs is not None and any(node.outputs[row.outputs :]):
            node.refuse(
                f"{len(node.outputs)} outputs are asked for, and {row.outputs} of {row.name} are supported"
            )
        if row.prepare is not None:
            node.kept = row.prepare(node)
        return node

    def _attribute(self, node: Any, attribute: Any, place: str) -> Any:
        value = onnx_package(".helper").get_attribute_value(attribute)
        if attribute.HasField("t"):
            return array_of(value, label(node))
        if attribute.HasField("g"):
            return self._graph(value, f"{place}{attribute.name}.")
        if any(True for _ in graphs_in(_only(node, attribute))):
            raise CheckpointError(f"{label(node)}: its attribute {attribute.name!r} is not supported")
        return DTYPES.get(value) if attribute.name == "to" else value


def with_weights(model: Any, weights: Mapping[str, numpy.ndarray]) -> bytes:
    """The content of the file that a model was read from, with other weights.

    Raises:
        CheckpointError: they have other dtypes or shapes than the file's.
    """
    copy = type(model)()
    copy.CopyFrom(model)
    helper, read = onnx_package(".numpy_helper"), Reader(copy)
    for name, place in read.places.items():
        array, before = weights[name], read.weights[name]
        if (array.dtype, array.shape) != (before.dtype, before.shape):
            raise CheckpointError(
                f"export: {name} is {array.dtype}{list(array.shape)} now, in the file that it was read from "
                f"{before.dtype}{list(before.shape)}: a loaded model is written with the dtypes that it had"
            )
        if hasattr(place, "floats"):  # a node's attribute
            place.CopyFrom(onnx_package(".helper").make_attribute("value", helper.from_array(array)))
        else:
            place.CopyFrom(helper.from_array(array, place.name))
    return bytes(copy.SerializeToString())


def _only(node: Any, attribute: Any) -> Any:
    """A node's message with one of its attributes alone."""
    alone = type(node)()
    alone.attribute.append(attribute)
    return alone


def array_of(tensor: Any, owner: str = "") -> numpy.ndarray:
    """The array of a message.

    Raises:
        CheckpointError: tensors lack its type, or it is damaged.
    """
    what = owner or f"the array {tensor.name!r}"
    if tensor.data_type not in DTYPES:
        raise CheckpointError(f"{what} is of the type {_type(tensor.data_type)}, which tensors lack")
    try:
        array = onnx_package(".numpy_helper").to_array(tensor)
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{what} is damaged: {error}") from error
    return numpy.array(array, DTYPES[tensor.data_type])  # one that can be written to


def _type(number: int) -> str:
    """What the format calls a type."""
    types = onnx_package().TensorProto.DataType
    return str(types.Name(number)) if number in types.values() else str(number)


def _given(value: Any) -> Given:
    kind = value.type
    if not kind.HasField("tensor_type"):
        if kind.WhichOneof("value") is None:  # of an inner graph
            return Given(value.name, None, None)
        raise CheckpointError(f"the input {value.name!r} is no tensor, which is not supported")
    declared = kind.tensor_type
    if declared.elem_type not in DTYPES and declared.elem_type != 0:
        kind_name = _type(declared.elem_type)
        raise CheckpointError(f"the input {value.name!r} is of the type {kind_name}, which tensors lack")
    shape = None
    if declared.HasField("shape"):
        shape = tuple(
            axis.dim_value if axis.HasField("dim_value") else axis.dim_param or None
            for axis in declared.shape.dim
        )
    return Given(value.name, DTYPES.get(declared.elem_type), shape)


def _free(graph: Graph) -> set[Name]:
    """The names that a graph uses and does not give."""
    known: set[Name] = {*graph.constants, *graph.weights, *(given.name for given in graph.inputs)}
    used: set[Name] = set()
    for node in graph.nodes:
        used |= {name for name in node.inputs if name} - known
        for value in node.attributes.values():
            if isinstance(value, Graph):
                used |= set(value.free) - known
                used |= {weight_key(name) for name in value.weights.values()}
        known |= set(node.outputs)
    return used | (set(graph.outputs) - known)
