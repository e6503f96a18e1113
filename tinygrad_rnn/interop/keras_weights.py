"""The weights and gradients of layers as Keras lists them: see :mod:`.keras`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy

from .. import arguments, nn
from ..errors import ArgumentError, CheckpointError
from ..nn import gate_orders
from ..ops import ArrayLike
from .layouts import Place, Shape, fitted, held, places_of

Arrays = dict[str, numpy.ndarray]


class Layout(NamedTuple):
    """How Keras has the parameters of one module.

    Attributes:
        shapes: by its names, in its order, those that it may have.
        ours: the parameters from Keras' arrays.
        theirs: Keras' arrays from the parameters, or their gradients.
    """

    shapes: dict[str, tuple[Shape, ...]]
    ours: Callable[[Arrays], Arrays]
    theirs: Callable[[Arrays, str], Arrays]


def load_weights(layer: nn.Module, weights: Iterable[ArrayLike]) -> None:
    """Give a layer the weights of Keras', as ``keras_layer.get_weights()`` lists them; all of them or, if
    anything does not fit, none.

    RNN, LSTM and GRU with any number of layers and directions, their cells, Recurrent, Linear (Dense),
    Embedding, LayerNorm, and Sequential of these. The lists of Keras' CuDNNLSTM and CuDNNGRU of old are known
    by their bias, and taken too.

    >>> layer = tg.nn.LSTM(2, 3)
    >>> tg.interop.keras.load_weights(layer, [np.ones((2, 12)), np.ones((3, 12)), np.zeros(12)])
    >>> layer.weight_hh_l0.shape
    (12, 3)

    Args:
        layer: with ``reset="before"`` for a GRU of Keras' with reset_after=False.
        weights: arrays, in Keras' order.

    Raises:
        CheckpointError: arrays are missing or unexpected, or have other shapes: all of them are named.
        ArgumentError: Keras has no such layer.
    """
    what = "load_weights"
    layouts = _layouts(what, layer)
    given = arguments.several(f"{what}: weights", weights, "a list of arrays")
    expected = {name: shapes for _, layout in layouts for name, shapes in layout.shapes.items()}
    names = [*expected, *(f"array {i}" for i in range(len(expected), len(given)))]
    named = dict(zip(names, given, strict=False))
    try:
        arrays = fitted(what, layer, expected, named)
    except CheckpointError as error:
        raise CheckpointError(f"{error}{_of_the_other_reset(layouts, named)}") from None
    values: Arrays = {}
    for place, layout in layouts:
        mine = {name.removeprefix(place.label): arrays[name] for name in layout.shapes}
        values |= {place.names[name]: array for name, array in layout.ours(mine).items()}
    layer.load_state_dict(values)


def _of_the_other_reset(layouts: Iterable[tuple[Place, Layout]], given: Mapping[str, Any]) -> str:
    """What to do where the weights are those of a GRU whose reset gate acts at the other place."""
    for place, _ in layouts:
        cell, bias = place.module, numpy.shape(given.get(f"{place.label}bias", ()))
        if isinstance(cell, nn.GRUCell):
            rows = 3 * cell.hidden_size
            if cell.reset == "after" and bias == (rows,):
                return '; one bias is that of reset_after=False: make the layer with reset="before"'
            if cell.reset == "before" and bias == (2, rows):
                return '; two biases are those of reset_after=True: make the layer with reset="after"'
    return ""


def weights(layer: nn.Module, of: str = "value") -> list[numpy.ndarray]:
    """A layer's weights as Keras lists them, for ``keras_layer.set_weights``; or their gradients alike.

    >>> [array.shape for array in tg.interop.keras.weights(tg.nn.GRU(2, 3))]
    [(2, 9), (3, 9), (2, 9)]

    Args:
        layer: as :func:`load_weights` takes it.
        of: "value" or "grad".

    Raises:
        TapeError: a parameter has no gradient.
        ArgumentError: Keras has no such layer.
    """
    layouts = _layouts("weights", layer)
    values = held("weights", layer, of)
    found: list[numpy.ndarray] = []
    for place, layout in layouts:
        mine = {name: values[full] for name, full in place.names.items() if full in values}
        found += layout.theirs(mine, of).values()
    return found


def _layouts(what: str, layer: Any) -> list[tuple[Place, Layout]]:
    """Raises:
    ArgumentError: Keras has no such layer.
    """
    found = []
    for place in places_of(what, layer):
        kind = type(place.module)
        if kind in _PLAIN:
            layout = _plain(place)
        elif kind in _GATES:
            layout = _recurrent(what, place)
        elif not place.names:
            continue  # Dropout, activations
        else:
            raise ArgumentError(f"{what}: Keras has no layer like {place.label}{kind.__name__}")
        found.append((place, layout))
    return found


# -- layers without memory -----------------------------------------------------------------------------------

_PLAIN: dict[type, dict[str, str]] = {
    nn.Linear: {"kernel": "weight", "bias": "bias"},
    nn.Embedding: {"embeddings": "weight"},
    nn.LayerNorm: {"gamma": "weight", "beta": "bias"},
}
"""Keras' names and ours; a kernel is transposed."""


