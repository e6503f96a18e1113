"""Modules: parameters and the functions that use them."""

from . import init as init
from .cells import GRUCell as GRUCell
from .cells import LSTMCell as LSTMCell
from .cells import PeepholeLSTMCell as PeepholeLSTMCell
from .cells import RNNCell as RNNCell
from .cells import Shape as Shape
from .layers import Dropout as Dropout
from .layers import Embedding as Embedding
from .layers import LayerNorm as LayerNorm
from .layers import Linear as Linear
from .layers import Sequential as Sequential
from .module import Module as Module
from .module import Parameter as Parameter
from .recurrent import Recurrent as Recurrent
from .recurrent import detach as detach
from .stack import GRU as GRU
from .stack import LSTM as LSTM
from .stack import RNN as RNN
from .stack import PeepholeLSTM as PeepholeLSTM
