"""Keras: the weights and gradients of its layers, in its order and with its gates, and its files.

    SimpleRNN   kernel (in, H)    recurrent_kernel (H, H)    bias (H,)
    LSTM        kernel (in, 4H)   recurrent_kernel (H, 4H)   bias (4H,)
    GRU         kernel (in, 3H)   recurrent_kernel (H, 3H)   bias (2, 3H); (3H,) with reset_after=False

A bidirectional layer has the list of its forward layer before that of its backward layer; several layers
above each other have one list behind the other. Where Keras has one bias and the layer here has two, which
are added, the first one takes it and the second one is 0.
"""

from __future__ import annotations

from .keras_file import load as load
from .keras_layers import save as save
from .keras_weights import load_weights as load_weights
from .keras_weights import weights as weights

__all__ = ["load", "load_weights", "save", "weights"]


def __dir__() -> list[str]:
    return __all__
