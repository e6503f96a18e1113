"""From what several traces have in common to nodes of a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy

from ....errors import CheckpointError
from ....sequence.program import Number
from ....tensor import Tensor
from ..package import onnx_package
from ..parameters import CONSTANT, KIND, PARAMETER
from .cells import write_cell
from .rows import emitted
from .traced import Joined, Scanned
from .writer import Value, Writer, number_of, shown


class Held:
    """The model's tensors, each of which the file holds once.

    Attributes:
        names: of its parameters, by their ``id``.
    """

    def __init__(self, names: Mapping[int, str]) -> None:
        self.names = names
        self._values: dict[Any, tuple[Value, Any]] = {}

    def tensor(self, w: Writer, x: Tensor) -> Value:
        """A tensor; a parameter has its name in the model."""
        if x.entry is not None:
            raise CheckpointError(
                "export: the model holds a tensor that was computed before: .detach() it, or make it an input"
            )
        name, array = self.names.get(id(x)), x._backend.to_host(x._data)
        if array.ndim == 0 and not self.learned(x):
            return w.number(array, array.dtype)
        return self.array(w, id(x), array, name or "constant", x, self.learned(x))

    def learned(self, x: Tensor) -> bool:
        """Whether it is a parameter: of the model, or of a function what requires a residual."""
        return id(x) in self.names or x.requires_grad

    def array(self, w: Writer, key: Any, array: numpy.ndarray, name: str, owner: Any, learned: bool) -> Value:
        """An array under a name, which is held as long as its owner."""
        if key not in self._values:
            self._values[key] = w.array(array, name, learned), owner
        return self._values[key][0]


def write(w: Writer, held: Held, joined: Joined, inputs: Sequence[Value]) -> list[Value]:
    """Write all operations; what comes out.

    Args:
        inputs: the values that are given.
    """
    values: dict[int, Value] = dict(zip(joined.inputs, inputs, strict=True))

    def value(number: int) -> Value:
        if number not in values:  # in the order in which they are used
            x, shape, dtype = joined.outside[number], joined.shapes[number], joined.dtypes[number]
            values[number] = _outside(w, held, x, shape, dtype)
        return values[number]

    for step in joined.steps:
        operands = [x if isinstance(x, Number) else value(x) for x in step.operands]
        ys = [Value("", joined.shapes[v], joined.dtypes[v]) for v in step.results]
        if step.scanned is None:
            made = emitted(w, step.row.name, operands, step.params, ys)
        elif step.scanned[1] is None:
            scan = step.scanned[0]
            made = write_cell(w, held, scan.cell, scan.reverse, operands, scan.weights, ys)
        else:
            made = _write_scan(w, held, step.scanned[0], step.scanned[1], operands, ys)
        for v, x, y in zip(step.results, made, ys, strict=True):
            values[v] = Value(x.name, y.shape, y.dtype)
    return [value(v) for v in joined.results]


def _outside(w: Writer, held: Held, x: Any, shape: tuple[Any, ...], dtype: Any) -> Value:
    """A tensor of the model; or one number everywhere, in a shape that a call decides."""
    if isinstance(x, Tensor):
        return held.tensor(w, x)
    fill = w.number(x, dtype)
    return w.one("Expand", [fill, w.lengths(shape)], shape) if shape else fill


def information(value: Value) -> Any:
    """An input or output as a file declares it."""
    helper = onnx_package(".helper")
    return helper.make_tensor_value_info(value.name, number_of(value.dtype), shown(value.shape))


def kind_of(value: Value, learned: bool) -> Any:
    """Of an array what it is, for those who train the file's model."""
    found = information(value)
    onnx_package(".helper").set_metadata_props(found, {KIND: PARAMETER if learned else CONSTANT})
    return found


def ended(w: Writer, values: Sequence[Value], names: Sequence[str]) -> list[Value]:
    """Values under the names of a graph's outputs, which nothing else has."""
    found = []
    for value, name in zip(values, names, strict=True):
        node = onnx_package(".helper").make_node("Identity", [value.name], [name], f"{name} comes out")
        w.nodes.append(node)
        found.append(Value(name, value.shape, value.dtype))
    return found


# -- a cell that is traced -----------------------------------------------------------------------------------


def _write_scan(
    w: Writer, held: Held, scan: Scanned, step: Joined, operands: Sequence[Any], ys: Sequence[Value]
) -> list[Value]:
    """A Scan, whose body is the trace of a step: the outputs, and the states after the last step."""
    xs, states = operands[: scan.inputs], operands[scan.inputs : scan.inputs + scan.states]
    lengths = operands[scan.inputs + scan.states :]
    live = [_live(w, xs[0], lengths[0])] if lengths else []
    inner = Writer(w)
    given = [Value(inner.name("step"), step.shapes[v], step.dtypes[v]) for v in step.inputs]
    results = write(inner, held, step, given)
    new, outputs = results[len(results) - scan.states :], results[: len(results) - scan.states]
    counts = [Value(inner.name("live"), (x.shape[1],), x.dtype) for x in live]
    if counts:
        old = given[scan.inputs :]
        new = [_chosen(inner, counts[0], a, b) for a, b in zip(new, old, strict=True)]
        zeros = [inner.number(0, y.dtype) for y in outputs]
        outputs = [_chosen(inner, counts[0], a, b) for a, b in zip(outputs, zeros, strict=True)]
    after = [*new, *outputs]
    ends = ended(inner, after, [inner.name("after") for _ in after])
    begins = [*given[scan.inputs :], *given[: scan.inputs], *counts]
    body = onnx_package(".helper").make_graph(
        inner.nodes, inner.name("body"), [information(x) for x in begins], [information(y) for y in ends]
    )
    attributes: dict[str, Any] = {"body": body, "num_scan_inputs": len(xs) + len(live)}
    if scan.reverse:
        attributes["scan_input_directions"] = [1] * (len(xs) + len(live))
        attributes["scan_output_directions"] = [1] * len(outputs)
    count = len(outputs)
    made = w.add(
        "Scan",
        [*states, *xs, *live],
        [y.shape for y in (*ys[count:], *ys[:count])],
        [y.dtype for y in (*ys[count:], *ys[:count])],
        **attributes,
    )
    return [*made[scan.states :], *made[: scan.states]]


def _live(w: Writer, x: Value, lengths: Value) -> Value:
    """(T, B): which steps count."""
    steps, batch = x.shape[0], x.shape[1]
    end = w.one("Squeeze", [w.length(steps), w.ints([0])], ())
    places = w.one("Range", [w.number(0, "int64"), end, w.number(1, "int64")], (steps,))
    column = w.one("Unsqueeze", [places, w.ints([1])], (steps, 1))
    return w.one("Less", [column, w.cast(lengths, "int64")], (steps, batch), numpy.dtype(bool))


def _chosen(w: Writer, live: Value, new: Value, old: Value) -> Value:
    """The new value of samples whose steps count, else the old one."""
    if new.ndim > 1:
        axes = list(range(1, new.ndim))
        live = w.one("Unsqueeze", [live, w.ints(axes)], (*live.shape, *[1] * len(axes)))
    return w.one("Where", [live, new, old], new.shape, new.dtype)
