"""The library's cells as ONNX's operators RNN, LSTM and GRU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy

from ....nn import GRUCell, LSTMCell, PeepholeLSTMCell, RNNCell, activations, gate_orders
from .writer import Value, Writer

_OPERATORS = {RNNCell: "RNN", LSTMCell: "LSTM", PeepholeLSTMCell: "LSTM", GRUCell: "GRU"}
_GATES = {
    "RNN": ("n", "n"),
    "LSTM": (gate_orders.LSTM["torch"], gate_orders.LSTM["onnx"]),
    "GRU": (gate_orders.GRU["torch"], gate_orders.GRU["onnx"]),
}
"""Of each operator the order of gates in a cell, and in a file."""

_PLAIN = {
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "relu": "Relu",
    "softsign": "Softsign",
    "softplus": "Softplus",
}
_WITH_NUMBERS = {
    "affine": "Affine", "elu": "Elu", "hard_sigmoid": "HardSigmoid", "leaky_relu": "LeakyRelu",
    "scaled_tanh": "ScaledTanh", "thresholded_relu": "ThresholdedRelu",
}  # fmt: skip
_Function = tuple[str, "float | None", "float | None"]
"""Name, alpha and beta of an activation."""

_NAMES: dict[str, _Function] = {
    "hard_sigmoid": ("HardSigmoid", 1 / 6, 0.5),
    "leaky_relu": ("LeakyRelu", 0.01, None),
    "elu": ("Elu", 1.0, None),
    "linear": ("Affine", 1.0, 0.0),
}
"""Names of activations that an operator has under another name, or with numbers."""


def has_operator(cell: Any, xs: Sequence[Any], states: Sequence[Any]) -> bool:
    """Whether an operator says what a cell does to a sequence (T, B, input) from states (B, size)."""
    if type(cell) not in _OPERATORS or len(xs) != 1 or xs[0].ndim != 3:
        return False
    if any(state.ndim != 2 for state in states) or xs[0].dtype not in (
        numpy.float16,
        numpy.float32,
        numpy.float64,
    ):
        return False
    if isinstance(cell, LSTMCell) and (cell.weight_hr is not None or cell.cell_clip is not None):
        return False
    return _functions(cell) is not None


def _functions(cell: Any) -> list[_Function] | None:
    """The activations of an operator with their numbers; None where it has not all of them, or not one for
    all gates."""
    given = [cell.activation]
    if not isinstance(cell, RNNCell):
        gates = cell.recurrent_activation
        each = list(gates.values()) if isinstance(gates, dict) else [gates]
        if any(one != each[0] for one in each):
            return None
        given = [each[0], cell.activation]
    if isinstance(cell, LSTMCell):
        given.append(cell.activation if cell.output_activation is None else cell.output_activation)
    found: list[_Function] = []
    for function in given:
        if isinstance(function, activations.Activation):
            found.append((_WITH_NUMBERS[function.name], function.alpha, function.beta))
        elif isinstance(function, str) and function in _PLAIN:
            found.append((_PLAIN[function], None, None))
        elif isinstance(function, str) and function in _NAMES:
            found.append(_NAMES[function])
        else:
            return None
    return found


def write_cell(
    w: Writer,
    held: Any,
    cell: Any,
    reverse: bool,
    operands: Sequence[Any],
    computed: Sequence[str],
    ys: Sequence[Value],
) -> list[Value]:
    """A scan of a cell as one node: the outputs (T, B, H), and the states (B, H) after the last step.

    Args:
        operands: x, the states, the lengths if there are any, and the weights that each call computes.
        computed: what these are called.
    """
    kind = _OPERATORS[type(cell)]
    count = 2 if kind == "LSTM" else 1
    given = dict(zip(computed, operands[len(operands) - len(computed) :], strict=True))
    operands = operands[: len(operands) - len(computed)]
    x, states, lengths = operands[0], operands[1 : 1 + count], operands[1 + count :]
    batch, hidden = x.shape[1], cell.hidden_size
    first = [w.one("Unsqueeze", [s, w.ints([0])], (1, *s.shape)) for s in states]
    rows: list[Value | None] = [w.cast(one, "int32") for one in lengths] or [None]
    weights = _computed(w, cell, kind, given) if given else _weights(w, held, cell, kind)
    inputs = [x, *weights[:3], *rows, *first, *weights[3:]]
    attributes: dict[str, Any] = {"hidden_size": hidden, "direction": "reverse" if reverse else "forward"}
    attributes |= _attributes(cell, kind)
    shapes = [(x.shape[0], 1, batch, hidden), *[(1, batch, hidden)] * count]
    y, *last = w.add(kind, inputs, shapes, x.dtype, wish=_label(held, cell, kind), **attributes)
    return [
        w.one("Squeeze", [y, w.ints([1])], ys[0].shape),
        *(w.one("Squeeze", [s, w.ints([0])], one.shape) for s, one in zip(last, ys[1:], strict=True)),
    ]


def _attributes(cell: Any, kind: str) -> dict[str, Any]:
    functions = _functions(cell)
    assert functions is not None
    found: dict[str, Any] = {"activations": [name for name, _, _ in functions]}
    alphas = [alpha for _, alpha, _ in functions if alpha is not None]
    betas = [beta for _, _, beta in functions if beta is not None]
    found |= {"activation_alpha": alphas} if alphas else {}
    found |= {"activation_beta": betas} if betas else {}
    found |= {} if cell.gate_clip is None else {"clip": cell.gate_clip}
    if kind == "LSTM" and cell.coupled:
        found["input_forget"] = 1
    if kind == "GRU":
        found["linear_before_reset"] = int(cell.reset == "after")
    return found


def _label(held: Any, cell: Any, kind: str) -> str:
    """What to call the node: the place of the cell's weights in the model."""
    name = held.names.get(id(cell.weight_ih), "")
    return name.replace("weight_ih_", "").replace(".weight_ih", "").replace("weight_ih", "") or kind.lower()


_WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "p_i", "p_f", "p_o")


def computed_weights(cell: Any) -> dict[str, Any]:
    """The weights of a cell by their names, if each call computes some of them; else none."""
    found = {name: getattr(cell, name, None) for name in _WEIGHTS}
    there = {name: weight for name, weight in found.items() if weight is not None}
    return there if any(weight.entry is not None for weight in there.values()) else {}


def _weights(w: Writer, held: Any, cell: Any, kind: str) -> list[Value | None]:
    """W, R, B and P of one direction, as arrays."""
    before, after = _GATES[kind]
    label = _label(held, cell, kind)

    def laid(rows: Any) -> numpy.ndarray:
        return gate_orders.reorder(rows, before, after)[None]

    def kept(name: str, array: numpy.ndarray, *weights: Any) -> Value:
        learned = any(held.learned(weight) for weight in weights if weight is not None)
        return held.array(w, (id(cell), name), array, f"{label}.{name}", cell, learned)

    ih, hh = cell.weight_ih, cell.weight_hh
    found: list[Value | None] = [kept("W", laid(ih), ih), kept("R", laid(hh), hh), None]
    biases = [cell.bias_ih, cell.bias_hh]
    if any(bias is not None for bias in biases):
        zeros = numpy.zeros((1, ih.shape[0]), ih.dtype)
        halves = [zeros if bias is None else laid(bias) for bias in biases]
        found[2] = kept("B", numpy.concatenate(halves, 1), *biases)
    if isinstance(cell, PeepholeLSTMCell):
        peepholes = [getattr(cell, f"p_{gate}") for gate in gate_orders.ONNX_PEEPHOLES]
        zeros = numpy.zeros(cell.hidden_size, ih.dtype)
        rows = [zeros if p is None else p.detach().numpy() for p in peepholes]
        found.append(kept("P", numpy.concatenate(rows)[None], *peepholes))
    return found


def _computed(w: Writer, cell: Any, kind: str, given: Mapping[str, Value]) -> list[Value | None]:
    """W, R, B and P of one direction, as the graph computes them."""
    before, after = _GATES[kind]
    ih, hidden = given["weight_ih"], cell.hidden_size
    dtype = ih.dtype

    def laid(x: Value) -> Value:
        """Gates in the file's order, (1, gates · H, …)."""
        shape = (hidden, *x.shape[1:])
        if before != after:
            lengths = w.ints([hidden] * len(before))
            parts = w.add("Split", [x, lengths], [shape] * len(before), axis=0)
            order = [parts[before.index(gate)] for gate in after]
            x = w.one("Concat", order, x.shape, axis=0)
        return w.one("Unsqueeze", [x, w.ints([0])], (1, *x.shape))

    def joined(parts: Sequence[Value]) -> Value:
        return w.one("Concat", parts, (1, sum(part.shape[1] for part in parts)), axis=1)

    def zeros(n: int) -> Value:
        return w.array(numpy.zeros((1, n), dtype))

    found: list[Value | None] = [laid(ih), laid(given["weight_hh"]), None]
    names = ("bias_ih", "bias_hh")
    if any(name in given for name in names):
        found[2] = joined([laid(given[n]) if n in given else zeros(ih.shape[0]) for n in names])
    if isinstance(cell, PeepholeLSTMCell):
        rows = [given.get(f"p_{gate}") for gate in gate_orders.ONNX_PEEPHOLES]
        found.append(
            joined(
                [
                    zeros(hidden) if p is None else w.one("Unsqueeze", [p, w.ints([0])], (1, hidden))
                    for p in rows
                ]
            )
        )
    return found
