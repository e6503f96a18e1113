"""In which order the libraries lay the gates of a cell one behind the other in a weight, as letters.

The letters are this library's, whose own order is PyTorch's:

    LSTM   i input, f forget, g candidate (Keras: c, TensorFlow: j, ONNX: c), o output
    GRU    r reset, z update (it keeps the old state, as everywhere but in Cho et al. 2014), n candidate (h)

TensorFlow is that of ``tf.compat.v1.nn.rnn_cell.LSTMCell`` and ``tf.raw_ops.BlockLSTM``. Biases lie as the
weights; peepholes in ONNX in the order i, o, f (:data:`ONNX_PEEPHOLES`).
"""

from __future__ import annotations

from typing import Any

import numpy

from .. import arguments
from ..errors import ShapeError
from ..tape import host_values

LSTM = {"torch": "ifgo", "keras": "ifgo", "tensorflow": "igfo", "onnx": "iofg"}
"""By library, the order of an LSTM's gates."""

GRU = {"torch": "rzn", "keras": "zrn", "tensorflow": "rzn", "onnx": "zrn"}
"""By library, the order of a GRU's gates; TensorFlow's cell has two weights, one of r and z, one of n."""

ONNX_PEEPHOLES = "iof"
"""The order of the peepholes in ONNX's LSTM."""


def reorder(values: Any, before: str, after: str, axis: int = 0) -> numpy.ndarray:
    """An array whose gates lie in one order, in another one.

    >>> orders = tg.nn.gate_orders
    >>> orders.reorder(np.array([1, 2, 3, 4]), orders.LSTM["onnx"], orders.LSTM["torch"])
    array([1, 3, 4, 2])

    Args:
        values: an array in which the gates lie one behind the other along an axis.
        before, after: the gates' letters, in the order that is there, and in the one to make.
        axis: that axis.

    Raises:
        ArgumentError: the letters are not the same ones, each once.
        ShapeError: there is no such axis, or the gates do not share it evenly.
    """
    before, after = arguments.text("reorder: before", before), arguments.text("reorder: after", after)
    axis = arguments.whole("reorder: axis", axis)
    if not before or len(set(before)) < len(before) or sorted(before) != sorted(after):
        raise arguments.refused(
            "reorder: after",
            f"the letters of before, {arguments.shown(before)}, each once, in any order",
            after,
        )
    array = host_values(values)
    if not -array.ndim <= axis < array.ndim or array.shape[axis] % len(before):
        raise ShapeError(
            f"reorder: values of shape {array.shape} do not split into {len(before)} gates along axis {axis}"
        )
    parts = dict(zip(before, numpy.split(array, len(before), axis), strict=True))
    return numpy.concatenate([parts[letter] for letter in after], axis)


__all__ = ["GRU", "LSTM", "ONNX_PEEPHOLES", "reorder"]


def __dir__() -> list[str]:
    return __all__
