"""The weights of an ONNX file under PyTorch's names: those of the operators RNN, LSTM and GRU in PyTorch's
layouts, all others as they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy

from ..errors import CheckpointError
from ..nn import gate_orders
from .onnx.file import read
from .onnx.package import onnx_package
from .onnx.reading import array_of

_ORDERS = {
    "RNN": ("n", "n"),
    "LSTM": (gate_orders.LSTM["onnx"], gate_orders.LSTM["torch"]),
    "GRU": (gate_orders.GRU["onnx"], gate_orders.GRU["torch"]),
}
_OWN = re.compile(r"(?:(.*)\.)?(l\d+)(_reverse)?")
"""How :func:`tinygrad_rnn.interop.onnx.export` calls the nodes of a layer."""

Options = dict[str, dict[str, str]]


def state(path: str) -> tuple[dict[str, numpy.ndarray], Options, list[str]]:
    """The arrays of a file by name; of each layer the options that decide what they mean; and lines that say
    what else the file tells of its recurrent layers.

    Raises:
        CheckpointError: as :func:`tinygrad_rnn.interop.onnx.load`.
    """
    graph = read(path).graph
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
        prefix, ending, told = _name(node, attributes)
        if node.op_type == "GRU" and not attributes.get("linear_before_reset", 0):
            options[prefix] = {"reset": "before"}
            told.append('linear_before_reset=0: make the layer with reset="before"')
        lines.append("; ".join([f"{prefix or node.name}: {node.op_type}", *told]))
        values = _values(node.op_type, {key: arrays[name] for key, name in given.items()})
        for d, parameters in enumerate(values):
            last = ending if d == 0 else f"{ending}_reverse"
            before = f"{prefix}." if prefix else ""
            _put(path, found, {f"{before}{name}_{last}": array for name, array in parameters.items()})
        used |= set(given.values())
    _put(path, found, {name: array for name, array in arrays.items() if name not in used})
    return found, options, lines


def _put(path: str, found: dict[str, numpy.ndarray], more: Mapping[str, numpy.ndarray]) -> None:
    if twice := sorted(found.keys() & more.keys()):
        raise CheckpointError(f"{path} holds two arrays that would be called {twice[0]!r}: rename its nodes")
    found.update(more)


def _name(node: Any, attributes: Mapping[str, Any]) -> tuple[str, str, list[str]]:
    """What a layer is called, how PyTorch's names of its parameters end, and what they do not say of it.

    PyTorch's exporter calls the layers of a module ``lstm`` "/lstm/LSTM", "/lstm/LSTM_1", …
    """
    told = []
    for name, usual in (("activations", None), ("clip", None), ("input_forget", 0)):
        value = attributes.get(name, usual)
        if value != usual and value not in _USUAL:
            told.append(f"{name}={[word.decode() for word in value] if name == 'activations' else value}")
    own = _OWN.fullmatch(node.name)
    direction = attributes.get("direction", b"forward").decode()
    if own:
        return own[1] or "", f"{own[2]}{own[3] or ''}", told
    if direction == "reverse":
        told.append("direction='reverse': make the layer with reverse=True")
    path, _, last = node.name.strip("/").rpartition("/")
    count = re.fullmatch(rf"{node.op_type}(?:_(\d+))?", last)
    if count:
        return path.replace("/", "."), f"l{count[1] or 0}", told
    return node.name.strip("/").replace("/", ".") or node.output[0], "l0", told


_USUAL = [
    [word.encode() for word in words] * count
    for words in (["Tanh"], ["Sigmoid", "Tanh"], ["Sigmoid", "Tanh", "Tanh"])
    for count in (1, 2)
]
"""The activations of PyTorch's layers."""


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
