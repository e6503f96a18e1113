"""The weights of an ONNX file under PyTorch's names: those of the operators RNN, LSTM and GRU in PyTorch's
layouts, all others as they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy

from ..errors import CheckpointError
from ..nn import gate_orders
from .onnx.file import opset_of, read
from .onnx.operators import recurrent
from .onnx.operators.table import Node, operators
from .onnx.package import onnx_package
from .onnx.reading import array_of
from .options import Options, shown, unusual
from .options import read as read_options

_ORDERS = {
    "RNN": ("n", "n"),
    "LSTM": (gate_orders.LSTM["onnx"], gate_orders.LSTM["torch"]),
    "GRU": (gate_orders.GRU["onnx"], gate_orders.GRU["torch"]),
}
_OWN = re.compile(r"(?:(.*)\.)?(l\d+)(_reverse)?")
"""How :func:`tinygrad_rnn.interop.onnx.export` calls the nodes of a layer."""


def state(path: str) -> tuple[dict[str, numpy.ndarray], Options, list[str]]:
    """The arrays of a file by name; of each layer the options that decide what they mean; and lines that say
    what else the file tells of its recurrent layers.

    Raises:
        CheckpointError: as :func:`tinygrad_rnn.interop.onnx.load`.
    """
    model = read(path)
    graph = model.graph
    stated = read_options({entry.key: entry.value for entry in model.metadata_props})
    arrays = {initializer.name: array_of(initializer) for initializer in graph.initializer}
    found: dict[str, numpy.ndarray] = {}
    used: set[str] = set()
    options: Options = {}
    lines = []
    for node in graph.node:
        inputs = dict(zip(("X", "W", "R", "B", "lengths", "h", "c", "P"), node.input, strict=False))
        given = {key: inputs[key] for key in "WRBP" if inputs.get(key)}
        if (
            node.op_type not in _ORDERS
            or not given.keys() >= {"W", "R"}
            or not set(given.values()) <= arrays.keys()
        ):
            continue
        attributes = {a.name: onnx_package(".helper").get_attribute_value(a) for a in node.attribute}
        prefix, ending, own = _name(node, attributes)
        if own and stated:
            given_options = stated.get(prefix, {})
        else:
            given_options = _options(node, attributes, own, opset_of(model))
            if options.get(prefix, given_options) != given_options:
                given_options = {"unlike": [options[prefix], given_options]}
        options[prefix] = given_options
        why = "linear_before_reset=0: " if given_options.get("reset") == "before" else ""
        told = [f"{why}make the layer with {shown(given_options)}"] if given_options else []
        lines.append("; ".join([f"{prefix or node.name}: {node.op_type}", *told]))
        values = _values(node.op_type, {key: arrays[name] for key, name in given.items()})
        for d, parameters in enumerate(values):
            last = ending if d == 0 else f"{ending}_reverse"
            before = f"{prefix}." if prefix else ""
            put(path, found, {f"{before}{name}_{last}": array for name, array in parameters.items()})
        used |= set(given.values())
    put(path, found, {name: array for name, array in arrays.items() if name not in used})
    options = {name: found for name, found in {**options, **stated}.items() if found}
    return found, options, lines


def put(path: str, found: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Take arrays in among others.

    Raises:
        CheckpointError: two have one name.
    """
    if twice := sorted(found.keys() & more.keys()):
        raise CheckpointError(f"{path} holds two arrays that would be called {twice[0]!r}: rename its layers")
    found.update(more)


def _name(node: Any, attributes: Mapping[str, Any]) -> tuple[str, str, bool]:
    """What a layer is called, how PyTorch's names of its parameters end, and whether the node is one of a
    layer of this library.

    PyTorch's exporter calls the layers of a module ``lstm`` "/lstm/LSTM", "/lstm/LSTM_1", …
    """
    own = _OWN.fullmatch(node.name)
    backwards = attributes.get("direction", b"forward") == b"reverse"
    if own and (backwards or not own[3]):
        return own[1] or "", f"{own[2]}{own[3] or ''}", True
    path, _, last = node.name.strip("/").rpartition("/")
    count = re.fullmatch(rf"{node.op_type}(?:_(\d+))?", last)
    if count:
        return path.replace("/", "."), f"l{count[1] or 0}", False
    return node.name.strip("/").replace("/", ".") or node.output[0], "l0", False


def _options(node: Any, attributes: Mapping[str, Any], own: bool, opset: int) -> dict[str, Any]:
    """The options of a node that are not the usual ones, as layers here are given them.

    Raises:
        CheckpointError: it has attributes that no layer here knows.
    """
    label = f"{node.name or node.output[0]} ({node.op_type})"
    read = Node(label, operators[node.op_type], tuple(node.input), tuple(node.output), attributes, opset)
    kept = recurrent.prepare(read)
    found, *others = [unusual(make) for make in kept.options]
    if others and others[0] != found:
        return {"unlike": [found, *others]}
    if kept.backwards == (True,) and not (own and node.name.endswith("_reverse")):
        found["reverse"] = True
    return found | ({"batch_first": True} if attributes.get("layout", 0) else {})


def _values(kind: str, arrays: Mapping[str, numpy.ndarray]) -> list[dict[str, numpy.ndarray]]:
    """The parameters of each direction."""
    theirs, ours = _ORDERS[kind]

    def reordered(array: numpy.ndarray) -> numpy.ndarray:
        return gate_orders.reorder(array, theirs, ours)

    found = []
    for d in range(len(arrays["W"])):
        values = {"weight_ih": reordered(arrays["W"][d]), "weight_hh": reordered(arrays["R"][d])}
        if "B" in arrays:
            first, second = numpy.split(arrays["B"][d], 2)
            values |= {"bias_ih": reordered(first), "bias_hh": reordered(second)}
        if "P" in arrays:
            peepholes = numpy.split(arrays["P"][d], 3)
            letters = gate_orders.ONNX_PEEPHOLES
            values |= {f"p_{letter}": part for letter, part in zip(letters, peepholes, strict=True)}
        found.append(values)
    return found
