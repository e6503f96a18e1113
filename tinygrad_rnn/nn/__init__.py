"""Modules: parameters and the functions that use them."""

from . import activations, gate_orders, init
from .carrying import detach
from .cell import Shape
from .cells import GRUCell, LSTMCell, PeepholeLSTMCell, RNNCell
from .layers import Dropout, Embedding, LayerNorm, Linear, Sequential
from .module import Module
from .more_cells import LayerNormGRUCell, LayerNormLSTMCell, LayerNormRNNCell, MGUCell
from .parameter import Parameter
from .recurrent import Recurrent
from .stacks import GRU, LSTM, MGU, RNN, PeepholeLSTM

__all__ = [
    "GRU",
    "LSTM",
    "MGU",
    "RNN",
    "Dropout",
    "Embedding",
    "GRUCell",
    "LSTMCell",
    "LayerNorm",
    "LayerNormGRUCell",
    "LayerNormLSTMCell",
    "LayerNormRNNCell",
    "Linear",
    "MGUCell",
    "Module",
    "Parameter",
    "PeepholeLSTM",
    "PeepholeLSTMCell",
    "RNNCell",
    "Recurrent",
    "Sequential",
    "Shape",
    "activations",
    "detach",
    "gate_orders",
    "init",
]


def __dir__() -> list[str]:
    return __all__
