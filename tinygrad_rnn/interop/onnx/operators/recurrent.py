"""The operators RNN, LSTM and GRU, run by the library's own cells.

                 X (T, B, I)   W (D, gates · H, I)   R (D, gates · H, H)   B (D, 2 · gates · H)
                       Y (T, D, B, H), Y_h and Y_c (D, B, H);  D directions
    layout=1           X and Y have the batch first, and so have the states

The cells have PyTorch's order of gates: weights are put in order at each call, on the tape, so that what is
trained are the arrays of the file. Where nothing is recorded, it is done once for arrays that stay the same.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy

from .... import nn, ops
from ....errors import ShapeError
from ....nn import activations, gate_orders
from ....sequence.bound_step import Weights
from ....tape import thread
from ....tensor import Tensor
from .table import Node, add, words

DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
"""Of each direction whether it runs from the end."""

_PLAIN = {
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "relu": "relu",
    "softsign": "softsign",
    "softplus": "softplus",
}

_NUMBERED: dict[str, tuple[Callable[..., Any], tuple[float | None, ...]]] = {
    "affine": (activations.affine, (None, None)),
    "elu": (activations.elu, (1.0,)),
    "hardsigmoid": (activations.hard_sigmoid, (0.2, 0.5)),
    "leakyrelu": (activations.leaky_relu, (0.01,)),
    "scaledtanh": (activations.scaled_tanh, (None, None)),
    "thresholdedrelu": (activations.thresholded_relu, (None,)),
}
"""Activations with an alpha, or an alpha and a beta, and what these are by default.