def _plain(place: Place) -> Layout:
    names = {theirs: ours for theirs, ours in _PLAIN[type(place.module)].items() if ours in place.names}

    def turned(theirs: str, array: numpy.ndarray) -> numpy.ndarray:
        return array.T if theirs == "kernel" else array

    parameters = {theirs: getattr(place.module, ours) for theirs, ours in names.items()}
    return Layout(
        {
            place.label + theirs: (turned(theirs, p.detach().numpy()).shape,)
            for theirs, p in parameters.items()
        },
        lambda arrays: {ours: turned(theirs, arrays[theirs]) for theirs, ours in names.items()},
        lambda values, _: {
            theirs: numpy.ascontiguousarray(turned(theirs, values[ours])) for theirs, ours in names.items()
        },
    )


# -- recurrent cells -----------------------------------------------------------------------------------------

_GATES: dict[type, tuple[str, str]] = {
    nn.RNNCell: ("n", "n"),
    nn.LSTMCell: (gate_orders.LSTM["keras"], gate_orders.LSTM["torch"]),
    nn.GRUCell: (gate_orders.GRU["keras"], gate_orders.GRU["torch"]),
}
"""By cell, the order of the gates in Keras, and here."""


def _recurrent(what: str, place: Place) -> Layout:
    """Raises:
    ArgumentError: the cell has what Keras' lack.
    """
    cell = place.module
    name = f"{place.label}{type(cell).__name__}"
    if isinstance(cell, nn.LSTMCell) and (cell.coupled or cell.weight_hr is not None):
        said = "coupled" if cell.coupled else "proj_size"
        raise ArgumentError(f"{what}: Keras has no layer like {name} with {said}")
    theirs, ours = _GATES[type(cell)]
    after = isinstance(cell, nn.GRUCell) and cell.reset == "after"
    rows, inputs, hidden = cell.weight_ih.shape[0], cell.input_size, cell.hidden_size
    shapes: dict[str, tuple[Shape, ...]] = {
        f"{place.label}kernel": ((inputs, rows),),
        f"{place.label}recurrent_kernel": ((hidden, rows),),
    }
    if cell.bias_ih is not None:
        if after and cell.bias_hh is None:
            raise ArgumentError(f"{what}: Keras' GRU has two biases, {name} has one: make it with two")
        packed = [(2 * rows,)] if after or len(theirs) == 4 else []
        shapes[f"{place.label}bias"] = ((2, rows) if after else (rows,), *packed)

    def reordered(array: numpy.ndarray, before: str, behind: str) -> numpy.ndarray:
        return gate_orders.reorder(array, before, behind, -1)

    def to_ours(arrays: Arrays) -> Arrays:
        arrays = _unpacked(arrays, len(theirs))
        found = {
            "weight_ih": reordered(arrays["kernel"], theirs, ours).T,
            "weight_hh": reordered(arrays["recurrent_kernel"], theirs, ours).T,
        }
        if "bias" in arrays:
            bias = reordered(arrays["bias"], theirs, ours).reshape(-1, rows)
            if len(bias) == 2 and not after:
                bias = bias.sum(0, keepdims=True)
            found["bias_ih"] = bias[0]
            if cell.bias_hh is not None:
                found["bias_hh"] = bias[1] if after else numpy.zeros_like(bias[0])
        return found

    def to_theirs(values: Arrays, of: str) -> Arrays:
        found = {"kernel": values["weight_ih"].T, "recurrent_kernel": values["weight_hh"].T}
        if "bias_ih" in values:
            both = numpy.stack([values[bias] for bias in ("bias_ih", "bias_hh") if bias in values])
            # both are added, so either's gradient is that of the sum
            found["bias"] = both if after else both[0] if of == "grad" else both.sum(0)
        return {key: reordered(array, ours, theirs) for key, array in found.items()}

    return Layout(shapes, to_ours, to_theirs)


def _unpacked(arrays: Mapping[str, numpy.ndarray], gates: int) -> Arrays:
    """The arrays of CuDNNLSTM or CuDNNGRU as LSTM and GRU have them; others as they are.

    Keras kept cuDNN's own matrices: those of the input lie transposed in memory, those of the state are
    transposed, and there are two biases one behind the other.
    """
    kernel, recurrent, bias = arrays["kernel"], arrays["recurrent_kernel"], arrays.get("bias")
    if bias is None or bias.shape != (2 * kernel.shape[1],):
        return dict(arrays)
    inputs = [part.T.reshape(part.shape, order="F") for part in numpy.split(kernel, gates, 1)]
    states = [part.T for part in numpy.split(recurrent, gates, 1)]
    return {
        "kernel": numpy.concatenate(inputs, 1),
        "recurrent_kernel": numpy.concatenate(states, 1),
        "bias": bias.reshape(2, -1),
    }


__all__ = ["load_weights", "weights"]


def __dir__() -> list[str]:
    return __all__
