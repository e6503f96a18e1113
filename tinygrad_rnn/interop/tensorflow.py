"""TensorFlow: the variables of ``tf.compat.v1.nn.rnn_cell.LSTMCell`` and their gradients.

    kernel       ([x, h], 4H), the gates as i, j (the candidate), f, o
    bias         (4H,), without the forget_bias that the cell adds when it runs
    w_i_diag     (H,), and w_f_diag, w_o_diag: the peepholes
    proj_kernel  (H, num_proj)

For layers of Keras that TensorFlow runs, see :mod:`tinygrad_rnn.interop.keras`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy

from .. import arguments, nn
from ..errors import ArgumentError
from ..nn import gate_orders
from ..ops import ArrayLike
from .layouts import Place, Shape, fitted, held, places_of

_THEIRS, _OURS = gate_orders.LSTM["tensorflow"], gate_orders.LSTM["torch"]
_PEEPHOLES = {"w_i_diag": "p_i", "w_f_diag": "p_f", "w_o_diag": "p_o"}


def load_weights(layer: nn.Module, weights: Mapping[str, ArrayLike], forget_bias: float = 1.0) -> None:
    """Give an LSTM the weights of TensorFlow's LSTMCell; all of them or, if anything does not fit, none.

    >>> layer = tg.nn.LSTM(2, 3)
    >>> tg.interop.tensorflow.load_weights(layer, {"kernel": np.ones((5, 12)), "bias": np.zeros(12)})
    >>> layer.bias_ih_l0.numpy()[3:6]  # the forget gate
    array([1., 1., 1.], dtype=float32)

    Args:
        layer: LSTM or PeepholeLSTM of one layer and one direction, their cells, or Recurrent of one.
        weights: arrays by the names of the cell's variables, with or without a scope and ':0':
            ``{v.name: session.run(v) for v in cell.trainable_variables}``.
        forget_bias: what the cell was made with.

    Raises:
        CheckpointError: names are missing or unexpected, or arrays have other shapes: all of them are named.
        ArgumentError: TensorFlow has no such layer.
    """
    what = "load_weights"
    place, shapes = _layout(what, layer)
    forget_bias = arguments.real(f"{what}: forget_bias", forget_bias)
    given = arguments.mapping(f"{what}: weights", weights)
    plain = [_plain(str(name)) for name in given]
    # two of one name would hide each other
    names = [name if plain.count(name) == 1 else full for name, full in zip(plain, given, strict=True)]
    arrays = fitted(what, layer, shapes, dict(zip(names, given.values(), strict=True)))

    cell, inputs = place.module, place.module.input_size
    kernel = gate_orders.reorder(arrays["kernel"], _THEIRS, _OURS, 1)
    bias = gate_orders.reorder(arrays["bias"], _THEIRS, _OURS).astype(numpy.float64)
    forget = _OURS.index("f") * cell.hidden_size
    bias[forget : forget + cell.hidden_size] += forget_bias
    values = {"weight_ih": kernel[:inputs].T, "weight_hh": kernel[inputs:].T, "bias_ih": bias}
    if cell.bias_hh is not None:
        values["bias_hh"] = numpy.zeros_like(bias)
    values |= {ours: arrays[theirs] for theirs, ours in _PEEPHOLES.items() if theirs in arrays}
    if "proj_kernel" in arrays:
        values["weight_hr"] = arrays["proj_kernel"].T
    layer.load_state_dict({place.names[name]: value for name, value in values.items()})


def weights(layer: nn.Module, of: str = "value", forget_bias: float = 1.0) -> dict[str, numpy.ndarray]:
    """A layer's weights by the names of TensorFlow's variables, or their gradients alike.

    >>> sorted(tg.interop.tensorflow.weights(tg.nn.PeepholeLSTM(2, 3)))
    ['bias', 'kernel', 'w_f_diag', 'w_i_diag', 'w_o_diag']

    Args:
        layer: as :func:`load_weights` takes it.
        of: "value" or "grad".
        forget_bias: what TensorFlow's cell is made with: it is taken off the bias.

    Raises:
        TapeError: a parameter has no gradient.
        ArgumentError: TensorFlow has no such layer.
    """
    place, shapes = _layout("weights", layer)
    forget_bias = arguments.real("weights: forget_bias", forget_bias)
    every = held("weights", layer, of)
    values = {name: every[full] for name, full in place.names.items() if full in every}
    kernel = numpy.concatenate([values["weight_ih"].T, values["weight_hh"].T])
    bias = values["bias_ih"]
    if of == "value":
        bias = bias.copy() if "bias_hh" not in values else bias + values["bias_hh"]
        forget = _OURS.index("f") * place.module.hidden_size
        bias[forget : forget + place.module.hidden_size] -= forget_bias
    found = {
        "kernel": gate_orders.reorder(kernel, _OURS, _THEIRS, 1),
        "bias": gate_orders.reorder(bias, _OURS, _THEIRS),  # either of two has the gradient of their sum
        **{theirs: values[ours] for theirs, ours in _PEEPHOLES.items() if ours in values},
    }
    if "weight_hr" in values:
        found["proj_kernel"] = numpy.ascontiguousarray(values["weight_hr"].T)
    return {name: found[name] for name in shapes}


def _plain(name: str) -> str:
    """A variable's own name, of "rnn/lstm_cell/kernel:0"; the projection's is "projection/kernel"."""
    scope, _, own = name.partition(":")[0].rpartition("/")
    return "proj_kernel" if own == "kernel" and scope.endswith("projection") else own


def _layout(what: str, layer: Any) -> tuple[Place, dict[str, tuple[Shape, ...]]]:
    """The one cell of a layer, and what TensorFlow's variables are for it.

    Raises:
        ArgumentError: TensorFlow has no such layer.
    """
    found = [place for place in places_of(what, layer) if place.names]
    kinds = (nn.LSTMCell, nn.PeepholeLSTMCell)
    if len(found) != 1 or type(found[0].module) not in kinds:
        raise ArgumentError(
            f"{what}: TensorFlow's LSTMCell is one LSTM or PeepholeLSTM of one layer and one direction, and "
            f"{type(layer).__name__} is none: take its cells one by one"
        )
    cell = found[0].module
    lacking = [name for name in _PEEPHOLES.values() if getattr(cell, name, cell) is None]
    if cell.bias_ih is None or cell.coupled or lacking:
        said = (
            "bias=False" if cell.bias_ih is None else "coupled=True" if cell.coupled else f"no {lacking[0]}"
        )
        raise ArgumentError(f"{what}: TensorFlow has no LSTMCell with {said}")
    hidden = cell.hidden_size
    shapes: dict[str, tuple[Shape, ...]] = {
        "kernel": ((cell.input_size + cell.output_size, 4 * hidden),),
        "bias": ((4 * hidden,),),
    }
    if isinstance(cell, nn.PeepholeLSTMCell):
        shapes |= dict.fromkeys(_PEEPHOLES, ((hidden,),))
    if cell.weight_hr is not None:
        shapes["proj_kernel"] = ((hidden, cell.output_size),)
    return found[0], shapes


__all__ = ["load_weights", "weights"]


def __dir__() -> list[str]:
    return __all__