None where there is no default: the specification gives affine and scaled tanh none, and says 1 for the
thresholded ReLU, where onnxruntime computes with 0.
"""


@dataclass(frozen=True)
class Kind:
    """A recurrent operator.

    Attributes:
        gates: their order in a file.
        own: their order in a cell.
        defaults: the activations of a direction.
        states: how many tensors carry on.
    """

    gates: str
    own: str
    defaults: tuple[str, ...]
    states: int


KINDS = {
    "RNN": Kind("n", "n", ("Tanh",), 1),
    "GRU": Kind(gate_orders.GRU["onnx"], gate_orders.GRU["torch"], ("Sigmoid", "Tanh"), 1),
    "LSTM": Kind(gate_orders.LSTM["onnx"], gate_orders.LSTM["torch"], ("Sigmoid", "Tanh", "Tanh"), 2),
}


@dataclass
class Kept:
    """What a node keeps for its runs.

    Attributes:
        kind: the operator.
        backwards: of each direction whether it runs from the end.
        make: of each direction what makes its cell, from the sizes of input and state.
        cells: those that were made, for each thread its own, since a call puts weights into them.
        ordered: for each thread and direction, the arrays of a file that were put in order last without a
            tape, and what came of it.
    """

    kind: Kind
    backwards: tuple[bool, ...]
    make: list[Callable[..., Any]]
    cells: dict[Any, Any] = field(default_factory=dict)
    ordered: dict[Any, tuple[Weights, dict[str, Any]]] = field(default_factory=dict)

    def own_cells(self) -> list[Any]:
        """Those that this thread has made."""
        return [cell for key, cell in self.cells.items() if key[0] == threading.get_ident()]

    def __deepcopy__(self, memo: Any) -> Kept:
        return Kept(self.kind, self.backwards, self.make)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "cells": {}, "ordered": {}}


def prepare(node: Node) -> Kept:
    """
    Raises:
        CheckpointError: an attribute has a value that is not supported.
    """
    name = node.operator.name
    kind = KINDS[name]
    direction = words(node.get("direction", "forward"))
    if direction not in DIRECTIONS:
        node.refuse(f"there is no direction {direction!r}")
    if node.get("layout", 0) not in (0, 1):
        node.refuse(f"there is no layout {node.get('layout')}")
    backwards = DIRECTIONS[direction]
    options: dict[str, Any] = {"bias": _has(node, 3)}
    if node.get("clip"):
        options["gate_clip"] = node.get("clip")
    functions = _activations(node, kind, len(backwards))
    return Kept(kind, backwards, [_maker(node, name, each, options) for each in functions])


def _maker(node: Node, name: str, functions: list[Any], options: dict[str, Any]) -> Callable[..., Any]:
    """What makes the cell of a direction."""
    if name == "RNN":
        return functools.partial(nn.RNNCell, activation=functions[0], **options)
    options = {**options, "recurrent_activation": functions[0], "activation": functions[1]}
    if name == "GRU":
        reset = "after" if node.get("linear_before_reset", 0) else "before"
        return functools.partial(nn.GRUCell, reset=reset, **options)
    options |= {"output_activation": functions[2], "coupled": bool(node.get("input_forget", 0))}
    return functools.partial(nn.PeepholeLSTMCell if _has(node, 7) else nn.LSTMCell, **options)


def _has(node: Node, place: int) -> bool:
    return place < len(node.inputs) and node.inputs[place] != ""


def _activations(node: Node, kind: Kind, directions: int) -> list[list[Any]]:
    """The functions of each direction.

    The numbers stand one behind the other, those of all directions: each function takes as many as it has.
    """
    count = len(kind.defaults)
    names = [words(name) for name in node.get("activations", kind.defaults * directions)]
    if len(names) == 2 * count and directions == 1 and count == 1:
        names = names[:1]  # an RNN's default is one for each of two directions, and some files say it
    if len(names) != count * directions:
        node.refuse(f"{len(names)} activations, where {directions} directions have {count} each")
    alphas, betas = list(node.get("activation_alpha", ())), list(node.get("activation_beta", ()))
    functions = [_activation(node, name, alphas, betas) for name in names]
    return [functions[count * i : count * (i + 1)] for i in range(directions)]


def _activation(node: Node, name: str, alphas: list[float], betas: list[float]) -> Any:
    word = name.lower()
    if word in _PLAIN:
        return _PLAIN[word]
    if word not in _NUMBERED:
        node.refuse(f"its activation {name!r} is not supported")
    make, defaults = _NUMBERED[word]
    numbers = []
    for given, default, which in zip((alphas, betas), defaults, ("alpha", "beta"), strict=False):
        number = given.pop(0) if given else default
        if number is None:
            node.refuse(f"its activation {name!r} needs an activation_{which}")
        numbers.append(number)
    return make(*numbers)


def run(node: Node, x: Tensor, w: Tensor, r: Tensor, b: Tensor | None = None, *more: Any) -> list[Any]:
    """Y, Y_h and, of an LSTM, Y_c."""
    kept: Kept = node.kept
    given = [*more, *[None] * (2 + kept.kind.states - len(more))]
    lengths, states, peepholes = given[0], given[1:-1], given[-1]
    _check_weights(node, kept, w, r)
    batch_first = bool(node.get("layout", 0))
    if batch_first:
        x, states = ops.swapaxes(x, 0, 1), [s if s is None else ops.swapaxes(s, 0, 1) for s in states]
    outputs, ends = [], []
    for d, backwards in enumerate(kept.backwards):
        cell = _cell(kept, d, w.shape[2], r.shape[2])
        arrays = _ordered(kept, d, (w, r, b, peepholes))
        try:
            for name, array in arrays.items():
                setattr(cell, name, array)
            y, end = nn.Recurrent(cell, reverse=backwards)(x, _state(cell, x, states, d), lengths)
        finally:
            for name in arrays:  # which would keep the tape alive
                setattr(cell, name, None)
        outputs.append(y)
        ends.append(end if isinstance(end, tuple) else (end,))
    last = [_where_there_are_steps(ops.stack(each), lengths) for each in zip(*ends, strict=True)]
    if batch_first:  # (T, B, H) of each direction → (B, T, D, H)
        y = ops.stack([ops.swapaxes(each, 0, 1) for each in outputs], 2)
        return [y, *(ops.swapaxes(each, 0, 1) for each in last)]
    return [ops.stack(outputs, 1), *last]


def _check_weights(node: Node, kept: Kept, w: Tensor, r: Tensor) -> None:
    """
    Raises:
        ShapeError: W and R are not those of such a node.
    """
    directions, gates, hidden = len(kept.backwards), len(kept.kind.gates), r.shape[-1]
    rows = (directions, gates * hidden)
    if w.ndim != 3 or r.ndim != 3 or {w.shape[:2], r.shape[:2]} != {rows}:
        raise ShapeError(
            f"W of shape {w.shape} and R of shape {r.shape} are not ({directions}, {gates} · H, …) of one H"
        )
    if node.get("hidden_size", hidden) != hidden:
        raise ShapeError(
            f"hidden_size is {node.get('hidden_size')}, and R of shape {r.shape} has another one"
        )


def _cell(kept: Kept, direction: int, inputs: int, hidden: int) -> Any:
    """This thread's cell of a direction.

    It is made without units, and told its sizes: its weights are those that each call brings, and none are
    drawn.
    """
    key = (threading.get_ident(), direction, inputs, hidden)
    if key not in kept.cells:
        cell = kept.make[direction](0, 0)
        cell.input_size, cell.hidden_size, cell.output_size = inputs, hidden, hidden
        cell.state_size = (hidden, hidden) if kept.kind.states == 2 else hidden
        kept.cells[key] = cell
    return kept.cells[key]


def _ordered(kept: Kept, direction: int, given: Sequence[Tensor | None]) -> dict[str, Any]:
    """The weights of a direction, by their names in a cell; the same tensors as before, where that changes
    nothing: so what is bound to them stays so."""
    there = [a for a in given if a is not None]
    recorded = thread.recording and any(a.requires_grad for a in there)
    if recorded or thread.tracing is not None or thread.observer is not None:
        return _arrays(kept.kind, *(None if a is None else a[direction] for a in given))
    key = (threading.get_ident(), direction)
    known = kept.ordered.get(key)
    if known is None or not known[0].holds(there):
        arrays = _arrays(kept.kind, *(None if a is None else a[direction] for a in given))
        known = kept.ordered[key] = (Weights(there), arrays)
    return known[1]


def _arrays(kind: Kind, w: Any, r: Any, b: Any, p: Any) -> dict[str, Any]:
    """The weights of a direction, by their names in a cell."""
    found = {"weight_ih": in_order(w, kind.gates, kind.own), "weight_hh": in_order(r, kind.gates, kind.own)}
    if b is not None:
        for name, half in zip(("bias_ih", "bias_hh"), ops.split(b, 2), strict=True):
            found[name] = in_order(half, kind.gates, kind.own)
    if p is not None:
        parts = ops.split(p, len(gate_orders.ONNX_PEEPHOLES))
        found |= {f"p_{gate}": part for gate, part in zip(gate_orders.ONNX_PEEPHOLES, parts, strict=True)}
    return found


def in_order(x: Tensor, before: str, after: str) -> Tensor:
    """Gates that lie behind each other along the first axis, in another order."""
    if before == after:
        return x
    parts = dict(zip(before, ops.split(x, len(before)), strict=True))
    return ops.concatenate([parts[gate] for gate in after])


def _state(cell: Any, x: Tensor, states: Sequence[Any], direction: int) -> Any:
    """The state before the first step; zeros where it is left out."""
    if all(state is None for state in states):
        return None
    whole = [
        ops.zeros_like(next(s for s in states if s is not None)) if state is None else state
        for state in states
    ]
    parts = tuple(state[direction] for state in whole)
    return parts if len(parts) > 1 else parts[0]


def _where_there_are_steps(last: Tensor, lengths: numpy.ndarray | None) -> Tensor:
    """A state after the last step (D, B, H): 0 for a sample without a step, as onnxruntime has it."""
    if lengths is None or lengths.all():
        return last
    return ops.where((lengths > 0)[:, None], last, 0)


_ATTRIBUTES = "activation_alpha activation_beta activations clip direction hidden_size layout"

add("RNN", run, _ATTRIBUTES, host=(4,), outputs=2, prepare=prepare)
add("GRU", run, f"{_ATTRIBUTES} linear_before_reset", host=(4,), outputs=2, prepare=prepare)
add("LSTM", run, f"{_ATTRIBUTES} input_forget", host=(4,), outputs=3, prepare=prepare)
