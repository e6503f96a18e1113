"""Modules: parameters and the functions that use them."""

from . import init
from .cells import GRUCell, LSTMCell, PeepholeLSTMCell, RNNCell, Shape
from .layers import Dropout, Embedding, LayerNorm, Linear, Sequential
from .module import Module, Parameter
from .recurrent import Recurrent, detach
from .stacks import GRU, LSTM, RNN, PeepholeLSTM

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Dropout",
    "Embedding",
    "GRUCell",
    "LSTMCell",
    "LayerNorm",
    "Linear",
    "Module",
    "Parameter",
    "PeepholeLSTM",
    "PeepholeLSTMCell",
    "RNNCell",
    "Recurrent",
    "Sequential",
    "Shape",
    "detach",
    "init",
]


def __dir__() -> list[str]:
    return __all__
