"""Operators that hold graphs: a choice between two, and one that is run at every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from .... import backends, ops
from ....sequence import scan
from ....tensor import Tensor
from ..graph import Graph, on, run
from .table import Node, operator


def _check_if(node: Node) -> None:
    if any(len(node.graph(name).outputs) != len(node.outputs) for name in ("then_branch", "else_branch")):
        node.refuse("its branches do not have as many outputs as it has")


@operator("If", "then_branch else_branch", outputs=None, inner=True, check=_check_if)
def _if(node: Node, values: dict[str, Any], condition: Any) -> list[Any]:
    """The condition is looked at: no residual reaches it."""
    chosen = numpy.asarray(condition.numpy() if isinstance(condition, Tensor) else condition)
    if chosen.size != 1:
        node.refuse(f"the condition has the shape {chosen.shape}: one value decides")
    graph = node.graph("then_branch" if bool(chosen.reshape(())) else "else_branch")
    return run(graph, graph.found(values))


class Body:
    """The graph of a Scan as a cell.

    Attributes:
        graph: its inputs are the states and then the inputs of a step, its outputs the states after it and
            then its outputs.
        values: what it finds around it.
        states: how many states there are.
    """

    def __init__(self, graph: Graph, values: dict[str, Any], states: int) -> None:
        self.graph = graph
        self.values = values
        self.states = states

    def __call__(self, xs: Sequence[Tensor], state: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        names = [given.name for given in self.graph.inputs]
        results = run(self.graph, {**self.values, **dict(zip(names, (*state, *xs), strict=True))})
        backend = xs[0]._backend
        tensors = [on(backend, y) for y in results]
        return tensors[self.states :], tensors[: self.states]


def _check_scan(node: Node) -> None:
    many = node.get("num_scan_inputs")
    batched = node.opset < 9
    inputs, outputs = len(node.inputs) - batched, len(node.outputs)
    body = node.graph("body")
    if not 1 <= many <= inputs or len(body.inputs) != inputs or len(body.outputs) != outputs:
        node.refuse("the numbers of inputs and outputs do not fit those of its body")


@operator(
    "Scan",
    "body num_scan_inputs directions scan_input_axes scan_input_directions scan_output_axes "
    "scan_output_directions",
    outputs=None,
    inner=True,
    check=_check_scan,
)
def _scan(node: Node, values: dict[str, Any], *inputs: Any) -> list[Any]:
    """States first, then what is cut into steps; the body is a cell, which the sequence compiler runs.

    Since opset 9 nothing knows of a batch. Before, the first input is the lengths, and the batch is the first
    axis of everything.
    """
    batched = node.opset < 9
    lengths, given = (inputs[0], inputs[1:]) if batched else (None, inputs)
    like = next((x for x in given if isinstance(x, Tensor)), None)
    home = backends.current() if like is None else like._backend
    given = tuple(on(home, x) for x in given)
    count = len(given) - node.get("num_scan_inputs")
    states, xs = given[:count], given[count:]
    results = len(node.outputs) - count
    into = node.get("scan_input_directions", node.get("directions", [0] * len(xs)))
    out = node.get("scan_output_directions", [0] * results)
    body = Body(node.graph("body"), node.graph("body").found(values), count)
    if batched:
        ys, last = _each_sample(body, xs, states, lengths, into)
        return [*last, *ys]
    axes = node.get("scan_input_axes", [0] * len(xs))
    cut = [ops.moveaxis(x, axis, 0) for x, axis in zip(xs, axes, strict=True)]
    cut = [ops.flip(x, 0) if backwards else x for x, backwards in zip(cut, into, strict=True)]
    ys, last = _steps(body, cut, states)
    places = node.get("scan_output_axes", [0] * results)
    ys = [ops.flip(y, 0) if backwards else y for y, backwards in zip(ys, out, strict=True)]
    return [*last, *(ops.moveaxis(y, 0, axis) for y, axis in zip(ys, places, strict=True))]


def _steps(body: Body, xs: Sequence[Tensor], states: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    ys, last = scan(body, list(xs), list(states))
    return ys, last


def _each_sample(
    body: Body, xs: Sequence[Tensor], states: Sequence[Tensor], lengths: Any, into: Sequence[int]
) -> tuple[list[Tensor], list[Tensor]]:
    """Sample by sample, since a body may add up all that it is given; outputs are 0 beyond a length."""
    steps = xs[0].shape[1]
    ends = [steps] * xs[0].shape[0] if lengths is None else [int(n) for n in numpy.asarray(lengths)]
    all_ys, all_last = [], []
    for sample, end in enumerate(ends):
        cut = [ops.getitem(x, (sample, slice(0, end))) for x in xs]
        cut = [ops.flip(x, 0) if backwards else x for x, backwards in zip(cut, into, strict=True)]
        ys, last = _steps(body, cut, [ops.getitem(s, sample) for s in states])
        all_ys.append([ops.pad(y, [(0, steps - end), *[(0, 0)] * (y.ndim - 1)]) for y in ys])
        all_last.append(last)
    together = [
        [ops.stack(parts) for parts in zip(*all_parts, strict=True)] for all_parts in (all_ys, all_last)
    ]
    return together[0], together[1]
